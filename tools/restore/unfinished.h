/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_UNFINISHED_H
#define DMLIVE_RESTORE_UNFINISHED_H

/*
 * The unfinished restores of this machine: mapped devices whose server has ended, and
 * metadata devices that no mapped device uses, as after a restart.
 */

#include <stdbool.h>
#include <stdint.h>

#include "block/dm.h"

/*
 * @path: what `dmlive resume` takes: the metadata device or the mapped device
 * @name: of the mapped device; "": not on record
 * @volume: what is restored; "": not known
 * @identity: of the volume, see blockdev_identity(); "": nothing identifies it
 * @whose: is it certain that this machine may resume it, unasked?
 * @is_mapped: @path is the mapped device
 */
enum unfinished_whose {
	UNFINISHED_OURS,
	/*
	 * Another machine serves it, or served it last, or it does not say who: volumes may
	 * be shared, and guests have their own metadata, which may say anything.
	 */
	UNFINISHED_FOREIGN,
	/* The metadata were not made on this device: what they describe may be over. */
	UNFINISHED_COPY,
	/* Its volume or metadata device has no identity: another may have its name now. */
	UNFINISHED_NAMELESS,
};

struct unfinished {
	char path[256];
	char name[DM_NAME_BYTES];
	char volume[256];
	char identity[512];
	enum unfinished_whose whose;
	bool is_mapped;
};

struct unfinished_list {
	struct unfinished *restores;
	unsigned int nr;
	unsigned int nr_silent;		/* devices that could not be read */
};

/*
 * Find all. Only devices that may hold metadata are opened, for reading, and by another
 * process: one that does not answer is left out after a while, with a warning. 0 or a
 * negative errno, after a message. unfinished_free() in both cases.
 */
int unfinished_find(struct unfinished_list *list);
void unfinished_free(struct unfinished_list *list);

/*
 * Find those metadata devices alone that describe a restore of the volume with this
 * identity. Devices that do not answer soon are left out, without a word. 0 or a negative
 * errno, without a message. unfinished_free() in both cases.
 */
int unfinished_find_of(const char *identity, struct unfinished_list *list);

#endif /* DMLIVE_RESTORE_UNFINISHED_H */
