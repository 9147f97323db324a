/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_HISTORY_H
#define DMLIVE_BACKUP_HISTORY_H

/*
 * How the last backup of each device ended: in /var/lib/dmlive/backups, a file for each
 * device, by its UUID or, if it has none, by its name.
 */

#include "backup/volume.h"
#include "base/json.h"

/*
 * A backup of the device has ended. @status: the exit status. A failure to record it is
 * a warning.
 */
void history_note(const struct volume *volume, uint64_t duration_s, int status);

/*
 * Append an object for each device that is there and was backed up: "kind" is "backup",
 * "name" is what it is called now, "end_seconds" and "success_seconds" are seconds since
 * 1970 (0: there was no success), "duration_seconds", "bytes" is what was copied, and
 * "status" the exit status. Numbers that belong to a success are those of the last one.
 */
void history_append(struct json_object *array);

#endif /* DMLIVE_BACKUP_HISTORY_H */
