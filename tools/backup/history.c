// SPDX-License-Identifier: GPL-2.0-only
/* How the last backups ended, see history.h. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "backup/history.h"
#include "base/log.h"
#include "base/words.h"
#include "block/dm.h"

#define STATE_FOLDER	"/var/lib/dmlive"
#define FOLDER		STATE_FOLDER "/backups"
#define SUFFIX		".json"

static void copy_number(struct json_object *to, struct json_object *from,
			const char *key)
{
	json_add_number(to, key, json_get_number(from, key));
}

void history_note(const struct volume *volume, uint64_t duration_s, int status)
{
	const char *name = dm_name_now(volume->name);
	const uint64_t now = time(NULL);
	struct json_object *record, *before;
	struct dm_device device;
	char path[PATH_MAX];
	int r;

	if (dm_get_device(name, &device))
		return;
	snprintf(path, sizeof(path), FOLDER "/%s%s" SUFFIX,
		 *device.uuid ? "" : "name-",
		 *device.uuid ? device.uuid : name);
	mkdir(STATE_FOLDER, 0755);
	mkdir(FOLDER, 0755);
	before = status ? json_object_from_file(path) : NULL;
	record = json_new_object();
	json_add_string(record, "device", name);
	json_add_string(record, "uuid", device.uuid);
	json_add_number(record, "end_seconds", now);
	json_add_number(record, "status", status);
	if (!status) {
		json_add_number(record, "success_seconds", now);
		json_add_number(record, "duration_seconds", duration_s);
		json_add_number(record, "bytes", volume->scope.total_bytes);
	} else if (json_object_is_type(before, json_type_object)) {
		copy_number(record, before, "success_seconds");
		copy_number(record, before, "duration_seconds");
		copy_number(record, before, "bytes");
	}
	r = strchr(path + strlen(FOLDER) + 1, '/') ? -EINVAL :
						     json_save(record, path);
	if (r)
		warning("%s: how this backup ended cannot be recorded in %s (%s)",
			name, path, strerror(-r));
	json_object_put(before);
	json_object_put(record);
}

/* What the device is called now. False: it is not there. */
static bool find_device(struct json_object *record, char name[DM_NAME_BYTES])
{
	const char *uuid = json_get_string(record, "uuid");
	const char *recorded = json_get_string(record, "device");
	struct dm_device device;

	if (!uuid || !recorded)
		return false;
	if (*uuid)
		return dm_name_of_uuid(uuid, name);
	snprintf(name, DM_NAME_BYTES, "%s", recorded);
	return !dm_get_device(name, &device) && !*device.uuid;
}

static void append(struct json_object *array, struct json_object *record)
{
	char name[DM_NAME_BYTES];
	struct json_object *element;

	if (!json_object_is_type(record, json_type_object) ||
	    !find_device(record, name))
		return;
	element = json_new_object();
	json_add_string(element, "kind", "backup");
	json_add_string(element, "name", name);
	copy_number(element, record, "end_seconds");
	copy_number(element, record, "success_seconds");
	copy_number(element, record, "duration_seconds");
	copy_number(element, record, "bytes");
	copy_number(element, record, "status");
	json_append(array, element);
}

static int is_record(const struct dirent *entry)
{
	return stem_length(entry->d_name, SUFFIX) > 0;
}

void history_append(struct json_object *array)
{
	struct json_object *record;
	struct dirent **entries;
	char path[PATH_MAX];
	int i, nr;

	nr = scandir(FOLDER, &entries, is_record, alphasort);
	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), FOLDER "/%s", entries[i]->d_name);
		record = json_object_from_file(path);
		append(array, record);
		json_object_put(record);
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
}
