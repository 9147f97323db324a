// SPDX-License-Identifier: GPL-2.0-only
/*
 * A new restore: checks of image and volume, and geometry.
 *
 * Everything that can be refused is refused before anything is changed. The metadata are
 * durable before the mapped device is made: a crash leaves either the volume as it was,
 * or a store from which the restore can be resumed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "qcow2/content.h"
#include "qcow2/preflight.h"
#include "restore/clear.h"
#include "restore/new-volume.h"
#include "restore/own-device.h"
#include "restore/report.h"
#include "qcow2/sector-size.h"
#include "restore/server.h"
#include "restore/tracking.h"

/* Blocks are as small as this allows: 4 KiB are best, few writes then need a fill. */
#define MAX_BITMAP_BYTES	(128ull << 20)

static uint64_t round_up_bytes(uint64_t bytes, uint32_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* The size of the mapped device. */
static int choose_size(struct server *server)
{
	const struct blockdev *volume = &server->volume;
	uint32_t unit = volume->logical_block_bytes;
	char image_text[SIZE_TEXT_BYTES], volume_text[SIZE_TEXT_BYTES];
	struct blockdev backing;

	if (server->options.kernel_streams) {
		if (blockdev_open(server->options.image, &backing))
			return EXIT_ERROR;
		if (backing.logical_block_bytes > unit)
			unit = backing.logical_block_bytes;
	}
	server->device_bytes = round_up_bytes(server->image_bytes, unit);
	if (volume->bytes < server->device_bytes) {
		error("%s is too small: %s (%" PRIu64 ") available, %s (%" PRIu64 ") required",
		      volume->path, size_format(volume->bytes, volume_text),
		      volume->bytes,
		      size_format(server->image_bytes, image_text),
		      server->image_bytes);
		return EXIT_REFUSED;
	}
	if (server->request->whole_volume)
		server->device_bytes = volume->bytes / unit * unit;
	return EXIT_OK;
}

static void choose_block_size(struct server *server)
{
	uint64_t block_bytes = server->request->block_bytes;

	if (!block_bytes) {
		block_bytes = RESTORE_MIN_BLOCK_BYTES;
		while (server->device_bytes / block_bytes / 8 >
		       MAX_BITMAP_BYTES && block_bytes < RESTORE_MAX_BLOCK_BYTES)
			block_bytes *= 2;
	}
	server->block_bytes = block_bytes;
}

static int check_content(struct server *server)
{
	char what[256] = "";
	int r;

	/* What a new volume holds belongs to nobody. */
	if (server->request->create)
		return EXIT_OK;
	r = blockdev_check_empty(&server->volume, what, sizeof(what));

	if (!r)
		return EXIT_OK;
	if (r != -EEXIST)
		return EXIT_ERROR;
	if (server->request->target_is_zero) {
		error("%s holds a %s, so it does not read as zeros: leave out --target-is-zero",
		      server->volume.path, what);
		return EXIT_REFUSED;
	}
	if (server->request->force) {
		info("%s holds a %s, which is overwritten", server->volume.path,
		     what);
		return EXIT_OK;
	}
	error("%s holds a %s; to overwrite it: --force", server->volume.path,
	      what);
	return EXIT_REFUSED;
}

static int check_volume(struct server *server)
{
	struct blockdev *volume = &server->volume;
	int status;

	if (blockdev_open(server->request->volume, volume))
		return EXIT_ERROR;
	server->data = *volume;
	server->options.volume = strdup(volume->path);
	if (volume->read_only) {
		error("%s is read-only", volume->path);
		return EXIT_REFUSED;
	}
	status = device_lock(server, volume);
	if (!status)
		status = own_check(server);
	if (status)
		return status;
	if (blockdev_check_own_files(volume) || blockdev_check_unused(volume))
		return EXIT_REFUSED;
	/* First: to check_content(), an unfinished restore looks like data. */
	status = create_check_begun(server);
	if (!status)
		status = choose_size(server);
	if (!status)
		status = check_content(server);
	if (!status)
		status = sector_size_check(server->image, volume,
					   server->request->force);
	return status;
}

static bool show_check(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	(void)context;
	report_check(done_bytes, total_bytes);
	return server_is_interrupted();
}

/*
 * Do the tables of the image point to data that are there? With the policy "ignore",
 * whatever can be read is restored.
 */
static int check_image(struct server *server)
{
	const struct preflight preflight = { .tick = show_check };
	struct image_error err = { "" };
	int r = image_preflight(server->image, &preflight, &err);

	if (!r || r == -ECANCELED)
		return r ? EXIT_ERROR : EXIT_OK;
	if (server->request->on_error == DM_ALLOCTRACK_ON_ERROR_IGNORE) {
		warning("%s; the rest of it is restored", err.message);
		return EXIT_OK;
	}
	error("%s; nothing was written; to restore what can be read: --on-error ignore",
	      err.message);
	return EXIT_ERROR;
}

static void take_request(struct server *server)
{
	const struct restore_request *request = server->request;
	struct restore_options *options = &server->options;

	restore_options_set(&options->image, request->image);
	restore_options_set(&options->format, request->format);
	restore_options_set(&options->snapshot, request->snapshot);
	restore_options_set(&options->outer, server->outer);
	restore_options_set(&options->track, request->track);
	options->force = request->force;
	options->allow_paths = request->allow_paths;
	options->no_finish = request->no_finish;
	options->nr_threads = request->nr_threads;
	server->features = (struct alloctrack_features) {
		.stream_speed = request->stream_speed,
		.on_error = request->on_error,
		.user_timeout_s = request->user_timeout_s,
		.copy_on_read = request->copy_on_read,
		.target_is_zero = request->target_is_zero,
		.no_detect_zeroes = request->no_detect_zeroes,
	};
	server->in_place = request->in_place;
	/* Of the volume, which has one. */
	if (!server->in_place)
		device_make_uuid(server);
}

/* With --create, nothing is made for an image that is refused. */
static int make_volume(struct server *server)
{
	int status = check_image(server);

	if (!status && server_is_interrupted())
		status = EXIT_ERROR;
	return status ? status : new_volume_make(server);
}

int create_prepare(struct server *server)
{
	int status;

	take_request(server);
	status = server->in_place ? EXIT_OK : device_check_name(server);
	if (!status)
		status = server_open_image(server);
	if (!status && server->request->create)
		status = make_volume(server);
	if (!status)
		status = check_volume(server);
	if (!status && !server->in_place)
		status = device_check_layer(server);
	if (status || server_is_interrupted())
		return status ? status : EXIT_ERROR;
	choose_block_size(server);
	status = create_check_metadata(server);
	if (!status)
		status = tracking_check(server);
	if (!status && !server->request->create)
		status = check_image(server);
	if (!status)
		clear_plan(server);
	if (!status)
		status = tracking_make(server);
	if (!status)
		status = create_make_metadata(server);
	if (!status && server->in_place)
		status = own_record(server);
	/* Its users were looked for before the metadata were made. */
	if (!status && server->in_place && server->to_clear &&
	    blockdev_check_unused(&server->volume))
		status = EXIT_REFUSED;
	if (!status)
		status = clear_volume(server, server_is_interrupted);
	if (!status && server->in_place)
		status = own_make(server);
	if (!status)
		status = device_make(server);
	if (!status)
		status = new_volume_keep(server);
	if (!status)
		status = device_start(server);
	return status;
}
