/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_FOREIGN_H
#define DMLIVE_FOREIGN_H

/*
 * Files that are not raw disks, recognized by their magic numbers: images in formats
 * that are not read here, archives, compressed files, backups of other programs.
 *
 * What a disk may legitimately begin with is not among them: a boot sector, a file
 * system, an LVM or RAID signature, and a LUKS header, which is there when the guest
 * encrypts its whole disk, and which a drive with QEMU's format luks has on the
 * volume too.
 */

#include "host-file.h"
#include "image.h"

/* -ENOTSUP if @file is one of them; the message has the command that unpacks it. */
int foreign_refuse(const struct host_file *file, struct image_error *err);

/* -EEXIST if @file is one of them, and what, to follow "a": "disk image (vmdk)". */
int foreign_describe(const struct host_file *file, char *what,
		     size_t what_bytes, struct image_error *err);

#endif /* DMLIVE_FOREIGN_H */
