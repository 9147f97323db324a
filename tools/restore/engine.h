/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_ENGINE_H
#define DMLIVE_RESTORE_ENGINE_H

/*
 * The engine that serves a mapped device from a source: what guest I/O waits
 * for comes first, everything else is streamed behind it.
 *
 * Life: create, start (now faults are served, so the device may be resumed),
 * run until the end of the job, stop, destroy. The channel and the source must
 * outlive the engine.
 */

#include <stdbool.h>
#include <stdint.h>

#include "restore/channel.h"
#include "restore/source.h"

struct engine;

struct engine_options {
	const char *name;	/* for messages */
	unsigned int nr_threads;	/* that stream; 0: two for each CPU */
	/* Zeroing the volume costs as much as writing it. */
	bool zeroes_are_writes;
	/* The state of the stream job has changed. Must not sleep for long. */
	void (*on_state)(const struct dm_alloctrack_info *info, void *argument);
	void *argument;
};

enum engine_end {
	ENGINE_COMPLETE,	/* everything is on the volume */
	ENGINE_GONE,		/* the mapped device is gone, or is another */
};

/* Return: 0 or a negative errno, after a message. */
int engine_create(struct channel *channel, struct source *source,
		  const struct engine_options *options, struct engine **engine);
int engine_start(struct engine *engine);

/*
 * Follow the stream control until the job is complete or the device is gone.
 * After ENGINE_COMPLETE faults are still served, until engine_stop().
 */
enum engine_end engine_run(struct engine *engine);

/* Wait until no guest I/O waits any more, or the device is gone. */
void engine_drain(struct engine *engine);

/* Ends all threads. Nobody serves faults that come later. */
void engine_stop(struct engine *engine);
void engine_destroy(struct engine *engine);

#endif /* DMLIVE_RESTORE_ENGINE_H */
