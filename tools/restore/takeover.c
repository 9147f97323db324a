// SPDX-License-Identifier: GPL-2.0-only
/*
 * Take over: a mapped device has lost its server, or never had one. Find its image, make
 * sure that it is the right one, and serve the device.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "attach/in-place.h"
#include "block/named-path.h"
#include "lines/status-line.h"
#include "restore/metadata.h"
#include "restore/server.h"
#include "restore/stack.h"
#include "restore/tracking.h"

static int parse_device(struct server *server, struct dm_device *device,
			struct alloctrack_table *table)
{
	struct dm_line line = { 0 };
	int status = EXIT_ERROR;
	int r = dm_get_line(server->name, DM_LINE_TABLE, &line, device);

	if (r == -ENXIO) {
		error("there is no mapped device %s; after a restart of the machine, resume from its metadata device, if it has one: dmlive resume META",
		      server->name);
	} else if (r == -ENODATA) {
		error("%s has no active table; remove it (dmsetup remove %s), then resume from its metadata device (dmlive resume META), or, if it has none, start over",
		      server->name, server->name);
	} else if (r) {
		error_errno(r, "%s: cannot get its table", server->name);
	} else if (strcmp(line.target, "alloctrack") || line.nr_lines != 1 ||
		   table_line_parse(line.params, table)) {
		error("%s is not an alloctrack device: its table is '%s %s'",
		      server->name, line.target, line.params);
		status = EXIT_REFUSED;
	} else {
		server->device_bytes = line.nr_sectors * 512;
		server->block_bytes = table->block_bytes;
		status = EXIT_OK;
	}
	dm_line_free(&line);
	return status;
}

/* The options on record, unless they belong to another device of that name. */
static int load_options(struct server *server, const struct dm_device *device)
{
	struct restore_options *options = &server->options;
	int r = runtime_load(server->name, options);

	if (r == -ENOENT)
		return EXIT_OK;
	if (r)
		return server->request->image ? EXIT_OK : EXIT_ERROR;
	if (!stack_is_record_of(options, device->uuid))
		restore_options_free(options);
	return EXIT_OK;
}

/*
 * Find the device over an inner one, and where it tracks changes: as they are now, or,
 * if it is gone, as they are on record.
 */
static int find_upper(struct server *server, const struct dm_device *device)
{
	struct restore_options *options = &server->options;
	char path[PATH_MAX], name[DM_NAME_BYTES];
	struct dm_device upper = { 0 };
	struct dm_line line = { 0 };
	struct cbw_table cbw;

	if (!dm_uuid_is_inner(device->uuid))
		return EXIT_OK;
	server->tracking.online = stack_find_upper(server->name, name);
	if (server->tracking.online) {
		restore_options_set(&options->outer, name);
		if (!dm_get_line(name, DM_LINE_TABLE, &line, &upper) &&
		    !cbw_table_parse(line.params, &cbw) &&
		    strcmp(cbw.meta, "-")) {
			blockdev_path_of(cbw.meta, path, sizeof(path));
			restore_options_set(&options->track_meta, path);
		}
		dm_line_free(&line);
		snprintf(options->uuid, sizeof(options->uuid), "%s",
			 upper.uuid);
	}
	server->outer = options->outer;
	if (server->outer)
		return EXIT_OK;
	error("%s is an inner device, and the one over it is gone and not on record; resume from its metadata device, if it has one: dmsetup remove %s; dmlive resume META",
	      server->name, server->name);
	return EXIT_REFUSED;
}

/* The command line takes precedence over the record. */
static void take_request(struct server *server)
{
	const struct restore_request *request = server->request;
	struct restore_options *options = &server->options;

	restore_options_set(&options->image, request->image);
	restore_options_set(&options->format, request->format);
	restore_options_set(&options->snapshot, request->snapshot);
	if (request->nr_threads)
		options->nr_threads = request->nr_threads;
	options->no_finish |= request->no_finish;
	options->force |= request->force;
	options->allow_paths |= request->allow_paths;
}

