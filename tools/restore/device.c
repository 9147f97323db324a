// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mapped device of a restore: making it, and serving it.
 *
 * The server attaches while the table is still inactive, so that the first reader of the
 * new node, usually udev, is served.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "block/dm-uuid.h"
#include "restore/metadata.h"
#include "restore/own-device.h"
#include "restore/report.h"
#include "restore/server.h"
#include "restore/stale-tail.h"
#include "restore/tracking.h"

#define SECTOR_BYTES 512u

int device_lock(struct server *server, const struct blockdev *device)
{
	int fd = blockdev_lock(device);

	if (fd < 0)
		return EXIT_REFUSED;
	server->device_locks[server->nr_device_locks++] = fd;
	return EXIT_OK;
}

int device_lock_metadata(struct server *server, const char *path,
			 struct blockdev *device)
{
	int status;

	if (blockdev_open(path, device))
		return EXIT_ERROR;
	status = device_lock(server, device);
	return status ? status : metadata_check_device(path, device);
}

void device_unlock_all(struct server *server)
{
	while (server->nr_device_locks)
		close(server->device_locks[--server->nr_device_locks]);
}

static int check_name(const char *name)
{
	struct dm_device device;
	int r = dm_get_device(name, &device);

	if (r == -ENXIO)
		return EXIT_OK;
	if (r) {
		error_errno(r, "device-mapper does not answer; is the module dm-mod loaded, and are you root?");
		return EXIT_ERROR;
	}
	error("there is a mapped device %s already; choose another name, or, if its restore was interrupted: dmlive resume %s",
	      name, name);
	return EXIT_REFUSED;
}

int device_check_name(struct server *server)
{
	int status = server->outer ? check_name(server->outer) : EXIT_OK;

	return status ? status : check_name(server->name);
}

/*
 * blkdeactivate, which lvm2 runs at shutdown, takes a device with "LVM-" in its UUID and a
 * name "VG-LV-LAYER" for a layer of VG/LV. It deactivates VG/LV, for which it first
 * deactivates what is on it: this device, and so on without end. Two dashes are part of a
 * logical volume's name.
 */
int device_check_layer(const struct server *server)
{
	const char *name = server->outer ? server->outer : server->name;
	char volume[DM_NAME_BYTES];
	size_t length;

	if (server->request->is_public ||
	    !dm_name_of(major(server->volume.devt),
			minor(server->volume.devt), volume))
		return EXIT_OK;
	length = strlen(volume);
	if (strncmp(name, volume, length) || name[length] != '-' ||
	    name[length + 1] == '-')
		return EXIT_OK;
	error("%s: lvm2 would take this name for a layer of the volume, which is called %s, and blkdeactivate would not end at shutdown; choose another name, or give --no-private",
	      name, volume);
	return EXIT_REFUSED;
}

void device_make_uuid(struct server *server)
{
	dm_uuid_make(!server->request->is_public, server->options.uuid);
}

static int number_of(const char *path, char *number, size_t number_bytes)
{
	struct blockdev device;
	int r = blockdev_open(path, &device);

	if (!r)
		snprintf(number, number_bytes, "%u:%u", major(device.devt),
			 minor(device.devt));
	return r;
}

/* The features of a table line, and how many words they are. */
struct feature_words {
	char text[256];
	size_t length;
	unsigned int nr;
};

static void add_word(struct feature_words *words, bool wanted, const char *word)
{
	if (!wanted)
		return;
	words->length += snprintf(words->text + words->length,
				  sizeof(words->text) - words->length, " %s",
				  word);
	words->nr++;
}

static void add_number(struct feature_words *words, const char *word,
		       uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	add_word(words, number, word);
	add_word(words, number, text);
}

static void make_features(const struct server *server,
			  struct feature_words *words)
{
	const struct alloctrack_features *wanted = &server->features;

	*words = (struct feature_words){ .text = "" };
	add_word(words, true, "auto_remove");
	add_word(words, true, "on_error");
	add_word(words, true, on_error_name(wanted->on_error));
	add_number(words, "stream_speed", wanted->stream_speed);
	/* What a server reads for the guest is written to the volume anyway. */
	add_word(words, wanted->copy_on_read && !server->nothing_left &&
		 server->options.kernel_streams, "copy_on_read");
	add_word(words, wanted->target_is_zero, "target_is_zero");
	add_word(words, wanted->no_detect_zeroes, "no_detect_zeroes");
	/* Only a server can let a read wait. */
	if (!server->nothing_left && !server->options.kernel_streams)
		add_number(words, "user_timeout", wanted->user_timeout_s);
}

