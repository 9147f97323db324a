/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RUNTIME_H
#define DMLIVE_RUNTIME_H

/*
 * What is known about a restore beside what the kernel knows, in /run/dmlive:
 *
 *   NAME.json	the image, the volume and the options, for status and resume
 *   NAME.lock	locked by the process that serves the device, as long as it
 *		lives (and by no other: so a free lock means that no process does);
 *		the number of the process, and the number and UUID of the device
 *   NAME.log	what that process had to say
 *
 * The files of a finished restore are removed.
 *
 * NAME is what the device was called at first. After a rename its files are found by
 * what the lock file says; a new device of that name gets NAME~MAJOR:MINOR.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RUNTIME_FOLDER "/run/dmlive"

struct restore_options {
	char *image;		/* canonical path */
	char *format;		/* NULL: probe */
	char *snapshot;		/* NULL: the active state */
	char *volume;		/* canonical path, NULL: unknown */
	char *meta;		/* the metadata device, NULL: none, or unknown */
	bool kernel_streams;	/* the backing is a device */
	bool no_finish;
	bool force;
	bool allow_paths;	/* that the image names */
	unsigned int nr_threads;	/* 0: the default */
	char uuid[129];		/* of the mapped device that the guest uses */
	/*
	 * With tracking: the name of that device, the record being of its inner one;
	 * the bitmap, and the metadata device that it is on. Else NULL.
	 */
	char *outer;
	char *track;
	char *track_meta;
	/* The image as it was, to notice when it was replaced. */
	uint64_t image_bytes;
	uint64_t image_inode;
	uint64_t image_mtime_ns;
};

void restore_options_free(struct restore_options *options);

/* Set one of the strings to a copy of @text; NULL leaves it as it is. */
void restore_options_set(char **member, const char *text);

/*
 * Become the process that serves @name.
 * Return: a file descriptor to keep open, or a negative errno after a message:
 * -EBUSY when there is one.
 */
int runtime_lock(const char *name);

/* Release the lock, and remove its file where nothing else is known. */
void runtime_unlock(const char *name, int lock_fd);

/* The path of the file with this suffix for the device @name; it need not exist. */
void runtime_path(char path[PATH_MAX], const char *name, const char *suffix);

/*
 * Does the lock file called @file, which was its device's first name, say which device
 * that is, and does that exist, under whatever name?
 */
bool runtime_has_device(const char *file);

/* The process that serves @name, 0 when there is none. */
pid_t runtime_server(const char *name);

/* Both print what went wrong. The caller of save holds the lock. */
int runtime_save(const char *name, const struct restore_options *options);

/* -ENOENT, without a message, when nothing is known of @name. */
int runtime_load(const char *name, struct restore_options *options);

/*
 * Call @each for everything on record that can be read, until it is not 0.
 * Returns that.
 */
int runtime_for_each(int (*each)(const char *name,
				 const struct restore_options *options,
				 void *argument), void *argument);

/* Forget @name, unless a process serves it. With @lock_fd: its holder forgets. */
void runtime_remove(const char *name, int lock_fd);

/* Open the log for appending. A file descriptor or a negative errno. */
int runtime_open_log(const char *name);

/* The last line of the log that is an error, or NULL. To be freed. */
char *runtime_last_error(const char *name);

#endif /* DMLIVE_RUNTIME_H */
