// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive status`: what killed commands have left, see status.h. */
#include <dirent.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "attach/in-place.h"
#include "attach/inner.h"
#include "backup/view.h"
#include "block/blockdev.h"
#include "block/dm-uuid.h"
#include "cmd/status.h"
#include "lines/cbw-table.h"
#include "restore/runtime.h"
#include "restore/stack.h"

#define BACKUP_SUFFIX ".backup"

struct listing {
	const char *wanted;
	struct json_object *array;
	unsigned int nr;
};

static void report(struct listing *listing, const char *what, const char *name,
		   const char *owner, const char *text, const char *format, ...)
	__attribute__((format(printf, 6, 7)));

/*
 * Report @name, which belongs to the mapped device @owner. @what: its kind, in JSON;
 * @format: the command that cleans up, or what to do.
 */
static void report(struct listing *listing, const char *what, const char *name,
		   const char *owner, const char *text, const char *format, ...)
{
	char clean_up[3 * DM_NAME_BYTES];
	struct json_object *object;
	va_list args;

	if (listing->wanted && strcmp(listing->wanted, name) &&
	    strcmp(listing->wanted, owner))
		return;
	va_start(args, format);
	vsnprintf(clean_up, sizeof(clean_up), format, args);
	va_end(args);
	listing->nr++;
	if (!listing->array) {
		printf("%s: %s; to clean it up: %s\n", name, text, clean_up);
		return;
	}
	object = json_new_object();
	json_add_string(object, "name", name);
	json_add_string(object, "kind", "leftover");
	json_add_string(object, "leftover", what);
	json_add_string(object, "owner", owner);
	json_add_string(object, "text", text);
	json_add_string(object, "clean_up", clean_up);
	json_append(listing->array, object);
}

/*
 * The device that the inner device @inner_name with this UUID belongs to, found by the
 * UUID or else by the name. False: @owner does not exist.
 */
static bool find_owner(const char *uuid, const char *inner_name,
		       char owner[DM_NAME_BYTES])
{
	const size_t suffix_length = strlen(INNER_SUFFIX);
	char text[DM_UUID_BYTES];
	size_t length;

	snprintf(text, sizeof(text), "%s", uuid);
	length = strlen(text);
	if (length > suffix_length &&
	    !strcmp(text + length - suffix_length, INNER_SUFFIX)) {
		text[length - suffix_length] = '\0';
		if (dm_name_of_uuid(text, owner))
			return true;
	}
	length = strlen(inner_name);
	snprintf(owner, DM_NAME_BYTES, "%.*s",
		 (int)(length > suffix_length ? length - suffix_length : 0),
		 inner_name);
	return owner[0] && !dm_get_device(owner, NULL);
}

static bool is_restored_in_place(const char *name)
{
	struct in_place record;
	struct dm_device device;

	return !dm_get_device(name, &device) &&
	       in_place_find(device.uuid, &record);
}

static int report_in_place(const struct in_place *record, void *argument)
{
	struct listing *listing = argument;
	char name[DM_NAME_BYTES];

	if (!dm_name_of_uuid(record->volume, name) || runtime_server(name) ||
	    dm_runs_target(name, "alloctrack"))
		return 0;
	report(listing, "in-place", name, name, record->complete ?
	       "what is left of its restore in place, which has completed" :
	       "its restore in place is not finished, and its I/O fails until that is continued",
	       record->complete ? "dmlive finish %s" : "dmlive resume %s", name);
	return 0;
}

static void report_inner(struct listing *listing, const char *name,
			 const struct dm_device *device, const char *target)
{
	char upper[DM_NAME_BYTES], owner[DM_NAME_BYTES];
	bool has_owner;

	if (stack_find_upper(name, upper) || !strcmp(target, "alloctrack"))
		return;
	has_owner = find_owner(device->uuid, name, owner);
	/* The owner is reported, or works. */
	if (has_owner && is_restored_in_place(owner))
		return;
	if (device->open_count > 0)
		report(listing, "inner", name, owner,
		       "the inner device of an attachment that has ended, still in use",
		       "first end what uses it, see dmsetup ls --tree");
	else
		report(listing, "inner", name, owner,
		       "the inner device of an attachment that has ended, not in use",
		       has_owner ? "dmlive detach %s" : "dmsetup remove %s",
		       has_owner ? owner : name);
}

static bool is_on_record(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), RUNTIME_FOLDER "/%s" BACKUP_SUFFIX, name);
	return !access(path, F_OK);
}

