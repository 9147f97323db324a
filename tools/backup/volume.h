/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_VOLUME_H
#define DMLIVE_BACKUP_VOLUME_H

/*
 * One device of a backup, and the steps that concern one device at a time. Each step
 * records here what it has made, so that whatever fails, what exists can be undone.
 * Functions that return an int give an exit status, after a message, unless they say
 * otherwise.
 */

#include <stdbool.h>
#include <stdint.h>

#include "backup/backup.h"
#include "backup/extents.h"
#include "backup/increment.h"
#include "backup/view.h"
#include "block/blockdev.h"
#include "block/dm.h"
#include "block/lvm.h"

#define SECTOR_BYTES 512u

/* The unit of reading, unless blocks or the clusters of the image are larger. */
#define VOLUME_CHUNK_BYTES (1u << 20)

/*
 * @output_device: the output, if it is copied by job
 * @output_fd: of @output_device, to wipe it
 * @old_data: what the old data are written to, for messages
 * @old_data_folder: of the temporary file with the old data, or ""
 * @old_data_number: number of the device with the old data
 * @old_data_fd: keeps the loop device of a temporary file until a table uses it
 * @old_data_lock_fd: lock of the device that the session writes to
 * @fleece_volume: the temporary volume for old data; no name: there is none
 * @fleece_tag: its tag that no other volume has
 * @before: parameters of the table without the session
 * @during: parameters of the table with the session
 * @scope: what is copied
 * @lock_fd: keeps others from backing up, restoring or changing the device
 * @is_renamed: a message has said that the device is not called @name any more
 * @on_record: recovery_lock_and_clear() can undo the backup if this process is killed
 * @is_sorted: the order of suspending includes it
 * @is_loaded: the inactive table is the one with the session
 * @in_session: the live table may be the one with the session
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
	struct blockdev output_device;
	int output_fd;
	struct writer *writer;
	char old_data[4096];
	char old_data_folder[4096];
	char old_data_number[32];
	int old_data_fd;
	int old_data_lock_fd;
	struct lvm_volume fleece_volume;
	char fleece_tag[LVM_TAG_BYTES];
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

/*
 * For messages: the name, and the current name if the device was renamed. In static
 * memory, valid until the next call.
 */
const char *volume_called(const struct volume *volume);

/*
 * Does @path, a device, file or folder, lie on one of the volumes, or is it one? Then a
 * message says so of @what, and nothing of the backup may be written there.
 */
bool volumes_hold(const struct volume *volumes, unsigned int nr,
		  const char *path, const char *what);

/* Old data are kept on the device @devt, which messages call @text. */
void volume_set_old_data(struct volume *volume, const char *text, dev_t devt);

/*
 * Open the device at @path, to which the backup is to write, and check that it may: it
 * is unused, does not lie on a volume, and holds nothing that @find finds, unless
 * @force.
 */
int volumes_check_device(const struct volume *volumes, unsigned int nr,
			 const char *path, bool force, struct blockdev *device,
			 int (*find)(const struct blockdev *device, char *what,
				     size_t what_bytes));

/* volume-open.c */

/* Find the device, check that it can be backed up, and lock it. */
int volume_open(struct volume *volume, const struct backup_pair *pair);
void volume_close(struct volume *volume);

/* Make the table with a session. What holds the old data must be known. */
int volume_compose(struct volume *volume, const struct backup_request *request,
		   uint64_t job_speed);

/* destination.c */

/* Check the output, and decide who copies. Nothing is written yet. */
int destination_check(struct volume *volumes, unsigned int nr,
		      struct volume *volume,
		      const struct backup_request *request, const char *fleece);

/* Start to write. From now on nothing there can be taken for a backup. */
int destination_create(struct volume *volume,
		       const struct backup_request *request);

/* All data are written: make them durable, and the image valid. */
int destination_finish(struct volume *volume);

/* Remove the output; a block device is left without anything valid. */
void destination_abort(struct volume *volume);

/*
 * fleece.c: find or make what holds the old data. @fleece: the value of --fleece, or
 * NULL.
 */
int fleece_open(struct volume *volumes, unsigned int nr, struct volume *volume,
		const char *fleece, bool force);

struct cbw_status;

/* broken.c: prints why the session is broken. */
void session_explain_broken(const struct volume *volume, const struct cbw_status *status);

/* view.c */
int view_make(struct volume *volume);
/* If it fails, after a message, recovery_lock_and_clear() removes the view later. */
int view_remove(struct volume *volume);

/* point-in-time.c */

/* The plan of an increment does not hold any more. All devices are as before. */
#define POINT_IN_TIME_STALE (-1)

/*
 * Begin all sessions at one point in time. @limit_s: fail if devices would be suspended
 * or file systems frozen for longer; 0: no limit. @suspended_ns: for how long they
 * were. @guest: whose file systems are frozen meanwhile, or NULL. If it fails, all
 * devices are as before.
 */
int point_in_time_begin(struct volume *volumes, unsigned int nr,
			unsigned int limit_s, const struct backup_guest *guest,
			uint64_t *suspended_ns);

/* session.c */

/* A device's table, as compared with what a backup has recorded of it. */
enum session_table {
	SESSION_TABLE_BEFORE,	/* the one without a session */
	SESSION_TABLE_DURING,	/* the one with it */
	SESSION_TABLE_OTHER,	/* somebody else has loaded it */
};

/*
 * Which one is the live or the inactive table of @name? @before: parameters of the one
 * without a session; @old_data: number of the device that holds the old data. @device:
 * state of the device, may be NULL. Returns an enum session_table or a negative errno,
 * without a message.
 */
int session_find_table(const char *name, bool inactive, const char *before,
		       const char *old_data, struct dm_device *device);

/* Print that @name stays suspended, and what to do. */
void session_say_suspended(const char *name);

/*
 * End the session of the device @name by giving it the table @params, which has none.
 * 0 or a negative errno.
 */
int session_end_on(const char *name, uint64_t nr_sectors, const char *params,
		   bool read_only);

/*
 * End the session of @volume, if it has one. The view must be gone. If somebody else
 * has loaded another table meanwhile, that stays.
 */
int session_end(struct volume *volume);

#endif /* DMLIVE_BACKUP_VOLUME_H */
