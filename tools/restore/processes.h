/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_PROCESSES_H
#define DMLIVE_RESTORE_PROCESSES_H

/*
 * A restore as the user starts it: a server process, apart from the terminal, that
 * makes the device and serves it to the end; and the process in the foreground, which
 * only shows what happens. So nothing that happens to the terminal affects the
 * device.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/dm-alloctrack.h>

struct restore_request {
	const char *name;
	const char *image;		/* resume: NULL if it is known */
	const char *volume;		/* NULL: resume */
	/* The metadata device; with a volume: NULL, "auto" or a path. */
	const char *meta;
	/* Bitmap for what is written from now on, and where: NULL, "auto" or a path. */
	const char *track;
	const char *track_meta;
	const char *moved_volume;	/* resume: it has another path now */
	const char *format;
	const char *snapshot;
	uint64_t block_bytes;		/* 0: chosen by the size */
	uint64_t stream_speed;		/* bytes/s, 0: no limit */
	enum dm_alloctrack_on_error on_error;
	uint64_t user_timeout_s;	/* 0: for ever */
	unsigned int nr_threads;	/* 0: the default */
	bool whole_volume;		/* the device gets the volume's size */
	bool force;
	bool allow_paths;		/* that the image names */
	bool no_finish;
	bool background;
	bool json;
};

/* Returns the exit status. Paths of descriptors become those of their files. */
int processes_run(struct restore_request *request);

/* server.c: the server process; returns its exit status. */
int server_main(const struct restore_request *request, int report_fd);

/*
 * front-end.c: the process in the foreground; reads reports from @report_fd until the
 * server is done, or the user interrupts. Returns the exit status.
 */
int front_end_main(const struct restore_request *request, int server_pid,
	       int report_fd);

#endif /* DMLIVE_RESTORE_PROCESSES_H */
