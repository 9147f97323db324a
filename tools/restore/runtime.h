/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RUNTIME_H
#define DMLIVE_RUNTIME_H

/*
 * Restores on record, in /run/dmlive; the kernel does not know these things:
 *
 *   NAME.json	the image, the volume and the options, for status and resume
 *   NAME.lock	locked by the server for as long as it lives, and by no other process;
 *		holds its process ID, and the number and UUID of the device
 *   NAME.log	messages of the server
 *
 * The files of a finished restore are removed.
 *
 * NAME is the first name of the device. After a rename, its files are found by the device
 * in the lock file; a new device of that name gets NAME~MAJOR:MINOR.
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
	bool kernel_streams;	/* the backing is a device, which the kernel reads */
	bool no_finish;
	bool force;
	bool allow_paths;	/* that the image names */
	unsigned int nr_threads;	/* 0: the default */
	char uuid[129];		/* of the mapped device that the guest uses */
	/*
	 * With tracking, else NULL: the name of that device, since the record has the
	 * name of its inner device; the bitmap, and its metadata device.
	 */
	char *outer;
	char *track;
	char *track_meta;
	/* The image as it was, to notice that it has been replaced. */
	uint64_t image_bytes;
	uint64_t image_inode;
	uint64_t image_mtime_ns;
};

void restore_options_free(struct restore_options *options);

/* Set one of the strings to a copy of @text; NULL leaves it as it is. */
void restore_options_set(char **member, const char *text);

/*
 * Become the process that serves @name. Returns a file descriptor to keep open, or a
 * negative errno after a message; -EBUSY: another process serves it.
 */
int runtime_lock(const char *name);

/* Release the lock, and remove its file if there is no record. */
void runtime_unlock(const char *name, int lock_fd);

/* The path of the file of @name with this suffix. It need not exist. */
void runtime_path(char path[PATH_MAX], const char *name, const char *suffix);

/*
 * Does the device exist that the lock file of @file names? @file is its first name; its
 * present name may be another.
 */
bool runtime_has_device(const char *file);

/* The process that serves @name; 0: none. */
pid_t runtime_server(const char *name);

/* Return 0 or a negative errno, after a message. The caller holds the lock. */
int runtime_save(const char *name, const struct restore_options *options);

/* The same. -ENOENT, without a message: there is no record. */
int runtime_load(const char *name, struct restore_options *options);

/*
 * Call @each for each record that can be read, until it returns a value other than 0.
 * Returns that.
 */
int runtime_for_each(int (*each)(const char *name,
				 const struct restore_options *options,
				 void *argument), void *argument);

/*
 * Remove the files of @name, unless a process serves it. @lock_fd: the lock, if this
 * process holds it, else -1.
 */
void runtime_remove(const char *name, int lock_fd);

/* Open the log for appending. Returns a file descriptor or a negative errno. */
int runtime_open_log(const char *name);

/* The last error in the log, or NULL. To be freed. */
char *runtime_last_error(const char *name);

#endif /* DMLIVE_RUNTIME_H */
