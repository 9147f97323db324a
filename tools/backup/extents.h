/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_EXTENTS_H
#define DMLIVE_BACKUP_EXTENTS_H

/* The ranges of a device that a backup copies: ascending, and not adjacent. */

#include <stddef.h>
#include <stdint.h>

struct extent {
	uint64_t offset;	/* bytes */
	uint64_t length;
};

struct extents {
	struct extent *list;
	size_t nr;
	uint64_t total_bytes;
};

/*
 * Append a range, which must start after all others. 0 or -ENOMEM. The reader needs
 * ranges that start and end at multiples of its unit, or at the end of the device.
 */
int extents_add(struct extents *extents, uint64_t offset, uint64_t length);
void extents_free(struct extents *extents);

#endif /* DMLIVE_BACKUP_EXTENTS_H */
