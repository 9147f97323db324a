// SPDX-License-Identifier: GPL-2.0-only
/* The image that a device was restored from, as JSON text; see origin.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "store/extension.h"
#include "store/generation.h"
#include "store/origin.h"
#include "qcow2-format.h"

static int take_members(struct json_object *object, struct meta_origin *origin)
{
	origin->bitmap = json_copy_string(object, "bitmap");
	origin->generation = json_get_number(object, "generation");
	origin->identity = json_copy_string(object, "identity");
	origin->image = json_copy_string(object, "image");
	origin->format = json_copy_string(object, "format");
	return origin->bitmap && origin->generation && origin->identity &&
	       origin->image && origin->format ? 0 : -ENOENT;
}

int meta_origin_read(const struct meta_store *store, struct meta_origin *origin)
{
	struct json_object *object;
	char *text;
	uint32_t bytes;
	size_t at;
	int r = -ENOENT;

	memset(origin, 0, sizeof(*origin));
	at = meta_find_extension(store, QCOW2_EXT_DMLIVE_ORIGIN, &bytes);
	text = at ? strndup((char *)store->first_cluster + at, bytes) : NULL;
	if (!text)
		return r;
	object = json_tokener_parse(text);
	if (json_object_is_type(object, json_type_object))
		r = take_members(object, origin);
	json_object_put(object);
	free(text);
	return r;
}

void meta_origin_free(struct meta_origin *origin)
{
	free(origin->bitmap);
	free(origin->identity);
	free(origin->image);
	free(origin->format);
	memset(origin, 0, sizeof(*origin));
}

static char *to_text(const struct meta_origin *origin)
{
	struct json_object *object = json_new_object();
	char *text;

	json_add_string(object, "bitmap", origin->bitmap);
	json_add_number(object, "generation", origin->generation);
	json_add_string(object, "identity", origin->identity);
	json_add_string(object, "image", origin->image);
	json_add_string(object, "format", origin->format);
	text = strdup(json_object_to_json_string_ext(object,
						     JSON_C_TO_STRING_PLAIN |
						     JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	return text;
}

int meta_origin_write(struct meta_writer *writer,
		      const struct meta_store_bitmap *bitmap,
		      const struct meta_origin *origin)
{
	char *text = to_text(origin);
	uint32_t ignored;
	size_t at;
	int r;

	if (!text) {
		error("out of memory");
		return -ENOMEM;
	}
	r = meta_drop_generation(writer, bitmap);
	at = meta_find_extension(&writer->store, QCOW2_EXT_DMLIVE_ORIGIN,
				 &ignored);
	if (!r && at)
		r = meta_retype_extension(writer, at, QCOW2_EXT_DMLIVE_FREE);
	/* Crash up to the last step: the bitmap belongs to no backup. */
	if (!r)
		r = meta_add_text_extension(writer, QCOW2_EXT_DMLIVE_ORIGIN,
					    text);
	if (!r)
		r = meta_set_generation(writer, bitmap, origin->generation);
	free(text);
	return r;
}
