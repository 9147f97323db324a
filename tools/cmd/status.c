// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive status`: the alloctrack and cbw devices, and their progress. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "block/blockdev.h"
#include "block/device-name.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "block/require.h"
#include "restore/runtime.h"
#include "base/size.h"
#include "lines/status-line.h"
#include "restore/stack.h"
#include "cmd/status-cbw.h"
#include "cmd/status-finished.h"
#include "cmd/status-recovery.h"

static const char help[] =
"Usage: dmlive status [NAME|DEVICE] [--json]\n"
"\n"
"Shows the mapped device NAME (or its path, or VG/LV), which is being restored\n"
"(alloctrack), was restored, or is attached for backups (cbw); or all devices\n"
"that are being restored or attached, and what killed commands have left, with\n"
"the command that cleans it up. With --json: an array of objects, or one object\n"
"if NAME is given.\n";

static const struct option options[] = {
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

struct report {
	const char *name;
	struct dm_device device;
	uint64_t device_bytes;
	struct alloctrack_status status;
	struct alloctrack_table table;
	char target[PATH_MAX];
	char backing[PATH_MAX];
	char meta[PATH_MAX];			/* "": none */
	struct restore_options recorded;
	pid_t server;
	char *last_error;
};

/* 0, -ENOENT: not an alloctrack device, or another error. */
static int get_lines(struct report *report)
{
	struct dm_line status = { 0 }, table = { 0 };
	int r;

	r = dm_get_line(report->name, DM_LINE_TABLE, &table, &report->device);
	if (!r && strcmp(table.target, "alloctrack"))
		r = -ENOENT;
	if (!r)
		r = dm_get_line(report->name, DM_LINE_STATUS, &status, NULL);
	if (!r && (table_line_parse(table.params, &report->table) ||
		   status_line_parse(status.params, &report->status))) {
		error("%s: its table or status is not understood: '%s', '%s'",
		      report->name, table.params, status.params);
		r = -EPROTO;
	}
	report->device_bytes = table.nr_sectors * 512;
	dm_line_free(&table);
	dm_line_free(&status);
	return r;
}

static int collect(const char *name, struct report *report)
{
	int r;

	memset(report, 0, sizeof(*report));
	report->name = name;
	r = get_lines(report);
	if (r)
		return r;
	blockdev_path_of(report->table.file, report->target,
			 sizeof(report->target));
	blockdev_path_of(report->table.backing, report->backing,
			 sizeof(report->backing));
	if (strchr(report->table.meta, ':'))
		blockdev_path_of(report->table.meta, report->meta,
				 sizeof(report->meta));
	report->server = runtime_server(name);
	if (!runtime_load(name, &report->recorded) &&
	    !stack_is_record_of(&report->recorded, report->device.uuid))
		restore_options_free(&report->recorded);
	report->last_error = runtime_last_error(name);
	return 0;
}

static void release(struct report *report)
{
	restore_options_free(&report->recorded);
	free(report->last_error);
}

static struct json_object *report_to_json(const struct report *report)
{
	const struct alloctrack_status *status = &report->status;
	struct json_object *object = json_new_object();

	json_add_string(object, "name", report->name);
	json_add_string(object, "kind", "restore");
	json_add_string(object, "device", dm_node_path(report->name));
	json_add_string(object, "uuid", report->device.uuid);
	json_add_bool(object, "suspended", report->device.suspended);
	json_add_string(object, "state", state_name(status->state));
	json_add_number(object, "size_bytes", report->device_bytes);
	json_add_number(object, "block_bytes", status->block_bytes);
	json_add_number(object, "allocated_blocks", status->allocated_blocks);
	json_add_number(object, "total_blocks", status->total_blocks);
	json_add_number(object, "allocated_bytes",
			status_allocated_bytes(status, report->device_bytes));
	json_add_number(object, "streamed_bytes", status->streamed_bytes);
	json_add_number(object, "read_errors", status->read_errors);
	json_add_number(object, "write_errors", status->write_errors);
	json_add_number(object, "stream_speed", status->features.stream_speed);
	json_add_string(object, "on_error",
			on_error_name(status->features.on_error));
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
	return object;
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
		printf("  its bitmap is in memory only: it does not survive a restart of the machine\n");
	else if (!strcmp(meta, "rw"))
		printf("  its bitmap is on %s, committed at each flush and every second; after a crash: dmlive resume %s\n",
		       report->meta, report->meta);
	else if (report->device.read_only)
		printf("  its bitmap is on %s, which is only read\n",
		       report->meta);
	else
		printf("  its bitmap cannot be written to %s any more: flushes, and writes to what is not on the target yet, fail; when it is good again: dmsetup suspend %s; dmsetup resume %s\n",
		       report->meta, report->name, report->name);
}

static void print_report(const struct report *report)
{
	const struct alloctrack_status *status = &report->status;
	uint64_t allocated = status_allocated_bytes(status,
						    report->device_bytes);
	char done[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES];
	char text[SIZE_TEXT_BYTES];

	printf("%s: %s%s, %.1f%% (%s of %s) on %s\n", report->name,
	       state_name(status->state),
	       report->device.suspended ? " (suspended)" : "",
	       (double)allocated * 100 / (double)report->device_bytes,
	       size_format(allocated, done),
	       size_format(report->device_bytes, total), report->target);
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
		printf("  errors: %" PRIu64 " reading, %" PRIu64 " writing\n",
		       status->read_errors, status->write_errors);
	if (report->last_error)
		printf("  last error: %s\n", report->last_error);
	if (lacks_server(report))
		printf("  go on with: dmlive resume %s\n", report->name);
}

struct listing {
	struct json_object *array;	/* NULL: print for people */
	unsigned int nr;
	int exit_status;
};

/* -ENOENT: it is not a cbw device. */
static int list_cbw(const char *name, struct listing *listing)
{
	struct json_object *object = listing->array ? json_new_object() : NULL;
	int r = status_cbw(name, object);

	if (!r)
		listing->nr++;
	if (!r && object)
		json_append(listing->array, object);
	else
		json_object_put(object);
	return r;
}

static int list_one(const char *name, void *argument)
{
	struct listing *listing = argument;
	struct report report;
	int r = collect(name, &report);

	if (r == -ENOENT && list_cbw(name, listing) != -EPROTO)
		return 0;
	/* A device may be removed, or get another table, at any time. */
	if (r == -EPROTO || r == -ENOENT)
		listing->exit_status = EXIT_ERROR;
	if (r)
		return 0;
	listing->nr++;
	if (listing->array)
		json_append(listing->array, report_to_json(&report));
	else
		print_report(&report);
	release(&report);
	return 0;
}

static int list_all(bool json)
{
	struct listing listing = {
		.array = json ? json_new_array() : NULL,
	};

	if (dm_for_each(list_one, &listing))
		return EXIT_ERROR;
	listing.nr += status_recovery(NULL, listing.array);
	if (json)
		json_print_pretty(listing.array);
	else if (!listing.nr)
		printf("no device is being restored, or attached\n");
	return listing.exit_status;
}

/* Including what killed commands have left of it. */
static void print_one(const char *name, struct json_object *object)
{
	struct json_object *leftovers = json_new_array();

	status_recovery(name, leftovers);
	json_add(object, "leftovers", leftovers);
	json_print_pretty(object);
}

/* False: there are none. */
static bool show_leftovers(const char *name, bool json)
{
	struct json_object *leftovers, *object;
	bool found;

	if (!json)
		return status_recovery(name, NULL);
	leftovers = json_new_array();
	found = status_recovery(name, leftovers);
	if (found) {
		object = json_new_object();
		json_add_string(object, "name", name);
		json_add(object, "kind", NULL);
		json_add(object, "leftovers", json_object_get(leftovers));
		json_print_pretty(object);
	}
	json_object_put(leftovers);
	return found;
}

/* The device below it may be under restore, or restored. */
static void add_restore(const char *name, struct json_object *object)
{
	struct json_object *finished = object ? json_new_object() : NULL;
	char inner[DM_NAME_BYTES];
	const char *restored = stack_restored(name, inner);
	struct report report;

	if (restored != name && !status_finished(restored, finished)) {
		if (object)
			json_add(object, "restored", finished);
		return;
	}
	json_object_put(finished);
	if (restored == name || collect(restored, &report))
		return;
	if (object)
		json_add(object, "restore", report_to_json(&report));
	else
		print_report(&report);
	release(&report);
}

/* -ENOENT: it is not a cbw device. */
static int show_cbw(const char *name, bool json)
{
	struct json_object *object = json ? json_new_object() : NULL;
	int r = status_cbw(name, object);

	if (!r)
		add_restore(name, object);
	if (!r && object)
		print_one(name, object);
	else
		json_object_put(object);
	return r;
}

/* -ENOENT: it is none. */
static int show_finished(const char *name, bool json)
{
	struct json_object *object = json ? json_new_object() : NULL;
	int r = status_finished(name, object);

	if (!r && object)
		print_one(name, object);
	else
		json_object_put(object);
	return r;
}

static void explain(const char *name, int r)
{
	if (r == -ENXIO)
		error("there is no mapped device %s", name);
	else if (r == -ENOENT || r == -ENODATA)
		error("%s is neither being restored, nor was it, nor is it attached; what is: dmlive status",
		      name);
	else if (r && r != -EPROTO)
		error_errno(r, "%s: cannot get its status", name);
}

static int show_one(const char *name, bool json)
{
	struct report report;
	int r = collect(name, &report);

	if (r == -ENOENT) {
		r = show_cbw(name, json);
		if (r == -ENOENT)
			r = show_finished(name, json);
		if (!r && !json)
			status_recovery(name, NULL);
		if (!r)
			return EXIT_OK;
	}
	if ((r == -ENODATA || r == -ENOENT) && show_leftovers(name, json))
		return EXIT_OK;
	explain(name, r);
	if (r)
		return r == -ENOENT ? EXIT_REFUSED : EXIT_ERROR;
	if (json) {
		print_one(name, report_to_json(&report));
	} else {
		print_report(&report);
		status_recovery(name, NULL);
	}
	release(&report);
	return EXIT_OK;
}

int cmd_status(int argc, char **argv)
{
	char name[DM_NAME_BYTES];
	bool json = false;
	int found, status;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		if (found == '?' || found == ':')
			return option_error("status", found, argv);
		if (found == OPTION_HELP) {
			fputs(help, stdout);
			return EXIT_OK;
		}
		json = true;
	}
	if (argc - optind > 1)
		return argument_error("status", "at most one NAME or DEVICE");
	status = require("status", REQUIRE_DM);
	if (status)
		return status;
	if (argc - optind == 0)
		return list_all(json);
	status = device_name_find(argv[optind], name);
	return status ? status : show_one(name, json);
}
