// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names like json:{"driver":"qcow2","file":{"driver":"file","filename":"NAME"}}, as
 * QEMU writes them when a plain name cannot express how an image was opened.
 * Everything in them beside the name of a file is refused, unless it is known not to
 * change the data: an offset, a key or another server must not be missed.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "path.h"

#define PREFIX_BYTES	5	/* of "json:" */
#define MAX_DEPTH	3	/* format, raw, file */
#define MAX_KEY_BYTES	128

/* Caching and locking of an image, which do not affect its content. */
static const char *const harmless[] = {
	"aio", "aio-max-batch", "auto-read-only", "cache-clean-interval",
	"cache-size", "cache.direct", "cache.no-flush", "detect-zeroes",
	"discard", "drop-cache", "force-share", "l2-cache-entry-size",
	"l2-cache-size", "lazy-refcounts", "locking", "node-name",
	"overlap-check", "pass-discard-other", "pass-discard-request",
	"pass-discard-snapshot", "read-only", "refcount-cache-size",
	"x-check-cache-dropped",
};

struct json_name {
	struct json_object *flat;	/* "file.filename": "NAME" */
	char why[200];			/* it is refused */
};

static bool refuse(struct json_name *n, const char *reason, const char *word)
{
	snprintf(n->why, sizeof(n->why), "%s%.100s", reason, word);
	return false;
}

/* Nested objects and dotted keys say the same. */
static bool flatten(struct json_name *n, struct json_object *object,
		    const char *prefix, unsigned int depth)
{
	char key[MAX_KEY_BYTES];

	json_object_object_foreach(object, name, value) {
		if (snprintf(key, sizeof(key), "%s%s", prefix, name) >=
		    (int)sizeof(key) - 1)
			return refuse(n, "unknown option ", name);
		if (json_object_is_type(value, json_type_object)) {
			strcat(key, ".");
			if (depth == MAX_DEPTH)
				return refuse(n, "too deep: ", name);
			if (!flatten(n, value, key, depth + 1))
				return false;
			continue;
		}
		if (json_object_object_get_ex(n->flat, key, NULL))
			return refuse(n, "given twice: ", key);
		if (json_object_object_add(n->flat, key,
					   json_object_get(value)))
			return refuse(n, "out of memory", "");
	}
	return true;
}

/* Take the string @prefix@name out; NULL: there is none. */
static char *take(struct json_name *n, const char *prefix, const char *name)
{
	struct json_object *value;
	char key[MAX_KEY_BYTES];
	char *text;

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	if (!json_object_object_get_ex(n->flat, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	text = strdup(json_object_get_string(value));
	if (text)
		json_object_object_del(n->flat, key);
	return text;
}

/* Whether all that is left, at any level, is harmless. */
static bool check_rest(struct json_name *n)
{
	size_t i, nr = sizeof(harmless) / sizeof(harmless[0]);
	const char *name;

	json_object_object_foreach(n->flat, key, value) {
		(void)value;
		for (name = key; !strncmp(name, "file.", 5); name += 5)
			;
		for (i = 0; i < nr && strcmp(name, harmless[i]); i++)
			;
		if (i == nr)
			return refuse(n, "option ", key);
	}
	return true;
}

static bool is_one_of(const char *driver, const char *one, const char *other)
{
	return !driver || !strcmp(driver, one) || !strcmp(driver, other);
}

/*
 * Go down to the level that has the name of the file. The format is that of the first
 * level, which the header of the image may state too; below there are raw ones only.
 */
static bool find_path(struct json_name *n, char **path, const char **format)
{
	char prefix[MAX_DEPTH * 5 + 1] = "";
	unsigned int depth;
	char *driver;
	bool known;

	for (depth = 0; depth < MAX_DEPTH; depth++) {
		driver = take(n, prefix, "driver");
		*path = take(n, prefix, "filename");
		known = *path && is_one_of(driver, "file", "host_device");
		if (!known)
			known = is_one_of(driver, "raw",
					  depth ? "raw" : "qcow2");
		if (!known)
			refuse(n, "driver ", driver);
		else if (driver && !depth)
			*format = strcmp(driver, "qcow2") ? "raw" : "qcow2";
		free(driver);
		if (!known || *path)
			return known;
		strcat(prefix, "file.");
	}
	return refuse(n, "it names no file", "");
}

int path_of_json_name(const char *name, const char *owner, const char *what,
		      char **path, const char **format,
		      struct image_error *err)
{
	struct json_name n = { .flat = json_object_new_object() };
	struct json_object *object = json_tokener_parse(name + PREFIX_BYTES);
	bool known;

	*path = NULL;
	*format = NULL;
	if (!n.flat) {
		json_object_put(object);
		return image_fail_memory(err, owner);
	}
	if (!json_object_is_type(object, json_type_object))
		known = refuse(&n, "it is no JSON object", "");
	else
		known = flatten(&n, object, "", 1) &&
			find_path(&n, path, format) && check_rest(&n);
	if (known && !**path)
		known = refuse(&n, "it names no file", "");
	json_object_put(object);
	json_object_put(n.flat);
	if (known)
		return 0;
	free(*path);
	*path = NULL;
	return path_refuse_name(name, owner, what, n.why, err);
}
