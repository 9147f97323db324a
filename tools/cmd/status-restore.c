// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive status` of a device that is being restored. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "block/blockdev.h"
#include "cmd/status.h"
#include "lines/status-line.h"
#include "restore/own-device.h"
#include "restore/runtime.h"
#include "restore/stack.h"

struct report {
	struct status_device device;
	struct alloctrack_status status;
	struct alloctrack_table table;
	char target[PATH_MAX];
	char backing[PATH_MAX];
	char meta[PATH_MAX];			/* "": none */
	struct restore_options recorded;
	bool in_place;
	pid_t server;
	char *last_error;
};

static int parse(void *context, const char *table, const char *status)
{
	struct report *report = context;

	return table_line_parse(table, &report->table) ?:
	       status_line_parse(status, &report->status);
}

static int collect(const char *name, struct report *report)
{
	int r;

	memset(report, 0, sizeof(*report));
	r = status_device_get(&report->device, name, "alloctrack", report,
			      parse);
	if (r)
		return r;
	blockdev_path_of(report->table.file, report->target,
			 sizeof(report->target));
	blockdev_path_of(report->table.backing, report->backing,
			 sizeof(report->backing));
	if (strchr(report->table.meta, ':'))
		blockdev_path_of(report->table.meta, report->meta,
				 sizeof(report->meta));
	report->in_place = own_is_live(name);
	report->server = runtime_server(name);
	if (!runtime_load(name, &report->recorded) &&
	    !stack_is_record_of(&report->recorded, report->device.dm.uuid))
		restore_options_free(&report->recorded);
	report->last_error = runtime_last_error(name);
	return 0;
}

static void add_report(const struct report *report, struct json_object *object)
{
	const struct alloctrack_status *status = &report->status;

	status_device_add(&report->device, "restore", object);
	json_add_string(object, "state", state_name(status->state));
	json_add_number(object, "size_bytes", report->device.bytes);
	json_add_number(object, "block_bytes", status->block_bytes);
	json_add_number(object, "allocated_blocks", status->allocated_blocks);
	json_add_number(object, "total_blocks", status->total_blocks);
	json_add_number(object, "allocated_bytes",
			status_allocated_bytes(status, report->device.bytes));
	json_add_number(object, "streamed_bytes", status->streamed_bytes);
	json_add_number(object, "read_errors", status->read_errors);
	json_add_number(object, "write_errors", status->write_errors);
	json_add_number(object, "stream_speed", status->features.stream_speed);
	json_add_string(object, "on_error",
			on_error_name(status->features.on_error));
	json_add_bool(object, "in_place", report->in_place);
	json_add_string(object, "target", report->target);
	json_add_string(object, "backing", report->backing);
	json_add_string(object, "meta", status->meta);
	json_add_string(object, "meta_device",
			report->meta[0] ? report->meta : NULL);
	json_add_string(object, "image", report->recorded.image);
	if (report->server)
		json_add_number(object, "server", report->server);
	else
		json_add(object, "server", NULL);
	json_add_string(object, "last_error", report->last_error);
}

static bool lacks_server(const struct report *report)
{
	return !report->server && !strcmp(report->table.backing, "user") &&
	       report->status.state != DM_ALLOCTRACK_COMPLETE;
}

static void print_metadata(const struct report *report)
{
	const char *meta = report->status.meta;

	if (!strcmp(meta, "none"))
		printf("  its bitmap is in memory only and does not survive a restart of the machine\n");
	else if (!strcmp(meta, "rw"))
		printf("  its bitmap is on %s, committed at each flush and every second; after a crash: dmlive resume %s\n",
		       report->meta, report->meta);
	else if (report->device.dm.read_only)
		printf("  its bitmap is on %s, which is read-only\n",
		       report->meta);
	else
		printf("  its bitmap cannot be written to %s any more: flushes fail, and writes to data that are not restored yet; when the device works again: dmsetup suspend %s; dmsetup resume %s\n",
		       report->meta, report->device.name, report->device.name);
}

static void print_report(const struct report *report)
{
	const struct alloctrack_status *status = &report->status;
	uint64_t allocated = status_allocated_bytes(status,
						    report->device.bytes);
	char done[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES];
	char text[SIZE_TEXT_BYTES];

	printf("%s: %s%s, %.1f%% (%s of %s) on %s\n", report->device.name,
	       state_name(status->state),
	       report->device.dm.suspended ? " (suspended)" : "",
	       (double)allocated * 100 / (double)report->device.bytes,
	       size_format(allocated, done),
	       size_format(report->device.bytes, total), report->target);
	printf("  from %s%s%s\n", report->recorded.image ?
	       report->recorded.image : report->backing,
	       report->server ? "" : ", no server process",
	       lacks_server(report) ? ": reads wait" : "");
	if (report->server)
		printf("  server process %d\n", report->server);
	printf("  block size %s", size_format(status->block_bytes, text));
	if (status->features.stream_speed)
		printf(", at most %s/s",
		       size_format(status->features.stream_speed, text));
	printf(", on error %s\n", on_error_name(status->features.on_error));
	print_metadata(report);
	if (status->read_errors || status->write_errors)
		printf("  errors: %" PRIu64 " of reads, %" PRIu64 " of writes\n",
		       status->read_errors, status->write_errors);
	if (report->last_error)
		printf("  last error: %s\n", report->last_error);
	if (lacks_server(report))
		printf("  to continue: dmlive resume %s\n", report->device.name);
}

int status_restore(const char *name, struct json_object *object)
{
	struct report report;
	int r = collect(name, &report);

	if (r)
		return r;
	if (object)
		add_report(&report, object);
	else
		print_report(&report);
	restore_options_free(&report.recorded);
	free(report.last_error);
	return 0;
}
