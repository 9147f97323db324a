/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RATE_H
#define DMLIVE_RATE_H

/*
 * A limit in bytes per second. A charge must have been paid off by time before
 * the next one; unused time is not saved up. The caller makes sure that no two
 * threads use a rate at the same time.
 */

#include <stdint.h>

struct rate {
	uint64_t bytes_per_second;	/* 0: no limit */
	uint64_t free_ns;		/* when all is paid off */
};

void rate_set(struct rate *rate, uint64_t bytes_per_second, uint64_t now_ns);

/* When the next charge may be made: a time, not later than @now_ns if now. */
uint64_t rate_ready_ns(const struct rate *rate);

void rate_charge(struct rate *rate, uint64_t bytes, uint64_t now_ns);

/* Give back a part of what was charged. */
void rate_refund(struct rate *rate, uint64_t bytes);

#endif /* DMLIVE_RATE_H */