static int make_params(struct server *server, char *params, size_t params_bytes)
{
	char meta[32] = "-", backing[32];
	struct feature_words words;

	snprintf(backing, sizeof(backing), "%s",
		 server->nothing_left ? "-" : "user");
	if (server->options.kernel_streams && !server->nothing_left &&
	    number_of(server->options.image, backing, sizeof(backing)))
		return EXIT_ERROR;
	if (server->meta.path[0] && number_of(server->meta.path, meta, sizeof(meta)))
		return EXIT_ERROR;
	make_features(server, &words);
	snprintf(params, params_bytes, "%u:%u %s %s %" PRIu64 " %u%s",
		 major(server->data.devt), minor(server->data.devt),
		 backing, meta, server->block_bytes / SECTOR_BYTES, words.nr,
		 words.text);
	return EXIT_OK;
}

static int make_empty(struct server *server)
{
	int status = stale_tail_wipe(&server->volume, server->device_bytes);

	if (status)
		return status;
	if (dm_create_empty(server->name, server->outer ?
			    server->inner_uuid : server->options.uuid))
		return EXIT_ERROR;
	server->created = true;
	return EXIT_OK;
}

int device_make(struct server *server)
{
	char params[512];
	int status = make_params(server, params, sizeof(params));

	if (!status && !server->in_place)
		status = make_empty(server);
	if (status)
		return status;
	if (dm_load(server->name, server->device_bytes / SECTOR_BYTES,
		    "alloctrack", params, false))
		return EXIT_ERROR;
	return EXIT_OK;
}

static void tell_state(const struct dm_alloctrack_info *info, void *argument)
{
	(void)argument;
	report_state(state_name(info->state));
}

int device_attach(struct server *server)
{
	struct engine_options options = {
		.name = server->name,
		.nr_threads = server->options.nr_threads,
		.zeroes_are_writes = !server->data.writes_zeroes &&
				     !server->features.target_is_zero,
		.on_state = tell_state,
	};
	struct dm_device device;
	int r;

	r = dm_get_device(server->name, &device);
	if (r) {
		error_errno(r, "%s: cannot get its number", server->name);
		return EXIT_ERROR;
	}
	image_backing_init(&server->backing, server->image);
	if (control_channel_open(server->name, device.major, device.minor,
				 &server->channel) ||
	    engine_create(server->channel, &server->backing.backing, &options,
			  &server->engine))
		return EXIT_ERROR;
	if (engine_start(server->engine)) {
		engine_destroy(server->engine);
		server->engine = NULL;
		return EXIT_ERROR;
	}
	return EXIT_OK;
}

int device_message(struct server *server, const char *text)
{
	int r = dm_message(server->name, text);

	/* Reads may have brought all blocks already. */
	if (r == -EALREADY && !strcmp(text, "stream start"))
		return 0;
	if (r)
		error_errno(r, "%s: the message '%s' was refused; the kernel log says why",
			    server->name, text);
	return r;
}

/* The image is read by this process, by the kernel, or not at all. */
static int choose_reader(struct server *server)
{
	if (server->nothing_left)
		return EXIT_OK;
	if (!server->options.kernel_streams)
		return device_attach(server);
	image_close(server->image);
	server->image = NULL;
	return EXIT_OK;
}

static int resume(struct server *server)
{
	if (server->in_place)
		return own_start(server);
	return server->outer ? dm_resume_private(server->name) :
			       dm_resume(server->name);
}

int device_start(struct server *server)
{
	int status = choose_reader(server);

	if (status)
		return status;
	if (server_is_interrupted() ||
	    runtime_save(server->name, &server->options))
		return EXIT_ERROR;
	/* The node exists already, and may be opened at once: it is too late to interrupt. */
	if (server->in_place)
		server_set_needed(true);
	if (resume(server))
		return EXIT_ERROR;
	/* With nothing left to copy, the job has completed already. */
	if (!server->nothing_left && device_message(server, "stream start"))
		return EXIT_ERROR;
	if (server_is_interrupted())
		return EXIT_ERROR;
	/* Last: a guest may write from now on, so nothing may be undone after this. */
	return server->outer ? outer_make(server) : EXIT_OK;
}
