/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CBW_TRACKING_H
#define DMLIVE_CBW_TRACKING_H

/*
 * What the status line of the target cbw says about change tracking: its last words,
 * behind those that cbw_status_parse() reads.
 */

#include <stdbool.h>
#include <stdint.h>

struct cbw_tracked_bitmap {
	char *name;
	uint64_t granularity;		/* bytes */
	bool recording;
	bool frozen;			/* a session is on it */
	uint64_t set_bits;
	uint64_t generation;		/* 0: it belongs to no backup */
};

struct cbw_tracking {
	char state[16];			/* rw, ro, failed; "-": no metadata device */
	uint64_t open_regions;
	uint64_t regions;		/* 0: no intent bitmap */
	uint64_t recovered_bits;
	uint64_t nr_bitmaps;
	struct cbw_tracked_bitmap *bitmaps;
};

/*
 * @params: the words after the target's name. Return: 0, -EINVAL or -ENOMEM. To be
 * freed in any case.
 */
int cbw_tracking_parse(const char *params, struct cbw_tracking *tracking);
void cbw_tracking_free(struct cbw_tracking *tracking);

#endif /* DMLIVE_CBW_TRACKING_H */
