/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_STATUS_H
#define DMLIVE_CMD_STATUS_H

/* What `dmlive status` shows of each kind of device. */

#include <stdint.h>

#include "base/json.h"
#include "block/dm.h"

/*
 * Each prints the status of @name, or adds it to @object if that is not NULL. 0;
 * -ENOENT, without a message: it is not a device of that kind; -EPROTO, after a
 * message: its lines cannot be parsed; or another negative errno, without a message.
 */
int status_restore(const char *name, struct json_object *object);
int status_cbw(const char *name, struct json_object *object);
int status_finished(const char *name, struct json_object *object);

/*
 * What killed commands have left, and how it is cleaned up: inner devices that nothing
 * uses, sessions and views of backups, devices that have no table or are suspended.
 * What another process works on is left out.
 *
 * @name: only what belongs to this mapped device; NULL: everything
 * @array: add objects to it; NULL: print
 * Return: the number of things found.
 */
unsigned int status_recovery(const char *name, struct json_object *array);

/*
 * Print what `dmlive status --json` says of all devices, @array, as metrics in the text
 * format of OpenMetrics 1.0.
 */
void status_print_metrics(struct json_object *array);

/*
 * Show on the terminal, again each second, what @collect returns: what `dmlive status
 * --json` prints of all devices, or NULL. Ends with a signal, or an exit status.
 */
int status_watch(struct json_object *(*collect)(void));

/* status-device.c: what all kinds have. */
struct status_device {
	const char *name;
	struct dm_device dm;
	uint64_t bytes;
};

/*
 * Get the lines of @name, if its target is @target, and parse them into @report. @parse
 * gets the parameters of the table and of the status; 0 or a negative errno. Returns as
 * above.
 */
int status_device_get(struct status_device *device, const char *name,
		      const char *target, void *report,
		      int (*parse)(void *report, const char *table,
				   const char *status));

void status_device_add(const struct status_device *device, const char *kind,
		       struct json_object *object);

#endif /* DMLIVE_CMD_STATUS_H */
