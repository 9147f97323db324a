// SPDX-License-Identifier: GPL-2.0-only
/* The record of a backup, as JSON text; see backup-record.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2/backup-record.h"
#include "base/json.h"

char *backup_record_format(const struct backup_record *record)
{
	struct json_object *object = json_new_object();
	char *text;

	json_add_string(object, "store", record->store);
	json_add_string(object, "bitmap", record->bitmap);
	json_add_number(object, "generation", record->generation);
	if (record->base_generation)
		json_add_number(object, "base-generation",
				record->base_generation);
	if (record->base_identity)
		json_add_string(object, "base-identity", record->base_identity);
	if (record->time_s)
		json_add_number(object, "time", record->time_s);
	if (record->autoclear_bit)
		json_add_number(object, "autoclear-bit", record->autoclear_bit);
	if (record->stamp.inode) {
		json_add_number(object, "inode", record->stamp.inode);
		json_add_number(object, "birth-ns", record->stamp.birth_ns);
		json_add_number(object, "mtime", record->stamp.mtime_s);
	}
	text = strdup(json_object_to_json_string_ext(object,
						     JSON_C_TO_STRING_PLAIN));
	json_object_put(object);
	return text;
}

static int take_members(struct json_object *object,
			struct backup_record *record)
{
	const char *store = json_get_string(object, "store");
	const char *bitmap = json_get_string(object, "bitmap");
	const char *identity = json_get_string(object, "base-identity");

	record->generation = json_get_number(object, "generation");
	record->base_generation = json_get_number(object, "base-generation");
	record->time_s = json_get_number(object, "time");
	record->autoclear_bit = json_get_number(object, "autoclear-bit");
	record->stamp.inode = json_get_number(object, "inode");
	record->stamp.birth_ns = json_get_number(object, "birth-ns");
	record->stamp.mtime_s = json_get_number(object, "mtime");
	if (!store || strlen(store) != sizeof(record->store) - 1 || !bitmap ||
	    !*bitmap || !record->generation)
		return -EINVAL;
	snprintf(record->store, sizeof(record->store), "%s", store);
	record->bitmap = strdup(bitmap);
	if (identity)
		record->base_identity = strdup(identity);
	return record->bitmap && (!identity || record->base_identity) ? 0 :
									-ENOMEM;
}

int backup_record_parse(const char *text, struct backup_record *record)
{
	struct json_object *object;
	int r = -EINVAL;

	memset(record, 0, sizeof(*record));
	if (!text)
		return -ENOENT;
	object = json_tokener_parse(text);
	if (json_object_is_type(object, json_type_object))
		r = take_members(object, record);
	json_object_put(object);
	return r;
}

void backup_record_free(struct backup_record *record)
{
	free(record->bitmap);
	free(record->base_identity);
	record->bitmap = NULL;
	record->base_identity = NULL;
}

bool backup_record_follows(const struct backup_record *record,
			   const struct backup_record *base)
{
	return record->base_generation && !record->base_identity &&
	       record->base_generation == base->generation &&
	       !strcmp(record->store, base->store) &&
	       !strcmp(record->bitmap, base->bitmap);
}

bool backup_record_is_intact(const struct backup_record *record,
			     uint64_t autoclear_bits, const char *path)
{
	struct file_stamp now;

	if (record->autoclear_bit &&
	    (record->autoclear_bit > 63 ||
	     !(autoclear_bits >> record->autoclear_bit & 1)))
		return false;
	if (!record->stamp.inode || file_stamp_get(path, &now))
		return true;
	/* A different file is a copy: whether that was changed is not known. */
	return now.inode != record->stamp.inode ||
	       now.birth_ns != record->stamp.birth_ns ||
	       (now.mtime_s == record->stamp.mtime_s && !now.mtime_ns);
}
