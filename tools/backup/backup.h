/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_H
#define DMLIVE_BACKUP_H

/*
 * A backup of one or more cbw devices at one point in time, see `dmlive backup`.
 *
 * There are two ways to copy:
 *
 *	fleece		Old data go to a fleece device: a block device, or a
 *			temporary file on a loop device. Threads of this process
 *			read a view of the point in time, write the image, and
 *			discard what they have read.
 *	by job		The output is a raw block device and the session's
 *			target. The kernel's job copies everything to it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "qcow2/writer.h"

struct backup_guest;

/* Devices in one command, at most. */
#define BACKUP_MAX_VOLUMES 64

/* The value of --base for a device without a previous backup. */
#define BACKUP_BASE_NONE "none"

/* The value of --base, once for all devices: look for it in the folder of the output. */
#define BACKUP_BASE_AUTO "auto"

/* The value of --fleece for copying by job. */
#define BACKUP_FLEECE_NONE "none"

/* Defaults. Proxmox VE has the same --cbw-timeout. */
#define BACKUP_CBW_TIMEOUT_S	45
#define BACKUP_FREEZE_TIMEOUT_S	30
#define BACKUP_HOOK_TIMEOUT_S	60

struct backup_pair {
	const char *name;		/* a mapped device's name, or a path */
	const char *output;
};

struct backup_request {
	struct backup_pair pairs[BACKUP_MAX_VOLUMES];
	unsigned int nr_pairs;
	/* One for each pair, in order; or one folder or "none" for all. */
	const char *fleeces[BACKUP_MAX_VOLUMES];
	unsigned int nr_fleeces;
	struct writer_options image;	/* format, clusters and compression */
	bool format_is_given;		/* if not, the output's name decides */
	uint64_t speed;			/* bytes/s, 0: no limit */
	unsigned int nr_threads;	/* 0: the default */
	uint64_t cbw_timeout_ms;	/* 0: none */
	bool break_guest_write;
	unsigned int freeze_timeout_s;	/* 0: none */
	/* Commands around the point in time, or NULL; their time limit, 0: none. */
	const char *before;
	const char *after;
	unsigned int hook_timeout_s;
	/* Where the status of @after goes; NULL: it is that of a backup that succeeded. */
	int *after_status;
	/*
	 * The bitmap, on each device, that records changes since the previous backup,
	 * or NULL; and these backups: one for each pair, in order, one "auto" for all, or
	 * none at all.
	 */
	const char *bitmap;
	const char *bases[BACKUP_MAX_VOLUMES];
	unsigned int nr_bases;
	bool full;			/* even if an increment is possible */
	bool no_full;			/* fail if no increment is possible */
	/* Add a bitmap that records from now on. 0, or a status after a message. */
	int (*add_bitmap)(const char *name, const char *bitmap);
	/* The virtual machine that the devices belong to, or NULL: see guest.h. */
	const struct backup_guest *guest;
	bool force;
	bool json;
};

/* Returns the exit status. */
int backup_run(const struct backup_request *request);

#endif /* DMLIVE_BACKUP_H */
