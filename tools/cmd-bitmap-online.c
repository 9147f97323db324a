// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive bitmap` on a mapped device that records changes: the target is asked by
 * messages. Which device that is.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmd-bitmap.h"
#include "lib/blockdev.h"
#include "lib/dm.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"

#define TARGET "cbw"

/* The second word of the table line: the metadata device, "-": none. */
static bool parse_meta(const struct dm_line *line, char *meta,
		       size_t meta_bytes)
{
	const char *word = line->params + strcspn(line->params, " ");

	word += strspn(word, " ");
	snprintf(meta, meta_bytes, "%.*s", (int)strcspn(word, " "), word);
	return *meta;
}

/* 1: @name has the target; its metadata device's number is set. */
static int read_table(const char *name, char *meta, size_t meta_bytes)
{
	struct dm_line line = { 0 };
	int r;

	r = dm_get_line(name, DM_LINE_TABLE, &line, NULL);
	if (!r)
		r = !strcmp(line.target, TARGET) &&
		    parse_meta(&line, meta, meta_bytes);
	dm_line_free(&line);
	return r == -ENXIO || r == -ENODATA ? 0 : r;
}

struct search {
	char number[32];
	char *name;
	size_t name_bytes;
};

static int is_user(const char *name, void *argument)
{
	struct search *search = argument;
	char meta[32];

	if (read_table(name, meta, sizeof(meta)) != 1 ||
	    strcmp(meta, search->number))
		return 0;
	snprintf(search->name, search->name_bytes, "%s", name);
	return 1;
}

/* Without device mapper nothing uses it. */
static bool has_device_mapper(void)
{
	return !access("/dev/mapper/control", R_OK | W_OK);
}

int bitmap_find_user(const char *path, char *name, size_t name_bytes)
{
	struct search search = {
		.name = name,
		.name_bytes = name_bytes,
	};
	struct blockdev device;
	int r;

	if (!has_device_mapper())
		return 0;
	r = blockdev_open(path, &device);
	if (r)
		return r;
	snprintf(search.number, sizeof(search.number), "%u:%u",
		 major(device.devt), minor(device.devt));
	return dm_for_each(is_user, &search);
}

/* A path is a mapped device's if its node is; a word is a name. */
int bitmap_is_online(const char *store, char *name, size_t name_bytes)
{
	struct stat stat_of;
	char meta[32];

	if (!has_device_mapper())
		return 0;
	if (!stat(store, &stat_of)) {
		if (!S_ISBLK(stat_of.st_mode) ||
		    !blockdev_read_attribute(stat_of.st_rdev, "dm/name", name,
					     name_bytes))
			return 0;
	} else {
		if (strchr(store, '/') || strlen(store) >= name_bytes)
			return 0;
		snprintf(name, name_bytes, "%s", store);
	}
	return read_table(name, meta, sizeof(meta));
}

/* A message is a line of words. */
static int check_word(const char *word)
{
	const char *at;

	for (at = word; *at; at++) {
		if (!isspace((unsigned char)*at) && *at != '\\')
			continue;
		error("bitmap '%s': a name with spaces or backslashes cannot be used while the target is active",
		      word);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

static int make_message(const struct bitmap_arguments *arguments, char *message,
			size_t bytes)
{
	const char *verb = arguments->verb, *bitmap = arguments->bitmap;
	uint64_t granularity = arguments->granularity;

	if (check_word(bitmap) ||
	    (arguments->source && check_word(arguments->source)))
		return EXIT_REFUSED;
	if (arguments->source_file) {
		error("bitmap merge: a bitmap of another image can be merged only while %s is not active",
		      arguments->store);
		return EXIT_REFUSED;
	}
	if (arguments->action == BITMAP_ADD)
		snprintf(message, bytes, "bitmap add %s %" PRIu64, bitmap,
			 granularity ? granularity :
				       BITMAP_DEFAULT_GRANULARITY);
	else
		snprintf(message, bytes, "bitmap %s %s%s%s", verb, bitmap,
			 arguments->source ? " " : "",
			 arguments->source ? arguments->source : "");
	return EXIT_OK;
}

static int change(const char *name, const struct bitmap_arguments *arguments)
{
	char message[3 * 1024 + 64];
	int r;

	r = make_message(arguments, message, sizeof(message));
	if (r)
		return r;
	r = dm_message(name, message);
	if (!r && arguments->action == BITMAP_ADD && arguments->disabled) {
		snprintf(message, sizeof(message), "bitmap disable %s",
			 arguments->bitmap);
		r = dm_message(name, message);
	}
	if (r)
		error("%s: %s of bitmap '%s' was refused; the kernel log says why",
		      name, arguments->verb, arguments->bitmap);
	return r ? EXIT_REFUSED : EXIT_OK;
}

/* What is on the metadata device; newer bits may be in memory only. */
static int show(const char *name, const struct bitmap_arguments *arguments)
{
	struct bitmap_arguments offline = *arguments;
	char meta[32], path[4096];
	int r;

	r = read_table(name, meta, sizeof(meta));
	if (r != 1)
		return EXIT_ERROR;
	if (!strcmp(meta, "-")) {
		error("%s has no metadata device, so it records no changes",
		      name);
		return EXIT_REFUSED;
	}
	offline.store = blockdev_path_of(meta, path, sizeof(path));
	return bitmap_offline(&offline);
}

int bitmap_online(const char *name, const struct bitmap_arguments *arguments)
{
	if (arguments->action == BITMAP_LIST ||
	    arguments->action == BITMAP_DUMP)
		return show(name, arguments);
	return change(name, arguments);
}
