// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive attach`: puts cbw over a volume, or inserts it into one in use. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/attach.h"
#include "attach/persist.h"
#include "cmd/attach-event.h"
#include "cmd/cmd.h"
#include "block/device-name.h"
#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "block/require.h"
#include "base/size.h"

#define MIN_BLOCK_BYTES 4096u
#define MAX_BLOCK_BYTES (2u << 20)
#define DEFAULT_BLOCK_BYTES (64u << 10)

static const char help[] =
"Usage: dmlive attach DEVICE [OPTION]...\n"
"       dmlive attach --event MAJOR:MINOR|PATH\n"
"\n"
"Puts the target cbw over DEVICE, so that it can be backed up in use.\n"
"DEVICE is a path, VG/LV, or the name of a mapped device.\n"
"\n"
"Without --name, DEVICE must be a mapped device, for example a logical volume. It\n"
"may be in use: it keeps its name and its users, and no I/O is lost. Its table\n"
"moves to the inner device DEVICE-dmlive. With --name, a new mapped device is\n"
"made over DEVICE, which must not be in use.\n"
"\n"
"  --name NAME        make /dev/mapper/NAME\n"
"  --meta META        track changes on the metadata device META\n"
"  --on-meta-error P  when META fails: break_guest_write (the default): writes\n"
"                     that cannot be recorded fail; break_tracking: no write\n"
"                     fails, and after any crash everything counts as changed\n"
"  --force            use META even if it has recorded the changes of another\n"
"                     volume; all blocks count as changed\n"
"  --trust-store      trust META although DEVICE may have been written to while\n"
"                     it was not attached; if it was, the next increment is wrong\n"
"  --persistent       attach DEVICE again, with META, whenever it appears or gets\n"
"                     another table: a file in /etc/dmlive/attach.d says so;\n"
"                     if it is attached already, only that file is written\n"
"  --event DEVICE     for udev: DEVICE has appeared or has changed\n"
"  --block-size SIZE  unit of copying: a power of two from 4K to 2M, default 64K\n"
"  --json             print the result as JSON\n"
"\n"
"To undo this: dmlive detach.\n";

enum option_number {
	OPTION_NAME = 256,
	OPTION_META,
	OPTION_ON_META_ERROR,
	OPTION_BLOCK_SIZE,
	OPTION_FORCE,
	OPTION_TRUST_STORE,
	OPTION_PERSISTENT,
	OPTION_EVENT,
	OPTION_JSON,
};

static const struct option options[] = {
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "meta", required_argument, NULL, OPTION_META },
	{ "on-meta-error", required_argument, NULL, OPTION_ON_META_ERROR },
	{ "block-size", required_argument, NULL, OPTION_BLOCK_SIZE },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "trust-store", no_argument, NULL, OPTION_TRUST_STORE },
	{ "persistent", no_argument, NULL, OPTION_PERSISTENT },
	{ "event", required_argument, NULL, OPTION_EVENT },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ 0 }
};

static bool take_block_size(const char *text, uint64_t *bytes)
{
	if (!option_size("--block-size", text, bytes))
		return false;
	if (*bytes >= MIN_BLOCK_BYTES && *bytes <= MAX_BLOCK_BYTES &&
	    !(*bytes & (*bytes - 1)))
		return true;
	error("--block-size %s: must be a power of two from 4K to 2M", text);
	return false;
}

static bool take_on_meta_error(const char *text, bool *break_tracking)
{
	*break_tracking = !strcmp(text, "break_tracking");
	if (*break_tracking || !strcmp(text, "break_guest_write"))
		return true;
	error("--on-meta-error %s: must be break_guest_write or break_tracking",
	      text);
	return false;
}

