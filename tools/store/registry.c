// SPDX-License-Identifier: GPL-2.0-only
/* Which store has recorded the changes of which volume, see registry.h. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/words.h"
#include "block/lvm.h"
#include "store/generation.h"
#include "store/registry.h"
#include "store/seal.h"

#define STATE_FOLDER	"/var/lib/dmlive"
#define SUFFIX		".json"

/* What blockdev_identity() of a logical volume begins with. */
#define LV_IDENTITY	"dm:LVM-"

/* Devices on devices that are looked below. */
#define MAX_DEPTH	8

void registry_note(const struct meta_store *store, const char *identity)
{
	char uuid[META_UUID_BYTES], meta[PATH_MAX], path[PATH_MAX];
	struct json_object *object;
	struct blockdev device;

	if (!*identity || !*meta_uuid(store, uuid) ||
	    !path_is_blockdev(store->path) ||
	    blockdev_open(store->path, &device))
		return;
	object = json_new_object();
	json_add_string(object, "volume", identity);
	json_add_string(object, "store", uuid);
	json_add_string(object, "meta",
			blockdev_stable_path(&device, meta, sizeof(meta)));
	blockdev_identity(&device, meta, sizeof(meta));
	json_add_string(object, "meta-identity", *meta ? meta : NULL);
	snprintf(path, sizeof(path), REGISTRY_FOLDER "/%s" SUFFIX, uuid);
	mkdir(STATE_FOLDER, 0755);
	mkdir(REGISTRY_FOLDER, 0755);
	json_save(object, path);
	json_object_put(object);
}

/* Void the store, if it is the one on record and is bound to the volume. */
static int void_store(struct meta_writer *writer, const char *uuid,
		      const char *identity)
{
	char found[META_UUID_BYTES];
	struct qcow2_seal seal;

	if (strcmp(meta_uuid(&writer->store, found), uuid) ||
	    !meta_seal_read(&writer->store, &seal) ||
	    strcmp(seal.identity, identity))
		return 0;
	return meta_distrust(writer, &seal, QCOW2_DMLIVE_GAP_VOIDED);
}

static void void_recorded(const struct blockdev *volume, const char *identity,
			  const char *meta, const char *uuid)
{
	struct meta_writer writer;
	int r;

	if (!path_is_blockdev(meta)) {
		warning("%s, which has recorded changes of %s, is not there; should it be attached again, make the next backup with --full",
			meta, volume->path);
		return;
	}
	r = meta_writer_open(meta, 0, &writer);
	if (!r) {
		r = void_store(&writer, uuid, identity);
		meta_writer_close(&writer);
	}
	if (r)
		warning("%s, which has recorded changes of %s, could not be told that it is overwritten; make the next backup with --full",
			meta, volume->path);
}

static bool is_same_device(const char *a, const char *b)
{
	struct stat sa, sb;

	return a && b && !stat(a, &sa) && !stat(b, &sb) &&
	       sa.st_rdev == sb.st_rdev;
}

/* The same device, or the one is a partition of the other. */
static bool overlaps(const char *a, const char *b)
{
	size_t a_length = strlen(a), b_length = strlen(b);

	if (a_length > b_length)
		return overlaps(b, a);
	return !strncmp(a, b, a_length) && (!b[a_length] || b[a_length] == ':');
}

static void look_at(const struct blockdev *volume, const char *identity,
		    struct json_object *record, const char *except)
{
	const char *bound = json_get_string(record, "volume");
	const char *meta = json_get_string(record, "meta");
	const char *uuid = json_get_string(record, "store");

	if (bound && meta && uuid && overlaps(bound, identity) &&
	    !is_same_device(meta, except))
		void_recorded(volume, bound, meta, uuid);
}

static void void_stores_of(const struct blockdev *volume, const char *except)
{
	char identity[QCOW2_DMLIVE_IDENTITY_BYTES + 1], path[PATH_MAX];
	DIR *folder = opendir(REGISTRY_FOLDER);
	struct json_object *record;
	struct dirent *entry;

	blockdev_identity(volume, identity, sizeof(identity));
	while (folder && *identity && (entry = readdir(folder))) {
		if (!stem_length(entry->d_name, SUFFIX))
			continue;
		snprintf(path, sizeof(path), REGISTRY_FOLDER "/%s",
			 entry->d_name);
		record = json_object_from_file(path);
		if (json_object_is_type(record, json_type_object))
			look_at(volume, identity, record, except);
		json_object_put(record);
	}
	if (folder)
		closedir(folder);
}

/* What it lies on is written to as well; a store may be bound to that. */
static void void_below(dev_t devt, const char *except, unsigned int depth)
{
	char path[PATH_MAX], number[32];
	struct blockdev lower;
	glob_t list;
	size_t i;

	sysfs_list(&list, "/sys/dev/block/%u:%u/slaves/*/dev", major(devt),
		   minor(devt));
	for (i = 0; i < list.gl_pathc; i++) {
		if (!sysfs_read(number, sizeof(number), "%s", list.gl_pathv[i]) ||
		    blockdev_open(blockdev_path_of(number, path, sizeof(path)),
				  &lower))
			continue;
		void_stores_of(&lower, except);
		if (depth)
			void_below(lower.devt, except, depth - 1);
	}
	globfree(&list);
}

void registry_void(const struct blockdev *volume, const char *except)
{
	if (access(REGISTRY_FOLDER, F_OK))
		return;
	void_stores_of(volume, except);
	void_below(volume->devt, except, MAX_DEPTH);
}

/* What LVM knows, read once it is needed. */
struct volumes {
	bool is_read;
	char *uuids;
};

/* Only for a volume that can be identified, whatever its name. */
static bool is_removed(struct json_object *record, struct volumes *volumes)
{
	const char *wanted = json_get_string(record, "meta-identity");
	const char *meta = json_get_string(record, "meta");
	const size_t length = strlen(LV_IDENTITY);
	char identity[QCOW2_DMLIVE_IDENTITY_BYTES + 1];
	struct blockdev device;

	if (!meta || !wanted || strncmp(wanted, LV_IDENTITY, length))
		return false;
	if (path_is_blockdev(meta) && !blockdev_open(meta, &device) &&
	    !strcmp(blockdev_identity(&device, identity, sizeof(identity)),
		    wanted))
		return false;
	if (!volumes->is_read)
		volumes->uuids = lvm_list_uuids();
	volumes->is_read = true;
	return lvm_is_removed(volumes->uuids, wanted + length);
}

static void clean(const char *path, struct volumes *volumes)
{
	struct json_object *record = json_object_from_file(path);

	if (json_object_is_type(record, json_type_object) &&
	    is_removed(record, volumes))
		unlink(path);
	json_object_put(record);
}

void registry_clean(void)
{
	DIR *folder = opendir(REGISTRY_FOLDER);
	struct volumes volumes = { 0 };
	struct dirent *entry;
	char path[PATH_MAX];

	while (folder && (entry = readdir(folder))) {
		snprintf(path, sizeof(path), REGISTRY_FOLDER "/%s",
			 entry->d_name);
		if (stem_length(entry->d_name, SUFFIX))
			clean(path, &volumes);
	}
	if (folder)
		closedir(folder);
	free(volumes.uuids);
}

void registry_void_path(const char *path)
{
	struct blockdev device;
	int fd;

	if (!path_is_blockdev(path))
		return;
	/* A device in use will be refused later. */
	fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0)
		return;
	close(fd);
	registry_clean();
	if (!blockdev_open(path, &device))
		registry_void(&device, NULL);
}