static int open_image(struct server *server)
{
	const struct restore_options *now = &server->options;
	const struct restore_options recorded = *now;
	int status = server_reopen_image(server);

	if (status || !recorded.image_bytes)
		return status;
	return server_check_image(server,
		recorded.image_bytes == now->image_bytes &&
		recorded.image_inode == now->image_inode &&
		recorded.image_mtime_ns == now->image_mtime_ns);
}

/* Look up the volume, which may be able to zero ranges, and the metadata device. */
static void find_volume(struct server *server,
			const struct alloctrack_table *table)
{
	char path[PATH_MAX];

	server->features = table->features;
	blockdev_path_of(table->file, path, sizeof(path));
	if (path_is_blockdev(path))
		blockdev_open(path, &server->volume);
	server->data = server->volume;
	if (!server->options.volume && server->volume.path[0])
		server->options.volume = strdup(server->volume.path);
	if (!strcmp(table->meta, "-"))
		return;
	blockdev_path_of(table->meta, path, sizeof(path));
	restore_options_set(&server->options.meta, path);
}

/* What the kernel reads: by a lasting name if it has one, else by number. */
static void take_backing(struct restore_options *options, const char *number)
{
	char path[PATH_MAX], *stable = NULL;

	blockdev_path_of(number, path, sizeof(path));
	if (path_is_blockdev(path))
		stable = path_make_stable(path);
	restore_options_set(&options->image, stable ? stable : number);
	free(stable);
}

/* Make the stream job run, unless the user has paused it. */
static int start_job(struct server *server)
{
	struct alloctrack_status status = { 0 };
	struct dm_line line = { 0 };
	int r = dm_get_line(server->name, DM_LINE_STATUS, &line, NULL);

	if (!r)
		r = status_line_parse(line.params, &status);
	dm_line_free(&line);
	if (r) {
		error_errno(r, "%s: cannot get its status", server->name);
		return EXIT_ERROR;
	}
	switch (status.state) {
	case DM_ALLOCTRACK_IDLE:
	case DM_ALLOCTRACK_FAILED:
	case DM_ALLOCTRACK_CANCELLED:
		r = device_message(server, "stream start");
		break;
	case DM_ALLOCTRACK_STOPPED:
		r = device_message(server, "stream resume");
		break;
	default:
		break;
	}
	return r ? EXIT_ERROR : EXIT_OK;
}

/* The cbw device over the restored one is gone, which leaves its metadata device free. */
static int make_upper(struct server *server)
{
	const char *path = server->options.track_meta;
	struct blockdev device;
	int status = outer_clear_name(server);

	if (!status && path)
		status = device_lock_metadata(server, path, &device);
	return status ? status : outer_make(server);
}

int takeover_prepare(struct server *server)
{
	struct restore_options *options = &server->options;
	struct alloctrack_table table;
	struct in_place record;
	struct dm_device device;
	int status;

	status = parse_device(server, &device, &table);
	if (!status)
		status = load_options(server, &device);
	if (!status)
		status = find_upper(server, &device);
	if (status)
		return status;
	take_request(server);
	if (!server->outer)
		snprintf(options->uuid, sizeof(options->uuid), "%s",
			 device.uuid);
	server->in_place = in_place_find(device.uuid, &record);
	find_volume(server, &table);
	if (!strcmp(table.backing, "user")) {
		status = open_image(server);
		options->kernel_streams = false;
		if (!status)
			status = tracking_check_image(server);
		if (!status)
			status = device_attach(server);
	} else {
		take_backing(options, table.backing);
		options->kernel_streams = true;
	}
	if (!status && runtime_save(server->name, options))
		status = EXIT_ERROR;
	if (!status)
		status = start_job(server);
	if (!status && server->outer && !server->tracking.online)
		status = make_upper(server);
	return status;
}
