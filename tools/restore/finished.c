// SPDX-License-Identifier: GPL-2.0-only
/* Finished restores, see finished.h. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block/dm.h"
#include "restore/finished.h"
#include "base/json.h"

#define FOLDER "/run/dmlive-finished"

static const char *text_of(struct json_object *object, const char *key)
{
	const char *text = json_get_string(object, key);

	return text ? text : "";
}

void finished_save(const char *name, const char *uuid, const char *volume,
		   const char *image)
{
	char path[PATH_MAX], temporary[PATH_MAX];
	struct json_object *object;

	if (mkdir(FOLDER, 0755) && errno != EEXIST)
		return;
	object = json_new_object();
	json_add_string(object, "name", name);
	json_add_string(object, "uuid", uuid);
	json_add_number(object, "time", time(NULL));
	json_add_string(object, "target", volume);
	json_add_string(object, "image", image);
	snprintf(path, sizeof(path), FOLDER "/%.200s.json", name);
	snprintf(temporary, sizeof(temporary), FOLDER "/%.200s.json.new", name);
	if (json_object_to_file_ext(temporary, object,
				    JSON_C_TO_STRING_PRETTY) ||
	    rename(temporary, path))
		unlink(temporary);
	json_object_put(object);
}

/* By UUID: devices may have been renamed. */
static bool is_of(struct json_object *object, const char *name,
		  const char *uuid)
{
	return !strcmp(text_of(object, "uuid"), uuid) &&
	       (*uuid || !strcmp(text_of(object, "name"), name));
}

static bool is_gone(struct json_object *object)
{
	const char *uuid = text_of(object, "uuid");
	char name[DM_NAME_BYTES];

	return *uuid ? !dm_name_of_uuid(uuid, name) :
		       dm_get_device(text_of(object, "name"), NULL) == -ENXIO;
}

/* Call @each for each record until it returns true. */
static void for_each(bool (*each)(const char *path, struct json_object *object,
				  void *argument), void *argument)
{
	DIR *folder = opendir(FOLDER);
	struct json_object *object;
	struct dirent *entry;
	char path[PATH_MAX];
	bool end = false;

	while (folder && !end && (entry = readdir(folder))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), FOLDER "/%s", entry->d_name);
		object = json_object_from_file(path);
		end = each(path, object, argument);
		json_object_put(object);
	}
	if (folder)
		closedir(folder);
}

struct search {
	const char *name, *uuid;
	struct finished *finished;
};

static bool take(const char *path, struct json_object *object, void *argument)
{
	struct search *search = argument;

	(void)path;
	if (!is_of(object, search->name, search->uuid))
		return false;
	search->finished->time_s = json_get_number(object, "time");
	search->finished->image = strdup(text_of(object, "image"));
	return true;
}

void finished_load(const char *name, const char *uuid,
		   struct finished *finished)
{
	struct search search = {
		.name = name, .uuid = uuid, .finished = finished,
	};

	memset(finished, 0, sizeof(*finished));
	for_each(take, &search);
}

void finished_free(struct finished *finished)
{
	free(finished->image);
	memset(finished, 0, sizeof(*finished));
}

static bool remove_if_gone(const char *path, struct json_object *object,
			   void *argument)
{
	(void)argument;
	/* A file that cannot be read may be in the process of being written. */
	if (object && is_gone(object))
		unlink(path);
	return false;
}

void finished_clean(void)
{
	for_each(remove_if_gone, NULL);
}
