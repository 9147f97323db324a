// SPDX-License-Identifier: GPL-2.0-only
/* The description of a restore: to JSON and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "block/blockdev.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/process.h"
#include "restore/description.h"

/* As json-c prints it. It cannot be part of a string, where quotes are escaped. */
static const char finished_key[] = "\"finished\":";
static const char cleared_key[] = "\"cleared\":";
static const char machine_key[] = "\"machine\":\"";

static void add_image(struct json_object *object,
		      const struct image_identity *image)
{
	json_add_number(object, "image_bytes", image->bytes);
	json_add_number(object, "image_file_bytes", image->file_bytes);
	json_add_number(object, "image_mtime_ns", image->mtime_ns);
	if (image->device)
		json_add_string(object, "image_device", image->device);
}

char *description_format(const struct restore_description *description)
{
	struct json_object *object = json_new_object();
	const int flags = JSON_C_TO_STRING_PLAIN |
			  JSON_C_TO_STRING_NOSLASHESCAPE;
	char *text;

	json_add_number(object, "finished", description->finished);
	if (description->to_clear)
		json_add_number(object, "cleared", description->cleared);
	json_add_bool(object, "automatic", description->automatic);
	if (description->in_place)
		json_add_bool(object, "in_place", true);
	json_add_string(object, "name", description->name);
	json_add_string(object, "uuid", description->uuid);
	json_add_string(object, "target", description->volume);
	if (description->machine)
		json_add_string(object, "machine", description->machine);
	if (description->meta_identity)
		json_add_string(object, "meta_identity",
				description->meta_identity);
	json_add_string(object, "target_identity",
			description->volume_identity);
	json_add_string(object, "snapshot", description->snapshot);
	if (description->track) {
		json_add_string(object, "track", description->track);
		json_add_string(object, "track_meta", description->track_meta);
		json_add_string(object, "track_store",
				description->track_store);
	}
	json_add_string(object, "on_error",
			on_error_name(description->features.on_error));
	json_add_number(object, "stream_speed",
			description->features.stream_speed);
	json_add_number(object, "user_timeout",
			description->features.user_timeout_s);
	json_add_bool(object, "copy_on_read",
		      description->features.copy_on_read);
	json_add_bool(object, "target_is_zero",
		      description->features.target_is_zero);
	json_add_bool(object, "no_detect_zeroes",
		      description->features.no_detect_zeroes);
	json_add_number(object, "threads", description->nr_threads);
	json_add_bool(object, "no_finish", description->no_finish);
	json_add_bool(object, "force", description->force);
	json_add_bool(object, "allow_paths", description->allow_paths);
	add_image(object, &description->image);
	text = strdup(json_object_to_json_string_ext(object, flags));
	json_object_put(object);
	return text;
}

static void take_members(struct json_object *object,
			 struct restore_description *description)
{
	const char *on_error = json_get_string(object, "on_error");

	description->finished = json_get_bool(object, "finished");
	description->to_clear = json_object_object_get_ex(object, "cleared",
							  NULL);
	description->cleared = json_get_number(object, "cleared");
	description->automatic = json_get_bool(object, "automatic");
	description->in_place = json_get_bool(object, "in_place");
	description->name = json_copy_string(object, "name");
	description->uuid = json_copy_string(object, "uuid");
	description->volume = json_copy_string(object, "target");
	description->machine = json_copy_string(object, "machine");
	description->meta_identity = json_copy_string(object, "meta_identity");
	description->volume_identity = json_copy_string(object, "target_identity");
	description->snapshot = json_copy_string(object, "snapshot");
	description->track = json_copy_string(object, "track");
	description->track_meta = json_copy_string(object, "track_meta");
	description->track_store = json_copy_string(object, "track_store");
	if (on_error)
		on_error_parse(on_error, &description->features.on_error);
	description->features.stream_speed = json_get_number(object,
							     "stream_speed");
	description->features.user_timeout_s = json_get_number(object,
							       "user_timeout");
	description->features.copy_on_read = json_get_bool(object,
							   "copy_on_read");
	description->features.target_is_zero = json_get_bool(object,
							     "target_is_zero");
	description->features.no_detect_zeroes =
		json_get_bool(object, "no_detect_zeroes");
	description->nr_threads = json_get_number(object, "threads");
	description->no_finish = json_get_bool(object, "no_finish");
	description->force = json_get_bool(object, "force");
	/* Earlier versions of dmlive always allowed it. */
	description->allow_paths =
		json_get_bool_or(object, "allow_paths", description->uuid);
	description->image.bytes = json_get_number(object, "image_bytes");
	description->image.file_bytes = json_get_number(object,
							"image_file_bytes");
	description->image.mtime_ns = json_get_number(object, "image_mtime_ns");
	description->image.device = json_copy_string(object, "image_device");
}

