/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_DM_UUID_H
#define DMLIVE_DM_UUID_H

/*
 * UUIDs of mapped devices tell other programs, and dmlive itself, what a device is.
 *
 *   DMLIVE-*		restored devices that are not private, and "DMLIVE-cbw-NAME"
 *   LVM-DMLIVE*	private restored devices
 *   LVM-DMLIVE-VIEW-*	views of backups
 *   LVM-dmlive-NAME	inner devices, see attach/inner.h
 *   LVM-*-dmlive		those of logical volumes: with the volume's UUID in front
 *
 * lvm2 does not look for physical volumes on a device with "LVM-": it is a logical volume,
 * or, if the UUID is longer than that of one, a part of one, which it ignores even with
 * devices/scan_lvs=1. util-linux ignores those that have something after another dash; so
 * views have one, and restored devices, which people mount, have none. 10-dmlive.rules has
 * the same patterns for udev.
 */

#include <stdbool.h>

#define DM_UUID_BYTES	129

#define DM_UUID_LVM_PREFIX	"LVM-"
#define DM_UUID_INNER_PREFIX	DM_UUID_LVM_PREFIX "dmlive-"
#define DM_UUID_INNER_SUFFIX	"-dmlive"

/* Of a logical volume: "LVM-" and the UUIDs of the group and the volume. */
#define DM_UUID_LV_LENGTH	(4 + 64)

/* Did dmlive make the device, not being an inner device or a view? */
bool dm_uuid_is_ours(const char *uuid);

/* A private restored device. */
bool dm_uuid_is_private(const char *uuid);

/* The view of a backup. Those of earlier versions are dm_uuid_is_ours(). */
bool dm_uuid_is_view(const char *uuid);

/* An inner device: attach/inner.h. */
bool dm_uuid_is_inner(const char *uuid);

/* A logical volume or a part of one; also an inner device. */
bool dm_uuid_is_lv(const char *uuid);
bool dm_uuid_is_lv_part(const char *uuid);

/* For a restored device: a new one. */
void dm_uuid_make(bool private, char uuid[DM_UUID_BYTES]);

/* For the view of the device of this number. */
void dm_uuid_make_view(unsigned int major, unsigned int minor,
		       char uuid[DM_UUID_BYTES]);

#endif /* DMLIVE_DM_UUID_H */
