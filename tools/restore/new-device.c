// SPDX-License-Identifier: GPL-2.0-only
/*
 * A new restore: checks of the target, geometry, and the mapped device.
 *
 * Everything that can be refused is refused before the device is made. The server
 * attaches while the table is still inactive, so whoever opens the node first,
 * udev above all, is served.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "lib/exit.h"
#include "lib/log.h"
#include "lib/size.h"
#include "lib/status-line.h"
#include "restore/server.h"

#define SECTOR_BYTES		512u
#define MIN_BLOCK_BYTES		4096u
#define MAX_BLOCK_BYTES		(2u << 20)

/* With 4 KiB blocks few writes of a guest need a fill. */
#define MAX_BITMAP_BYTES	(128ull << 20)

static int check_name(struct server *server)
{
	struct dm_device device;
	int r = dm_get_device(server->name, &device);

	if (r == -ENXIO)
		return EXIT_OK;
	if (r) {
		error_errno(r, "cannot talk to device-mapper; is the module dm-mod loaded, and are you root?");
		return EXIT_ERROR;
	}
	error("there is a mapped device %s already; take another name, or, if its restore was interrupted: dmlive resume %s",
	      server->name, server->name);
	return EXIT_REFUSED;
}

static uint64_t round_up_bytes(uint64_t bytes, uint32_t unit)
{
	return (bytes + unit - 1) / unit * unit;
}

/* Size of the device. */
static int choose_size(struct server *server)
{
	const struct blockdev *target = &server->target;
	uint32_t unit = target->logical_block_bytes;
	char image_text[SIZE_TEXT_BYTES], target_text[SIZE_TEXT_BYTES];
	struct blockdev backing;

	if (server->options.kernel_streams) {
		if (blockdev_open(server->options.image, &backing))
			return EXIT_ERROR;
		if (backing.logical_block_bytes > unit)
			unit = backing.logical_block_bytes;
	}
	server->device_bytes = round_up_bytes(server->image_bytes, unit);
	if (target->bytes < server->device_bytes) {
		error("the target %s is too small: %s (%" PRIu64 "); the image has %s (%" PRIu64 ")",
		      target->path, size_format(target->bytes, target_text),
		      target->bytes,
		      size_format(server->image_bytes, image_text),
		      server->image_bytes);
		return EXIT_REFUSED;
	}
	if (server->request->whole_target)
		server->device_bytes = target->bytes / unit * unit;
	return EXIT_OK;
}

static void choose_block_size(struct server *server)
{
	uint64_t block_bytes = server->request->block_bytes;

	if (!block_bytes) {
		block_bytes = MIN_BLOCK_BYTES;
		while (server->device_bytes / block_bytes / 8 >
		       MAX_BITMAP_BYTES && block_bytes < MAX_BLOCK_BYTES)
			block_bytes *= 2;
	}
	server->block_bytes = block_bytes;
}

static int check_content(struct server *server)
{
	char what[256] = "";
	int r = blockdev_check_empty(&server->target, what, sizeof(what));

	if (!r)
		return EXIT_OK;
	if (r != -EEXIST)
		return EXIT_ERROR;
	if (server->request->force) {
		info("%s holds a %s, which is overwritten", server->target.path,
		     what);
		return EXIT_OK;
	}
	error("%s holds a %s; to overwrite it use --force", server->target.path,
	      what);
	return EXIT_REFUSED;
}

static int check_target(struct server *server)
{
	struct blockdev *target = &server->target;
	int status;

	if (blockdev_open(server->request->target, target))
		return EXIT_ERROR;
	server->options.target = strdup(target->path);
	if (target->read_only) {
		error("%s is read-only", target->path);
		return EXIT_REFUSED;
	}
	if (blockdev_check_own_files(target) || blockdev_check_unused(target))
		return EXIT_REFUSED;
	status = choose_size(server);
	if (!status)
		status = check_content(server);
	return status;
}

static void make_uuid(struct server *server)
{
	char random[40] = "";
	FILE *file = fopen("/proc/sys/kernel/random/uuid", "re");

	if (file) {
		if (fscanf(file, "%36s", random) != 1)
			random[0] = '\0';
		fclose(file);
	}
	snprintf(server->options.uuid, sizeof(server->options.uuid), "%s%s",
		 DM_UUID_PREFIX, random);
}

static int make_params(struct server *server, char *params, size_t params_bytes)
{
	const struct restore_request *request = server->request;
	char features[160], backing[32] = "user";
	struct blockdev device;
	unsigned int nr_words = 3;
	int length;

	if (server->options.kernel_streams) {
		if (blockdev_open(server->options.image, &device))
			return EXIT_ERROR;
		snprintf(backing, sizeof(backing), "%u:%u", major(device.devt),
			 minor(device.devt));
	}
	length = snprintf(features, sizeof(features), "auto_remove on_error %s",
			  on_error_name(request->on_error));
	if (request->stream_speed) {
		length += snprintf(features + length, sizeof(features) - length,
				   " stream_speed %" PRIu64,
				   request->stream_speed);
		nr_words += 2;
	}
	if (request->user_timeout_s) {
		snprintf(features + length, sizeof(features) - length,
			 " user_timeout %" PRIu64, request->user_timeout_s);
		nr_words += 2;
	}
	snprintf(params, params_bytes, "%u:%u %s - %" PRIu64 " %u %s",
		 major(server->target.devt), minor(server->target.devt),
		 backing, server->block_bytes / SECTOR_BYTES, nr_words,
		 features);
	return EXIT_OK;
}

static int make_device(struct server *server)
{
	char params[512];
	int status = make_params(server, params, sizeof(params));

	if (status)
		return status;
	make_uuid(server);
	if (dm_create_empty(server->name, server->options.uuid))
		return EXIT_ERROR;
	server->created = true;
	if (dm_load(server->name, server->device_bytes / SECTOR_BYTES,
		    "alloctrack", params, false))
		return EXIT_ERROR;
	return EXIT_OK;
}

static int start(struct server *server)
{
	int status;

	if (server->options.kernel_streams) {
		image_close(server->image);
		server->image = NULL;
	} else {
		status = server_attach(server);
		if (status)
			return status;
	}
	if (server_is_interrupted() ||
	    runtime_save(server->name, &server->options) ||
	    dm_resume(server->name) ||
	    server_message(server, "stream start") || server_is_interrupted())
		return EXIT_ERROR;
	return EXIT_OK;
}

static char *copy(const char *text)
{
	return text ? strdup(text) : NULL;
}

int new_device_prepare(struct server *server)
{
	const struct restore_request *request = server->request;
	struct restore_options *options = &server->options;
	int status;

	options->image = copy(request->image);
	options->format = copy(request->format);
	options->snapshot = copy(request->snapshot);
	options->force = request->force;
	options->no_finish = request->no_finish;
	options->nr_threads = request->nr_threads;

	status = check_name(server);
	if (!status)
		status = server_open_image(server);
	if (!status)
		status = check_target(server);
	if (status || server_is_interrupted())
		return status ? status : EXIT_ERROR;
	choose_block_size(server);
	status = make_device(server);
	if (!status)
		status = start(server);
	return status;
}