int description_parse(const char *text, struct restore_description *description)
{
	struct json_object *object;
	int r = 0;

	memset(description, 0, sizeof(*description));
	if (!text)
		return 0;
	object = json_tokener_parse(text);
	if (json_object_is_type(object, json_type_object))
		take_members(object, description);
	else
		r = -EINVAL;
	json_object_put(object);
	return r;
}

void description_free(struct restore_description *description)
{
	free(description->name);
	free(description->uuid);
	free(description->machine);
	free(description->meta_identity);
	free(description->volume);
	free(description->volume_identity);
	free(description->snapshot);
	free(description->track);
	free(description->track_meta);
	free(description->track_store);
	image_identity_free(&description->image);
	memset(description, 0, sizeof(*description));
}

/* Of the value of @key, of which @value_bytes more are in the text. -1: there is none. */
static long find_value(const char *text, size_t text_bytes, const char *key,
		       size_t value_bytes)
{
	const size_t key_bytes = strlen(key);
	const char *found = memmem(text, text_bytes, key, key_bytes);

	if (!found || found + key_bytes + value_bytes > text + text_bytes)
		return -1;
	return found - text + key_bytes;
}

/* Of the one digit that is the value of @key. */
static long offset_of(const char *text, size_t text_bytes, const char *key)
{
	const long offset = find_value(text, text_bytes, key, 2);

	return offset >= 0 && (text[offset] == '0' || text[offset] == '1') &&
	       strchr(",}", text[offset + 1]) ? offset : -1;
}

long description_finished_offset(const char *text, size_t text_bytes)
{
	return offset_of(text, text_bytes, finished_key);
}

long description_cleared_offset(const char *text, size_t text_bytes)
{
	return offset_of(text, text_bytes, cleared_key);
}

/* With the quote behind it. */
long description_machine_offset(const char *text, size_t text_bytes)
{
	const long offset = find_value(text, text_bytes, machine_key,
				       MACHINE_ID_BYTES);

	return offset >= 0 && memchr(text + offset, '"', MACHINE_ID_BYTES) ==
			      text + offset + MACHINE_ID_BYTES - 1 ? offset : -1;
}

void image_identity_get(const char *path, uint64_t bytes,
			struct image_identity *identity)
{
	char text[512];
	struct blockdev device;
	struct stat st;

	memset(identity, 0, sizeof(*identity));
	identity->bytes = bytes;
	if (stat(path, &st))
		return;
	if (S_ISREG(st.st_mode)) {
		identity->file_bytes = st.st_size;
		identity->mtime_ns = st.st_mtim.tv_sec * NS_PER_SECOND +
				     st.st_mtim.tv_nsec;
	} else if (!blockdev_open(path, &device) &&
		   *blockdev_identity(&device, text, sizeof(text))) {
		identity->device = strdup(text);
	}
}

void image_identity_free(struct image_identity *identity)
{
	free(identity->device);
	identity->device = NULL;
}

/* A file never matches a device. */
bool image_identity_matches(const struct image_identity *recorded,
			    const struct image_identity *now)
{
	if (!recorded->bytes)
		return true;
	return recorded->bytes == now->bytes &&
	       recorded->file_bytes == now->file_bytes &&
	       recorded->mtime_ns == now->mtime_ns &&
	       !(recorded->device &&
		 (!now->device || strcmp(recorded->device, now->device)));
}
