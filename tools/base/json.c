// SPDX-License-Identifier: GPL-2.0-only
/* JSON output and input. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utf8.h"

static struct json_object *check(struct json_object *object)
{
	if (!object) {
		error("out of memory");
		exit(EXIT_ERROR);
	}
	return object;
}

struct json_object *json_new_object(void)
{
	return check(json_object_new_object());
}

struct json_object *json_new_array(void)
{
	return check(json_object_new_array());
}

void json_append(struct json_object *array, struct json_object *element)
{
	if (json_object_array_add(array, element))
		check(NULL);
}

void json_add(struct json_object *object, const char *key,
	      struct json_object *value)
{
	if (json_object_object_add(object, key, value))
		check(NULL);
}

void json_add_string(struct json_object *object, const char *key,
		     const char *value)
{
	json_add(object, key,
		 value ? check(json_object_new_string(value)) : NULL);
}

void json_add_number(struct json_object *object, const char *key,
		     uint64_t value)
{
	json_add(object, key, check(json_object_new_uint64(value)));
}

void json_add_double(struct json_object *object, const char *key, double value)
{
	char text[64];

	snprintf(text, sizeof(text), "%.3f", value);
	json_add(object, key, check(json_object_new_double_s(value, text)));
}

void json_add_bool(struct json_object *object, const char *key, bool value)
{
	json_add(object, key, check(json_object_new_boolean(value)));
}

/*
 * Names of files, bitmaps and snapshots are any bytes, JSON is UTF-8: other bytes
 * become U+FFFD. Only when printed: what is kept for later has the bytes.
 */
static void put_text(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	size_t valid, bytes;

	while (*text) {
		for (valid = 0; text[valid]; valid += bytes) {
			bytes = utf8_character_bytes(text + valid);
			if (!bytes)
				break;
		}
		fwrite(text, 1, valid, stdout);
		text += valid;
		if (*text) {
			fputs(replacement, stdout);
			text++;
		}
	}
}

static void put_object(struct json_object *object, int flags)
{
	put_text(json_object_to_json_string_ext(object, flags |
						JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

static void print(struct json_object *object, int flags)
{
	put_object(object, flags);
	putchar('\n');
	fflush(stdout);
}

void json_print_element(struct json_object *element, bool is_first)
{
	if (!is_first)
		fputs(",\n", stdout);
	put_object(element, JSON_C_TO_STRING_SPACED);
}

void json_print_line(struct json_object *object)
{
	print(object, JSON_C_TO_STRING_PLAIN);
}

void json_print_pretty(struct json_object *object)
{
	print(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}

static int write_all(int fd, const char *text)
{
	size_t left = strlen(text);
	ssize_t n;

	for (; left; left -= n, text += n) {
		n = write(fd, text, left);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n < 0)
			n = 0;
	}
	return 0;
}

int json_save(struct json_object *object, const char *path)
{
	const char *text = json_object_to_json_string_ext(object,
						JSON_C_TO_STRING_PRETTY);
	char temporary[PATH_MAX];
	int fd, r;

	if (!text)
		return -ENOMEM;
	snprintf(temporary, sizeof(temporary), "%.4000s.new", path);
	fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text);
	close(fd);
	if (!r && rename(temporary, path))
		r = -errno;
	if (r)
		unlink(temporary);
	return r;
}

const char *json_get_string(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value) || !value)
		return NULL;
	return json_object_get_string(value);
}

char *json_copy_string(struct json_object *object, const char *key)
{
	const char *value = json_get_string(object, key);

	return value ? strdup(value) : NULL;
}

uint64_t json_get_number(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return 0;
	return json_object_get_uint64(value);
}

bool json_get_bool_or(struct json_object *object, const char *key,
		      bool if_missing)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ?
	       json_object_get_boolean(value) : if_missing;
}

bool json_get_bool(struct json_object *object, const char *key)
{
	return json_get_bool_or(object, key, false);
}
