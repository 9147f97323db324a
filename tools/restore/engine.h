/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_ENGINE_H
#define DMLIVE_RESTORE_ENGINE_H

/*
 * The engine serves a mapped device from a backing. What guest I/O waits for comes first;
 * everything else is streamed in the background.
 *
 * Life: create, start (faults are served from now on, so the device may be resumed), run
 * until the job has completed, stop, destroy. The channel and the backing must outlive
 * the engine.
 */

#include <stdbool.h>
#include <stdint.h>

#include "restore/channel.h"
#include "restore/backing.h"

struct engine;

struct engine_options {
	const char *name;	/* for messages */
	unsigned int nr_threads;	/* that stream; 0: two for each CPU */
	/* Zeroing the volume costs as much as writing to it. */
	bool zeroes_are_writes;
	/* Called when the state of the job has changed. Must not sleep for long. */
	void (*on_state)(const struct dm_alloctrack_info *info, void *argument);
	void *argument;
};

enum engine_end {
	ENGINE_COMPLETE,	/* everything is on the volume */
	ENGINE_GONE,		/* the mapped device is gone or was replaced */
};

/* Return: 0 or a negative errno, after a message. */
int engine_create(struct channel *channel, struct backing *backing,
		  const struct engine_options *options, struct engine **engine);
int engine_start(struct engine *engine);

/*
 * Follow the stream job until it has completed or the device is gone.
 * After ENGINE_COMPLETE faults are still served, until engine_stop().
 */
enum engine_end engine_run(struct engine *engine);

/* Wait until no guest I/O waits, or the device is gone. */
void engine_drain(struct engine *engine);

/* End all threads. Later faults are not served. */
void engine_stop(struct engine *engine);
void engine_destroy(struct engine *engine);

#endif /* DMLIVE_RESTORE_ENGINE_H */
