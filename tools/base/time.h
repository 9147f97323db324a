/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_TIME_H
#define DMLIVE_TIME_H

#include <stdint.h>

#define NS_PER_SECOND 1000000000ull
#define NS_PER_MS 1000000ull

/* Monotonic time in nanoseconds. */
uint64_t monotonic_ns(void);

#endif /* DMLIVE_TIME_H */
