/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_H
#define DMLIVE_BACKUP_H

/*
 * A backup of one or more cbw devices at one point in time, see `dmlive backup`.
 *
 * What holds the old data of a session, and who copies:
 *
 *	fleece		a device, or a temporary file on a loop device, gets what
 *			guest writes would overwrite; threads of this process
 *			read a view of the point in time, write the image, and
 *			discard what they have read
 *	by job		the output is a raw block device: it is the session's
 *			target, and the kernel's job copies everything there
 */

#include <stdbool.h>
#include <stdint.h>

#include "qcow2/writer.h"

/* Devices in one command. */
#define BACKUP_MAX_VOLUMES 64

/* For --base: there is none for this device. */
#define BACKUP_BASE_NONE "none"

/* For --fleece: no fleece device, the kernel's job copies. */
#define BACKUP_FLEECE_NONE "none"

/* Defaults; the first one is that of Proxmox VE. */
#define BACKUP_CBW_TIMEOUT_S	45
#define BACKUP_FREEZE_TIMEOUT_S	30

struct backup_pair {
	const char *name;		/* a mapped device's name, or a path */
	const char *output;
};

struct backup_request {
	struct backup_pair pairs[BACKUP_MAX_VOLUMES];
	unsigned int nr_pairs;
	/* One for each pair in order, or one folder or "none" for all. */
	const char *fleeces[BACKUP_MAX_VOLUMES];
	unsigned int nr_fleeces;
	struct writer_options image;	/* format, clusters and compression */
	bool format_is_given;		/* else by the output's name */
	uint64_t speed;			/* bytes/s, 0: no limit */
	unsigned int nr_threads;	/* 0: the default */
	uint64_t cbw_timeout_ms;	/* 0: none */
	bool break_guest_write;
	unsigned int freeze_timeout_s;	/* 0: none */
	/*
	 * The bitmap of each device that records what has changed since its previous
	 * backup, or NULL; and these backups, one for each pair in order or none.
	 */
	const char *bitmap;
	const char *bases[BACKUP_MAX_VOLUMES];
	unsigned int nr_bases;
	bool full;			/* whatever the bitmap has */
	bool no_full;			/* fail where no increment is possible */
	/* Make a bitmap that records from now on. 0, or a status after a message. */
	int (*add_bitmap)(const char *name, const char *bitmap);
	bool force;
	bool json;
};

/* Returns the exit status. */
int backup_run(const struct backup_request *request);

#endif /* DMLIVE_BACKUP_H */
