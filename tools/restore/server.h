/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_SERVER_H
#define DMLIVE_RESTORE_SERVER_H

/*
 * What the files of the server process share: server.c has its life, new-device.c
 * makes a device for a restore, old-device.c takes up one that is there.
 *
 * Functions that prepare return an exit status, EXIT_OK or what to end with, after
 * a message.
 */

#include "lib/blockdev.h"
#include "lib/dm.h"
#include "lib/runtime.h"
#include "restore/channel.h"
#include "restore/engine.h"
#include "restore/session.h"
#include "restore/source.h"

struct server {
	const struct restore_request *request;
	const char *name;
	int lock_fd;
	struct restore_options options;
	struct image *image;		/* NULL: the kernel streams */
	struct image_source source;
	struct channel *channel;
	struct engine *engine;
	struct blockdev target;
	uint64_t image_bytes;
	uint64_t device_bytes;
	uint64_t block_bytes;
	bool created;			/* to be removed if something fails */
};

/* new-device.c */
int new_device_prepare(struct server *server);

/* old-device.c */
int old_device_prepare(struct server *server);

/* server.c */

/*
 * Open server->options.image, and see who streams. Fills in what the options say
 * about the image.
 */
int server_open_image(struct server *server);

/* Attach to the device and serve its faults from now on. */
int server_attach(struct server *server);

/* Was this process asked to end, before the device was usable? */
bool server_is_interrupted(void);

/* 0, or the message was refused: prints it. */
int server_message(struct server *server, const char *text);

#endif /* DMLIVE_RESTORE_SERVER_H */
