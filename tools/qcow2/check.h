/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CHECK_H
#define DMLIVE_CHECK_H

/*
 * Check of a qcow2 image, like qemu-img check: every cluster that is reachable
 * from the header is counted, and the counts are compared with the refcounts in
 * the file. Only the file itself is looked at, not its backing or data file;
 * nothing is repaired.
 */

#include "image.h"

struct check_result {
	uint64_t corruptions;		/* the data is in danger or lost */
	uint64_t leaks;			/* clusters that nothing refers to */
	uint64_t total_clusters;	/* of the guest's address space */
	uint64_t allocated_clusters;
	uint64_t compressed_clusters;	/* of the allocated ones */
	uint64_t image_end_offset;	/* of the last cluster in use */
};

struct check {
	/* Called for each finding with one line of text; or NULL. */
	void (*finding)(void *context, bool corruption, const char *text);
	void *context;
	bool force;			/* even while it is being written */
	struct check_result result;
};

/*
 * 0 if the check could be made, whatever it found. @image must be qcow2, and
 * may be open for metadata only.
 */
int image_check(struct image *image, struct check *check,
		struct image_error *err);

#endif /* DMLIVE_CHECK_H */
