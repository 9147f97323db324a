// SPDX-License-Identifier: GPL-2.0-only
/* A limit in bytes per second. */
#include "base/time.h"
#include "base/rate.h"

static uint64_t cost_ns(const struct rate *rate, uint64_t bytes)
{
	return (uint64_t)((unsigned __int128)bytes * NS_PER_SECOND /
			  rate->bytes_per_second);
}

void rate_set(struct rate *rate, uint64_t bytes_per_second, uint64_t now_ns)
{
	if (rate->bytes_per_second == bytes_per_second)
		return;
	rate->bytes_per_second = bytes_per_second;
	/* Charges at the old limit do not count at the new one. */
	rate->free_ns = now_ns;
}

uint64_t rate_ready_ns(const struct rate *rate)
{
	return rate->bytes_per_second ? rate->free_ns : 0;
}

void rate_charge(struct rate *rate, uint64_t bytes, uint64_t now_ns)
{
	if (!rate->bytes_per_second)
		return;
	if (rate->free_ns < now_ns)
		rate->free_ns = now_ns;
	rate->free_ns += cost_ns(rate, bytes);
}

void rate_refund(struct rate *rate, uint64_t bytes)
{
	uint64_t ns;

	if (!rate->bytes_per_second)
		return;
	ns = cost_ns(rate, bytes);
	rate->free_ns -= ns < rate->free_ns ? ns : rate->free_ns;
}
