/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_SERVER_H
#define DMLIVE_RESTORE_SERVER_H

/*
 * What the files of the server share. Upper files call lower ones:
 *
 *   server.c		life of the process
 *   create.c		a new restore, its metadata in create-metadata.c
 *   recover.c		an unfinished restore, made again from its metadata
 *   takeover.c		a mapped device that is there and lacks a server
 *   new-volume.c	the volume, if it is made for the restore
 *   tracking.c		the bitmap that records changes, and tracking-resume.c
 *   companion.c	metadata devices beside the volume
 *   device.c		the mapped device
 *   outer.c		the cbw device over it
 *   own-device.c	the volume's own, for a restore in place; own-finish.c
 *   open-image.c	the image
 *   signals.c		requests to terminate
 *
 * Functions that return an int return an exit status, after a message, unless they say
 * otherwise.
 */

#include <limits.h>

#include "attach/inner.h"
#include "attach/volume.h"
#include "block/blockdev.h"
#include "block/dm.h"
#include "block/lvm.h"
#include "restore/runtime.h"
#include "restore/unfinished.h"
#include "lines/status-line.h"
#include "store/generation.h"
#include "store/track.h"
#include "restore/channel.h"
#include "restore/companion.h"
#include "restore/engine.h"
#include "restore/processes.h"
#include "restore/backing.h"

/* The volume, and the metadata devices of the restore and of its tracking. */
#define NR_DEVICE_LOCKS 3

/*
 * The bitmap that records changes, see tracking.h. All zeros: there is none.
 *
 * @device: its metadata device
 * @uuid: of a store that is made
 * @store: UUID of the store, as text
 * @identity: of the image; NULL: nothing identifies it
 * @outer_made: to be undone if something fails
 * @online: the cbw device exists already
 */
struct tracking {
	struct companion device;
	uint8_t uuid[QCOW2_DMLIVE_UUID_BYTES];
	char store[META_UUID_BYTES];
	char *identity;
	bool outer_made;
	bool online;
};

/*
 * The volume of a restore in place, see own-device.h.
 *
 * @recorded: by this process, so to be undone if something fails
 * @is_locked: @locks are held, if it needs any
 */
struct own {
	bool recorded;
	bool is_locked;
	struct volume volume;
	struct inner inner;
	struct lvm_locks locks;
};

/*
 * @data: where the data go: the volume, or its inner device
 * @name: the device that is restored: the one that the user names, or its inner
 *	device
 * @outer: the device that the user names, if it has an inner device, else NULL
 * @lock_fd: the lock of @name; -1: none
 * @device_locks: of the devices below the mapped device, until it holds them open
 */
struct server {
	const struct restore_request *request;
	const char *name;
	const char *outer;
	char inner[DM_NAME_BYTES];
	char inner_uuid[DM_UUID_BYTES];
	struct tracking tracking;
	int lock_fd;
	int device_locks[NR_DEVICE_LOCKS];
	unsigned int nr_device_locks;
	struct restore_options options;
	struct image *image;		/* NULL: the kernel reads it */
	struct image_backing backing;
	struct channel *channel;
	struct engine *engine;
	bool in_place;
	struct own own;
	struct blockdev volume;
	struct blockdev data;
	struct companion meta;
	struct unfinished_list earlier;	/* restores onto the volume, found on any device */
	struct alloctrack_features features;
	uint64_t image_bytes;
	uint64_t device_bytes;
	uint64_t block_bytes;
	bool nothing_left;		/* to copy, so no image is needed */
	bool created;			/* to be removed if something fails */
	bool to_clear;			/* the volume, see clear.h */
	bool new_volume_is_made;	/* to be removed if something fails */
};

/* create.c */
int create_prepare(struct server *server);

/* recover.c */
int recover_prepare(struct server *server);

/* create-metadata.c */

/* Refuse, unless forced, to start over an unfinished restore onto the volume. */
int create_check_begun(struct server *server);

/* Refuse a metadata device that cannot be used. */
int create_check_metadata(struct server *server);

/*
 * Retire the metadata of earlier restores onto the volume, then write the new ones. They
 * are durable when this returns, and nothing has been written to the volume yet.
 */
int create_make_metadata(struct server *server);

/* The mapped device could not be made: undo create_make_metadata(). */
void create_undo_metadata(struct server *server);

/* device.c */

/* Keep other processes off a device; call this before it is examined. */
int device_lock(struct server *server, const struct blockdev *device);

/* The same for a metadata device: open it, lock it, refuse it if it is in use. */
int device_lock_metadata(struct server *server, const char *path,
			 struct blockdev *device);
void device_unlock_all(struct server *server);

/* Refuse a name that exists. */
int device_check_name(struct server *server);

/* Refuse the name of a private device that lvm2 would take for a layer of the volume. */
int device_check_layer(const struct server *server);

/* Put a new UUID for the mapped device into the options. */
void device_make_uuid(struct server *server);

/* Attach to the device, and serve its faults from now on. */
int device_attach(struct server *server);

/*
 * Send a message to the device. Returns 0 or a negative errno, after a message. Starting
 * a job that has completed already is not an error.
 */
int device_message(struct server *server, const char *text);

/* Make the mapped device, with its table loaded but inactive. */
int device_make(struct server *server);

/* Attach, activate the table and start the stream job. */
int device_start(struct server *server);

/* takeover.c */
int takeover_prepare(struct server *server);

/* open-image.c */

/*
 * Open server->options.image, and decide whether the kernel or this process reads it.
 * Records its identity in the options.
 */
int server_open_image(struct server *server);

/* Resume: the same, for an image that must be on record and fit the device. */
int server_reopen_image(struct server *server);

/* Resume: refuse an image that is not the one on record, unless forced. */
int server_check_image(const struct server *server, bool is_same);

/* signals.c */
void server_catch_signals(void);

/* Does the device need this process from now on? */
void server_set_needed(bool needed);

/* Was this process asked to terminate while it was not needed? */
bool server_is_interrupted(void);

#endif /* DMLIVE_RESTORE_SERVER_H */
