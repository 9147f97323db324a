// SPDX-License-Identifier: GPL-2.0-only
#include <time.h>

#include "base/time.h"

uint64_t monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

void time_stamp(char text[TIME_STAMP_LENGTH + 1])
{
	const time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(text, TIME_STAMP_LENGTH + 1, "%Y%m%dT%H%M%SZ", &tm);
}
