/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_PROCESSES_H
#define DMLIVE_RESTORE_PROCESSES_H

/*
 * A restore is two processes. The server, detached from the terminal, makes the device
 * and serves it until the restore has completed. The front end stays in the foreground
 * and only shows progress, so whatever happens to the terminal, the device is served.
 */

#include <stdbool.h>
#include <stdint.h>

#include <linux/dm-alloctrack.h>

#define RESTORE_MIN_BLOCK_BYTES	4096u
#define RESTORE_MAX_BLOCK_BYTES	(2u << 20)
#define RESTORE_MAX_THREADS	64u

struct restore_request {
	const char *name;
	const char *image;		/* resume: NULL: the one on record */
	const char *volume;		/* NULL: resume */
	/* The metadata device: a path; for a new restore also NULL or "auto". */
	const char *meta;
	/* The bitmap that records changes, and its device: NULL, "auto" or a path. */
	const char *track;
	const char *track_meta;
	const char *moved_volume;	/* resume: its path, if that has changed */
	const char *format;
	const char *snapshot;
	uint64_t block_bytes;		/* 0: chosen by the size */
	uint64_t stream_speed;		/* bytes/s, 0: no limit */
	enum dm_alloctrack_on_error on_error;
	uint64_t user_timeout_s;	/* 0: none */
	unsigned int nr_threads;	/* 0: the default */
	bool target_is_zero;		/* the user says so */
	bool no_discard;
	bool copy_on_read;
	bool no_detect_zeroes;
	/* Make the volume, in this pool and of this type if they are not NULL. */
	bool create;
	const char *thinpool;
	const char *type;
	bool size_is_given;
	bool whole_volume;		/* the device gets the volume's size */
	bool force;
	bool allow_paths;		/* that the image names */
	bool no_finish;
	bool in_place;			/* @name is the volume itself */
	/* The option --private or --no-private is given; without, it is private. */
	bool is_private, is_public;
	bool background;
	bool json;
	bool all;			/* resume: see resume-all.h */
	bool with_systemd;
	bool one_only;			/* has options that --all has not */
	bool serve;			/* resume: in this process */
};

/*
 * Call @each for each path in the request, which may be NULL, until one does not return
 * EXIT_OK. Returns the last exit status.
 */
int request_each_path(struct restore_request *request,
		      int (*each)(const char **path));

/*
 * Start the server, and be the front end. Returns the exit status. Paths of descriptors,
 * such as /dev/fd/3, are replaced by those of their files.
 */
int processes_run(struct restore_request *request);

/*
 * Be the server, and nothing else: the main process of a service. Returns the exit
 * status.
 */
int processes_serve(struct restore_request *request);

/* server.c: the server process; returns its exit status. */
int server_main(const struct restore_request *request, int report_fd);

/*
 * front-end.c: reads reports from @report_fd until the server has finished or the user
 * interrupts. Returns the exit status.
 */
int front_end_main(const struct restore_request *request, int server_pid,
		   int report_fd);

#endif /* DMLIVE_RESTORE_PROCESSES_H */
