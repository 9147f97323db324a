/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_RECOVERY_H
#define DMLIVE_BACKUP_RECOVERY_H

/*
 * Recovery of a killed backup, which leaves a session, a view, perhaps a suspended
 * device. /run/dmlive/NAME.backup records the backup from before the table is changed
 * until everything is undone. Never more of it than there is: a device that somebody else
 * suspends, or an output that somebody else writes, is none of our business.
 */

#include <stdbool.h>
#include <stdint.h>

struct volume;

/* What there is to undo: each includes those before it. */
enum recovery_scope {
	RECOVERY_FLEECE,	/* the temporary volume for old data */
	RECOVERY_OUTPUT,	/* an incomplete output */
	RECOVERY_SESSION,
};

/* Record the backup of @volume. 0, or a negative errno after a message. */
int recovery_record(const struct volume *volume, enum recovery_scope scope);

/* No more than that is left to undo. If this fails, silently, all stays on record. */
void recovery_narrow(const struct volume *volume, enum recovery_scope scope);

/* Everything is undone: remove the record. */
void recovery_forget(const char *name);

/*
 * Take runtime_lock() of the mapped device @name, so that no backup can begin, and if a
 * killed backup is on record, undo what that has left. Waits for the guard of a killed
 * backup. Returns what runtime_unlock() needs, or a negative errno after a message:
 * -EBUSY if a backup or a restore is under way.
 */
int recovery_lock_and_clear(const char *name);

/*
 * The same for commands that detach a device: they also work if /run/dmlive is full or
 * read-only. Then @lock_fd is -1, after a warning, and others are not kept out. 0, or a
 * negative errno as above.
 */
int recovery_clear_to_detach(const char *name, int *lock_fd);

/*
 * Resume those of @volumes that are still suspended, because resuming failed or the
 * backup was killed; they were suspended in this order. A device whose session cannot
 * be resumed gets its table from before. Everything else is left to
 * recovery_lock_and_clear(). @cookie: as for dm_resume_group(). False: a device stays
 * suspended, and udev may wait for it.
 */
bool recovery_resume(struct volume *const *volumes, unsigned int nr,
		     uint32_t *cookie);

#endif /* DMLIVE_BACKUP_RECOVERY_H */