static void print_result(const struct volume *volume, const char *name,
			 const struct inner *inner, const struct trust *trust,
			 bool json)
{
	struct json_object *gap = trust_report(trust), *object;

	if (json) {
		object = json_new_object();
		json_add_string(object, "name", name);
		json_add_string(object, "device", dm_node_path(name));
		json_add_bool(object, "inserted", inner);
		json_add_string(object, "inner", inner ? inner->name : NULL);
		json_add(object, "gap", gap);
		json_add_bool(object, "trusted", trust->trusted);
		json_print_line(object);
		return;
	}
	json_object_put(gap);
	if (inner) {
		printf("%s has the target cbw now; its own table is on %s\n",
		       name, inner->name);
	} else {
		printf("%s is a cbw device over %s; use it instead\n",
		       dm_node_path(name), volume->device.path);
	}
}

/* Paths that are not block devices, and the volume itself, are refused later. */
static int lock_meta(const struct volume *volume, const char *path, int *fd)
{
	struct blockdev meta;

	if (!path || !path_is_blockdev(path))
		return EXIT_OK;
	if (blockdev_open(path, &meta))
		return EXIT_ERROR;
	if (meta.devt == volume->device.devt)
		return EXIT_OK;
	*fd = blockdev_lock(&meta);
	return *fd < 0 ? EXIT_REFUSED : EXIT_OK;
}

/* A metadata device that is not a mapped device is found by its path. */
static bool has_good_uuid(const char *path)
{
	char uuid[PERSIST_UUID_BYTES];
	struct blockdev meta;

	return !path_is_blockdev(path) || blockdev_open(path, &meta) ||
	       !blockdev_read_attribute(meta.devt, "dm/uuid", uuid,
					sizeof(uuid)) ||
	       persist_is_uuid(path, uuid);
}

/* What has no UUID cannot be attached again: say so before it is attached. */
static int check_persistent(const struct volume *volume,
			    const struct attach_request *request)
{
	if (request->name) {
		error("--persistent is for a mapped device that keeps its name, not for a new one: leave out --name");
		return EXIT_USAGE;
	}
	return (!volume->is_mapped ||
		persist_is_uuid(volume->name, volume->dm.uuid)) &&
	       has_good_uuid(request->meta) ? EXIT_OK : EXIT_REFUSED;
}

/* Write the file that says so. */
static int make_persistent(const struct volume *volume,
			   const struct attach_request *request)
{
	struct persist persist = {
		.break_tracking = request->break_tracking,
		.block_bytes = request->block_bytes,
	};
	char path[PATH_MAX], stable[PATH_MAX], comment[2 * PATH_MAX];
	struct blockdev meta;

	if (blockdev_open(request->meta, &meta))
		return EXIT_ERROR;
	snprintf(persist.volume, sizeof(persist.volume), "%s",
		 volume->dm.uuid);
	blockdev_stable_path(&meta, stable, sizeof(stable));
	if (!blockdev_read_attribute(meta.devt, "dm/uuid", persist.meta,
				     sizeof(persist.meta)))
		snprintf(persist.meta_path, sizeof(persist.meta_path), "%s",
			 stable);
	snprintf(comment, sizeof(comment), "%s, with %s",
		 blockdev_stable_path(&volume->device, path, sizeof(path)),
		 stable);
	return persist_write(&persist, comment) ? EXIT_ERROR : EXIT_OK;
}

/* Is it attached to the same metadata device, and is that all that is to change? */
static bool is_attached_so(const struct volume *volume,
			   const struct attach_request *request,
			   struct inner *inner, struct cbw_table *cbw)
{
	char path[PATH_MAX];
	struct blockdev meta, present;

	return request->is_persistent && volume->is_mapped &&
	       volume_is_cbw(volume, cbw) && inner_of_table(cbw, inner) &&
	       path_is_blockdev(request->meta) &&
	       !blockdev_open(request->meta, &meta) &&
	       !blockdev_open(blockdev_path_of(cbw->meta, path, sizeof(path)),
			      &present) && present.devt == meta.devt;
}

