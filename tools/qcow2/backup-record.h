/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_RECORD_H
#define DMLIVE_BACKUP_RECORD_H

/*
 * What a backup says about itself, in the header extension QCOW2_EXT_DMLIVE_BACKUP of
 * its image: which bitmap of which store records what has changed since it was made.
 * An increment also says which backup it is based on. The format is described in
 * Documentation/bitmap-format.rst.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/file-stamp.h"

#define BACKUP_UUID_BYTES	37

/*
 * @store: UUID of the bitmap store
 * @generation: that the bitmap has as long as it records what changed since this
 *	backup
 * @base_generation: that it had before: that of the backup that this is an increment
 *	of; 0: this is a full backup
 * @base_identity: the image that this is an increment of, see store/identity.h,
 *	where it is not a backup with this bitmap: the device was restored from it,
 *	and @base_generation is the generation that the bitmap got then. Else NULL
 * @time_s: the point in time, in seconds since 1970; 0: unknown
 * @autoclear_bit: number of the autoclear bit of the image that is set until a program
 *	that does not know it has opened the image for writing; 0: there is none
 * @stamp: the file as it was when the backup was complete; inode 0: unknown
 */
struct backup_record {
	char store[BACKUP_UUID_BYTES];
	char *bitmap;
	uint64_t generation;
	uint64_t base_generation;
	char *base_identity;
	uint64_t time_s;
	unsigned int autoclear_bit;
	struct file_stamp stamp;
};

/* The text for the extension, to be freed; NULL when out of memory. */
char *backup_record_format(const struct backup_record *record);

/*
 * @text may be NULL: then there is none. Return: 0, -ENOENT or -EINVAL. To be freed
 * in any case.
 */
int backup_record_parse(const char *text, struct backup_record *record);
void backup_record_free(struct backup_record *record);

/* Is @record an increment of @base, a backup with the same bitmap? */
bool backup_record_follows(const struct backup_record *record,
			   const struct backup_record *base);

/*
 * Is the image @path, with these autoclear bits in its header, as the backup left it? A
 * record without bit and stamp is accepted: it is from an earlier version.
 */
bool backup_record_is_intact(const struct backup_record *record,
			     uint64_t autoclear_bits, const char *path);

#endif /* DMLIVE_BACKUP_RECORD_H */