/* Views of backups, but not views that somebody has made with dmsetup. */
static void report_view(struct listing *listing, const char *name,
			const char *number)
{
	char owner[DM_NAME_BYTES] = "", ours[32];
	unsigned int major, minor;

	if (sscanf(number, "%u:%u", &major, &minor) != 2)
		return;
	view_name(ours, makedev(major, minor));
	if (strcmp(name, ours))
		return;
	/* If the backup is on record, its view is cleaned up with it. */
	if (dm_name_of(major, minor, owner) &&
	    (runtime_server(owner) || is_on_record(owner)))
		return;
	report(listing, "view", name, owner,
	       "the view of a backup that was killed", "dmsetup remove %s", name);
}

/* Does a process of dmlive work on the device? */
static bool is_busy(const char *name)
{
	char inner[DM_NAME_BYTES + sizeof(INNER_SUFFIX)];

	snprintf(inner, sizeof(inner), "%s" INNER_SUFFIX, name);
	return runtime_server(name) || runtime_server(inner) ||
	       blockdev_any_is_locked();
}

/* Does the device belong to dmlive? */
static bool is_ours(const char *name, const struct dm_device *device,
		    const char *target)
{
	char inner[DM_NAME_BYTES + sizeof(INNER_SUFFIX)];

	snprintf(inner, sizeof(inner), "%s" INNER_SUFFIX, name);
	return !strcmp(target, "cbw") || !strcmp(target, "alloctrack") ||
	       dm_uuid_is_ours(device->uuid) ||
	       dm_uuid_is_view(device->uuid) ||
	       dm_uuid_is_inner(device->uuid) ||
	       (strlen(inner) < DM_NAME_BYTES && !dm_get_device(inner, NULL));
}

static void report_state(struct listing *listing, const char *name,
			 const struct dm_device *device, const char *target)
{
	if (!is_ours(name, device, target) || is_busy(name))
		return;
	if (!device->has_table) {
		report(listing, "empty", name, name,
		       "a mapped device without a table, never in use",
		       "dmsetup remove %s", name);
	} else if (device->suspended) {
		report(listing, "suspended", name, name,
		       "suspended, so that all its I/O waits, though no dmlive process works on it",
		       "dmsetup resume %s", name);
	}
}

static int report_device(const char *name, void *argument)
{
	struct listing *listing = argument;
	struct dm_device device = { 0 };
	struct dm_line line = { 0 };
	bool has_line;

	/* The device may have been removed meanwhile. */
	if (dm_get_device(name, &device))
		return 0;
	has_line = !dm_get_line(name, DM_LINE_TABLE, &line, &device);
	report_state(listing, name, &device, has_line ? line.target : "");
	if (has_line && dm_uuid_is_inner(device.uuid) && !blockdev_any_is_locked())
		report_inner(listing, name, &device, line.target);
	if (has_line && !strcmp(line.target, CBW_VIEW_TARGET))
		report_view(listing, name, line.params);
	dm_line_free(&line);
	return 0;
}

static void report_backup(struct listing *listing, const char *name)
{
	char path[PATH_MAX], text[2 * PATH_MAX];
	const char *output, *fleece;
	struct json_object *record;
	bool has_partial;

	snprintf(path, sizeof(path), RUNTIME_FOLDER "/%s" BACKUP_SUFFIX, name);
	record = json_object_from_file(path);
	output = json_get_string(record, "output");
	fleece = json_get_string(record, "fleece");
	snprintf(path, sizeof(path), "%.4000s.partial", output ? output : "");
	has_partial = output && !access(path, F_OK);
	snprintf(text, sizeof(text), "a backup to %s was ended before it was complete; its session may still exist, so that guest writes are copied needlessly%s%s%s",
		 output ? output : "an unknown place",
		 has_partial ? "; it has left " : "", has_partial ? path : "",
		 has_partial ? ", which is no backup" : "");
	if (fleece && !output)
		snprintf(text, sizeof(text), "a backup was ended before its session began or after it had ended; it has left %.300s, a logical volume for old data",
			 fleece);
	report(listing, "backup", name, name, text,
	       "the next dmlive backup %s, or dmlive detach %s", name, name);
	json_object_put(record);
}

static void report_records(struct listing *listing)
{
	DIR *folder = opendir(RUNTIME_FOLDER);
	struct dirent *entry;
	char *suffix;

	while (folder && (entry = readdir(folder))) {
		suffix = strrchr(entry->d_name, '.');
		if (!suffix || strcmp(suffix, BACKUP_SUFFIX))
			continue;
		*suffix = '\0';
		if (!runtime_server(entry->d_name))
			report_backup(listing, entry->d_name);
	}
	if (folder)
		closedir(folder);
}

unsigned int status_recovery(const char *name, struct json_object *array)
{
	struct listing listing = { .wanted = name, .array = array };

	dm_for_each(report_device, &listing);
	report_records(&listing);
	in_place_for_each(report_in_place, &listing);
	return listing.nr;
}