/* What is not given stays as it is, also when the volume is attached again. */
static void keep_settings(struct attach_request *request,
			  const struct cbw_table *cbw)
{
	if (!request->has_policy)
		request->break_tracking = cbw->features.break_tracking;
	if (!request->block_bytes && cbw->block_bytes != DEFAULT_BLOCK_BYTES)
		request->block_bytes = cbw->block_bytes;
}

static int attach_volume(struct volume *volume, struct attach_request *request,
			 struct trust *trust, struct inner *inner)
{
	struct cbw_table cbw;
	int status = EXIT_OK;

	if (request->is_persistent)
		status = check_persistent(volume, request);
	if (status)
		return status;
	if (request->name)
		return attach_new(volume, request, trust);
	if (is_attached_so(volume, request, inner, &cbw))
		keep_settings(request, &cbw);
	else
		status = attach_insert(volume, request, trust, inner);
	if (status)
		return status;
	persist_clear_mark(volume, PERSIST_DETACHED);
	return request->is_persistent ? make_persistent(volume, request) :
					EXIT_OK;
}

static int attach(const char *device, struct attach_request *request,
		  struct trust *trust, bool json)
{
	struct volume volume;
	struct inner inner;
	int lock_fd = -1, meta_lock_fd = -1;
	int status;

	status = volume_find(device, &volume);
	/* With the device's own name, cbw is inserted. */
	if (!status && request->name && !strcmp(request->name, volume.name))
		request->name = NULL;
	if (!status) {
		lock_fd = blockdev_lock(&volume.device);
		status = lock_fd < 0 ? EXIT_REFUSED : EXIT_OK;
	}
	if (!status)
		status = lock_meta(&volume, request->meta, &meta_lock_fd);
	if (!status && volume.is_mapped)
		status = volume_refresh(&volume);
	if (!status)
		status = attach_volume(&volume, request, trust, &inner);
	if (!status)
		print_result(&volume, request->name ? request->name :
			     volume.name, request->name ? NULL : &inner, trust,
			     json);
	if (meta_lock_fd >= 0)
		close(meta_lock_fd);
	if (lock_fd >= 0)
		close(lock_fd);
	volume_free(&volume);
	return status;
}

int cmd_attach(int argc, char **argv)
{
	struct attach_request request = { 0 };
	struct trust trust = { 0 };
	const char *event = NULL;
	bool json = false;
	int found;

	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
		switch (found) {
		case OPTION_NAME:
			if (!dm_name_is_valid(optarg))
				return EXIT_USAGE;
			request.name = optarg;
			break;
		case OPTION_META:
			request.meta = optarg;
			break;
		case OPTION_ON_META_ERROR:
			if (!take_on_meta_error(optarg,
						&request.break_tracking))
				return EXIT_USAGE;
			request.has_policy = true;
			break;
		case OPTION_BLOCK_SIZE:
			if (!take_block_size(optarg, &request.block_bytes))
				return EXIT_USAGE;
			break;
		case OPTION_FORCE:
			trust.force = true;
			break;
		case OPTION_TRUST_STORE:
			trust.trust_store = true;
			break;
		case OPTION_PERSISTENT:
			request.is_persistent = true;
			break;
		case OPTION_EVENT:
			event = optarg;
			break;
		case OPTION_JSON:
			json = true;
			break;
		case OPTION_HELP:
			fputs(help, stdout);
			return EXIT_OK;
		default:
			return option_error("attach", found, argv);
		}
	}
	if (event && argc == optind)
		return attach_event(event);
	if (event || argc - optind != 1)
		return argument_error("attach", "DEVICE");
	if (request.is_persistent && !request.meta) {
		error("--persistent needs --meta");
		return EXIT_USAGE;
	}
	if (request.break_tracking && !request.meta) {
		error("--on-meta-error needs --meta");
		return EXIT_USAGE;
	}
	found = require("attach", REQUIRE_DM | REQUIRE_CBW) ?:
		device_argument(&request.meta, false);
	return found ? found : attach(argv[optind], &request, &trust,
				       json);
}
