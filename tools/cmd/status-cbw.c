// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive status` of a device that is attached for backups. */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "attach/inner.h"
#include "base/size.h"
#include "block/blockdev.h"
#include "cmd/status.h"
#include "lines/cbw-status.h"
#include "lines/cbw-tracking.h"

struct report {
	struct status_device device;
	struct cbw_table table;
	struct cbw_status status;
	struct cbw_tracking tracking;
	bool inserted;
	char origin[PATH_MAX];
	char meta[PATH_MAX];			/* "": none */
	char store[PATH_MAX];			/* "": no session */
};

static int parse(void *context, const char *table, const char *status)
{
	struct report *report = context;

	return cbw_table_parse(table, &report->table) ?:
	       cbw_status_parse(status, &report->status) ?:
	       cbw_tracking_parse(status, &report->tracking);
}

static void take_path(const char *word, char *path, size_t path_bytes)
{
	blockdev_path_of(strcmp(word, "-") ? word : "", path, path_bytes);
}

static int collect(const char *name, struct report *report)
{
	struct inner inner;
	int r;

	memset(report, 0, sizeof(*report));
	r = status_device_get(&report->device, name, CBW_TARGET, report, parse);
	if (r)
		return r;
	report->inserted = inner_of_table(&report->table, &inner);
	take_path(report->table.origin, report->origin,
		  sizeof(report->origin));
	take_path(report->table.meta, report->meta, sizeof(report->meta));
	take_path(report->table.features.store_device, report->store,
		  sizeof(report->store));
	return 0;
}

static const char *store_name(const struct report *report)
{
	switch (report->table.features.store) {
	case CBW_STORE_TARGET:
		return "target";
	case CBW_STORE_FLEECE:
		return "fleece";
	default:
		return NULL;
	}
}

static void add_session(const struct report *report, struct json_object *object)
{
	const struct cbw_status *status = &report->status;

	json_add_string(object, "session", cbw_session_name(status->session));
	json_add_string(object, "store", store_name(report));
	json_add_string(object, "store_device",
			report->store[0] ? report->store : NULL);
	json_add_number(object, "copied_blocks", status->copied_blocks);
	json_add_number(object, "scope_blocks", status->scope_blocks);
	json_add_string(object, "job", cbw_job_name(status->job));
	json_add_number(object, "job_bytes", status->job_bytes);
	json_add_number(object, "job_total_bytes", status->job_total_bytes);
	json_add_number(object, "cow_writes", status->cow_writes);
	json_add_number(object, "source_errors", status->source_errors);
	json_add_number(object, "target_errors", status->target_errors);
	json_add_number(object, "slots_used", status->slots_used);
	json_add_number(object, "slots", status->slots);
}

static void add_bitmap(const struct cbw_tracked_bitmap *bitmap,
		       struct json_object *array)
{
	struct json_object *object = json_new_object();

	json_add_string(object, "name", bitmap->name);
	json_add_number(object, "granularity", bitmap->granularity);
	json_add_bool(object, "recording", bitmap->recording);
	json_add_bool(object, "frozen", bitmap->frozen);
	json_add_number(object, "set_bytes",
			bitmap->set_bits * bitmap->granularity);
	json_add_number(object, "generation", bitmap->generation);
	json_append(array, object);
}

static void add_tracking(const struct cbw_tracking *tracking,
			 struct json_object *object)
{
	struct json_object *member, *array;
	uint64_t i;

	if (!strcmp(tracking->state, "-")) {
		json_add(object, "tracking", NULL);
		return;
	}
	member = json_new_object();
	array = json_new_array();
	json_add_string(member, "state", tracking->state);
	for (i = 0; i < tracking->nr_bitmaps; i++)
		add_bitmap(&tracking->bitmaps[i], array);
	json_add(member, "bitmaps", array);
	json_add(object, "tracking", member);
}

static void add_report(const struct report *report, struct json_object *object)
{
	status_device_add(&report->device, "cbw", object);
	json_add_bool(object, "inserted", report->inserted);
	json_add_string(object, "origin", report->origin);
	json_add_string(object, "meta_device",
			report->meta[0] ? report->meta : NULL);
	json_add_number(object, "size_bytes", report->device.bytes);
	json_add_number(object, "block_bytes", report->status.block_bytes);
	add_session(report, object);
	add_tracking(&report->tracking, object);
}

static void print_session(const struct report *report)
{
	const struct cbw_status *status = &report->status;
	char text[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES];

	if (status->session == CBW_SESSION_NONE)
		return;
	printf("  session %s: %" PRIu64 " of %" PRIu64 " blocks of %s copied to the %s device %s\n",
	       cbw_session_name(status->session), status->copied_blocks,
	       status->scope_blocks, size_format(status->block_bytes, text),
	       store_name(report) ? store_name(report) : "unknown",
	       report->store);
	if (status->slots)
		printf("  %" PRIu64 " of its %" PRIu64 " slots are used\n",
		       status->slots_used, status->slots);
	if (status->job != CBW_JOB_NONE)
		printf("  job %s: %s of %s\n", cbw_job_name(status->job),
		       size_format(status->job_bytes, text),
		       size_format(status->job_total_bytes, total));
	printf("  %" PRIu64 " writes waited for a copy\n", status->cow_writes);
	if (status->source_errors || status->target_errors)
		printf("  errors: %" PRIu64 " of the origin, %" PRIu64 " of the %s device\n",
		       status->source_errors, status->target_errors,
		       store_name(report) ? store_name(report) : "store");
}

static void print_tracking(const struct report *report)
{
	const struct cbw_tracking *tracking = &report->tracking;
	char text[SIZE_TEXT_BYTES];
	uint64_t i;

	if (!report->meta[0])
		return;
	printf("  metadata device %s%s\n", report->meta,
	       strcmp(tracking->state, "failed") ? "" :
	       ": it has failed, and changes are not recorded durably");
	for (i = 0; i < tracking->nr_bitmaps; i++) {
		const struct cbw_tracked_bitmap *bitmap = &tracking->bitmaps[i];

		printf("  bitmap %s: %s changed%s%s\n", bitmap->name,
		       size_format(bitmap->set_bits * bitmap->granularity, text),
		       bitmap->recording ? "" : ", disabled",
		       bitmap->frozen ? ", a backup is under way" : "");
	}
}

static void print_report(const struct report *report)
{
	char size[SIZE_TEXT_BYTES];

	printf("%s: cbw%s over %s%s, %s, %s\n", report->device.name,
	       report->device.dm.suspended ? " (suspended)" : "", report->origin,
	       report->inserted ? ", attached while in use" : "",
	       size_format(report->device.bytes, size),
	       report->status.session == CBW_SESSION_NONE ? "no session" :
	       "in a session");
	print_tracking(report);
	print_session(report);
}

int status_cbw(const char *name, struct json_object *object)
{
	struct report report;
	int r = collect(name, &report);

	if (!r && object)
		add_report(&report, object);
	else if (!r)
		print_report(&report);
	cbw_tracking_free(&report.tracking);
	return r;
}
