/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_VOLUME_H
#define DMLIVE_BACKUP_VOLUME_H

/*
 * One device of a backup, and each step that is made with it alone. What a step
 * has made is kept here, so that volume_close() and the others undo what there
 * is, whatever failed. Functions return an exit status, after a message.
 */

#include <stdbool.h>
#include <stdint.h>

#include "backup/backup.h"
#include "backup/extents.h"
#include "backup/increment.h"
#include "backup/view.h"
#include "block/blockdev.h"
#include "block/dm.h"

/* Unit of reading; more where a block or a cluster of the image is larger. */
#define VOLUME_CHUNK_BYTES (1u << 20)

/*
 * @store: the path of the fleece device, or a description of it
 * @store_fd: keeps the loop device of a temporary file, until a table holds it
 * @store_lock_fd: nobody else takes the device that a session writes to
 * @before: parameters of the table without a session
 * @during: with it
 * @scope: what is copied
 * @lock_fd: nobody else backs this device up
 * @is_renamed: it was reported that its name is not @name any more
 * @on_record: killed from now on, leftovers_lock_and_clear() finds it
 * @is_sorted: it has its place in the order of suspending
 * @is_loaded: the table with the session is the inactive one
 * @in_session: it may be the live one
 */
struct volume {
	char name[DM_NAME_BYTES];
	dev_t devt;
	uint64_t bytes;
	uint64_t block_bytes;
	bool read_only;
	const char *output;
	char output_path[4096];
	enum writer_format format;
	bool by_job;
	struct blockdev output_device;	/* by_job */
	int output_fd;			/* by_job: wiped through it */
	struct writer *writer;
	char store[4096];
	char store_folder[4096];	/* of a temporary file, or "" */
	char store_number[32];
	int store_fd;
	int store_lock_fd;
	char *before;
	char *during;
	struct extents scope;
	struct increment increment;
	char view[32];
	bool has_view;
	int view_fd;
	int lock_fd;
	bool is_renamed;
	bool on_record;
	bool is_sorted;
	bool is_loaded;
	bool in_session;
};

/* Find the device, make sure that it can be backed up, and lock it. */
int volume_open(struct volume *volume, const struct backup_pair *pair);
void volume_close(struct volume *volume);

/* The table with a session, when the store is known. */
int volume_compose(struct volume *volume, const struct backup_request *request,
		   uint64_t job_speed);

/* destination.c */

/*
 * Does what is at @path, a device or a folder, lie on one of the volumes, or belong
 * to it? Says which, and what @what is. True: it cannot be used for a backup of them.
 */
bool volumes_hold(const struct volume *volumes, unsigned int nr,
		  const char *path, const char *what);

/* Look at the output: what it is, who copies, may it be used? */
int destination_check(struct volume *volumes, unsigned int nr,
		      struct volume *volume,
		      const struct backup_request *request, const char *fleece);

/* Begin to write. From now on it holds nothing that looks like a backup. */
int destination_create(struct volume *volume,
		       const struct backup_request *request);

/* All is written: make it durable and valid. */
int destination_finish(struct volume *volume);

/* Remove it, or leave a block device without anything valid. */
void destination_abort(struct volume *volume);

/* fleece.c: find or make what holds old data. @fleece: as the user has it, or NULL. */
int fleece_open(struct volume *volumes, unsigned int nr, struct volume *volume,
		const char *fleece, bool force);

struct cbw_status;

/* full.c: say so if that is why old data could not be kept. False: it is not. */
bool full_explain(const struct volume *volume, const struct cbw_status *status);

/* view.c */
int view_make(struct volume *volume);
/* On failure, after a message, the view is left to leftovers_lock_and_clear(). */
int view_remove(struct volume *volume);

/* moment.c */

/*
 * For messages: its name, and its current name if that differs. In static memory until
 * the next call.
 */
const char *volume_called(const struct volume *volume);

/* From moment_begin(): the plan of an increment does not hold; all are as they were. */
#define MOMENT_STALE (-1)

/*
 * Begin all sessions at one point in time. @limit_s: fail when devices would be suspended
 * or file systems frozen for longer; 0: no limit. @suspended_ns: how long the first one
 * was. On failure all are as they were.
 */
int moment_begin(struct volume *volumes, unsigned int nr, unsigned int limit_s,
		 uint64_t *suspended_ns);

/* End a session: a table without it. 0 or a negative errno. */
int moment_restore(const char *name, uint64_t nr_sectors, const char *params,
		   bool read_only);

/*
 * Are these the parameters of a table with a session on the device @store, begun by a
 * backup when the table was @before?
 */
bool moment_is_session(const char *params, const char *before,
		       const char *store);

/*
 * End the session, if there is one, when its view is gone. A table that somebody
 * else has loaded meanwhile stays.
 */
int moment_end(struct volume *volume);

#endif /* DMLIVE_BACKUP_VOLUME_H */
