/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_SERVER_H
#define DMLIVE_RESTORE_SERVER_H

/*
 * What the files of the server process share: server.c has its life, create.c
 * prepares a restore, create-metadata.c its metadata device, recover.c prepares to
 * go on with a restore that is recorded on a metadata device; both use device.c to
 * make the mapped device. takeover.c takes over one that is there. tracking.c and
 * outer.c add what records changes.
 *
 * Functions that prepare return an exit status, after a message: EXIT_OK, or the one
 * to end with.
 */

#include <limits.h>

#include "attach/inner.h"
#include "block/blockdev.h"
#include "block/dm.h"
#include "restore/runtime.h"
#include "lines/status-line.h"
#include "store/generation.h"
#include "store/track.h"
#include "restore/channel.h"
#include "restore/companion.h"
#include "restore/engine.h"
#include "restore/processes.h"
#include "restore/source.h"

/* The volume, and the metadata devices of the restore and of its tracking. */
#define NR_DEVICE_LOCKS 3

/*
 * The bitmap that records changes, see tracking.h. All is 0 without.
 *
 * @device: its metadata device
 * @uuid: of a store that is made
 * @store: UUID of the store, as text
 * @identity: of the image; NULL: nothing identifies it
 * @outer_made: to be undone if something fails
 * @online: the cbw device is there already
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
 * @name: the device that is restored: the one that the user names, or its inner
 *	device
 * @outer: the device that the user names; NULL: there is no inner device
 * @lock_fd: the lock of @name; -1: none
 * @device_locks: of what the mapped device is made of, until it is there, or all is
 *	undone
 */
struct server {
	const struct restore_request *request;
	const char *name;
	const char *outer;
	char inner[DM_NAME_BYTES];
	char inner_uuid[INNER_UUID_BYTES];
	struct tracking tracking;
	int lock_fd;
	int device_locks[NR_DEVICE_LOCKS];
	unsigned int nr_device_locks;
	struct restore_options options;
	struct image *image;		/* NULL: the kernel streams */
	struct image_source source;
	struct channel *channel;
	struct engine *engine;
	struct blockdev volume;
	struct companion meta;
	struct alloctrack_features features;
	uint64_t image_bytes;
	uint64_t device_bytes;
	uint64_t block_bytes;
	bool nothing_left;		/* to copy: no image is needed */
	bool created;			/* to be removed if something fails */
};

/* create.c */
int create_prepare(struct server *server);

/* recover.c */
int recover_prepare(struct server *server);

/* create-metadata.c */

/*
 * Refuse, unless forced, to start over what another restore onto the volume has
 * begun.
 */
int create_check_begun(struct server *server);

/* Check whether the metadata device that was asked for can be used. */
int create_check_metadata(struct server *server);

/*
 * Give up what was begun before, then make the store. When this returns, the store is
 * durable, and nothing has been written to the volume.
 */
int create_make_metadata(struct server *server);

/* The mapped device could not be made: undo what was made. */
void create_undo_metadata(struct server *server);

/* device.c */

/* Keep other processes off a device, from before it is looked at. */
int device_lock(struct server *server, const struct blockdev *device);
void device_unlock_all(struct server *server);

/* Refuse a name that is taken. */
int device_check_name(struct server *server);

/* A new UUID for the mapped device, in the options. */
void device_make_uuid(struct server *server);

/* Attach to the device and serve its faults from now on. */
int device_attach(struct server *server);

/*
 * Return: 0, or an error after a message if it was refused. A job that need not be
 * started any more is not an error.
 */
int device_message(struct server *server, const char *text);

/* Make the mapped device, with its table inactive. */
int device_make(struct server *server);

/* Attach, make the table active and start the stream job. */
int device_start(struct server *server);

/* takeover.c */
int takeover_prepare(struct server *server);

/* open-image.c */

/*
 * Open server->options.image, and find out who streams. Fills in what the options say
 * about the image.
 */
int server_open_image(struct server *server);

/* Resume: the same, if it is known where it is and fits the device. */
int server_reopen_image(struct server *server);

/* Resume: refuse an image that is not the one on record, unless forced. */
int server_check_image(const struct server *server, bool is_same);

/* signals.c */
void server_catch_signals(void);

/* From now on the device needs this process, or does not need it any longer. */
void server_set_needed(bool needed);

/* Was this process asked to end, while it was not needed? */
bool server_is_interrupted(void);

#endif /* DMLIVE_RESTORE_SERVER_H */
