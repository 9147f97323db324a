/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_TIME_H
#define DMLIVE_TIME_H

#include <stdint.h>

#define NS_PER_SECOND 1000000000ull
#define NS_PER_MS 1000000ull

/* Monotonic time in nanoseconds. */
uint64_t monotonic_ns(void);

/* The present time in UTC, for names of files: "20261201T013000Z". They sort by it. */
#define TIME_STAMP_LENGTH 16
void time_stamp(char text[TIME_STAMP_LENGTH + 1]);

#endif /* DMLIVE_TIME_H */
