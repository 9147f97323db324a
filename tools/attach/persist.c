// SPDX-License-Identifier: GPL-2.0-only
/* Files of attachments that are made again, see persist.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/persist.h"
#include "base/conf-file.h"
#include "base/durable-file.h"
#include "base/log.h"
#include "base/size.h"
#include "base/words.h"

#define SUFFIX		".conf"
#define SECTION		"[Attach]"

#define MIN_BLOCK_BYTES	4096u
#define MAX_BLOCK_BYTES	(2u << 20)

static void set_problem(struct persist *persist, unsigned int line,
			const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Line 0: it is about the whole file. The first one counts. */
static void set_problem(struct persist *persist, unsigned int line,
			const char *format, ...)
{
	char text[256], number[16] = "";
	va_list args;

	if (*persist->problem)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (line)
		snprintf(number, sizeof(number), ":%u", line);
	snprintf(persist->problem, sizeof(persist->problem), "%.200s%s: %s",
		 persist->path, number, text);
}

/* libdevmapper would mangle other UUIDs. */
static bool is_plain(const char *uuid)
{
	const char *at;

	for (at = uuid; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("#+-.:=@_", *at))
			return false;
	return *uuid && at - uuid < PERSIST_UUID_BYTES;
}

bool persist_is_uuid(const char *name, const char *uuid)
{
	if (is_plain(uuid))
		return true;
	error("%s: its device-mapper UUID is '%s', by which it cannot be found again: only volumes with a UUID of letters, digits and #+-.:=@_ can be attached with --persistent",
	      name, uuid);
	return false;
}

static void take_uuid(struct persist *persist, unsigned int line,
		      const char *key, const char *value, char *uuid)
{
	if (is_plain(value))
		snprintf(uuid, PERSIST_UUID_BYTES, "%s", value);
	else
		set_problem(persist, line,
			    "%s=%.128s: is not a device-mapper UUID", key,
			    value);
}

static void take_policy(struct persist *persist, unsigned int line,
			const char *value)
{
	persist->break_tracking = !strcmp(value, "break_tracking");
	if (!persist->break_tracking && strcmp(value, "break_guest_write"))
		set_problem(persist, line,
			    "OnMetaError=%.128s: must be break_guest_write or break_tracking",
			    value);
}

static void take_block_size(struct persist *persist, unsigned int line,
			    const char *value)
{
	uint64_t bytes;

	if (!size_parse(value, &bytes) && bytes >= MIN_BLOCK_BYTES &&
	    bytes <= MAX_BLOCK_BYTES && !(bytes & (bytes - 1)))
		persist->block_bytes = bytes;
	else
		set_problem(persist, line,
			    "BlockSize=%.128s: must be a power of two from 4K to 2M",
			    value);
}

static void take_value(struct persist *persist, unsigned int line,
		       const char *key, const char *value)
{
	if (!strcmp(key, "VolumeUUID"))
		take_uuid(persist, line, key, value, persist->volume);
	else if (!strcmp(key, "MetadataUUID"))
		take_uuid(persist, line, key, value, persist->meta);
	else if (!strcmp(key, "Metadata") && value[0] == '/')
		snprintf(persist->meta_path, sizeof(persist->meta_path), "%s",
			 value);
	else if (!strcmp(key, "Metadata"))
		set_problem(persist, line,
			    "Metadata=%.128s: must be an absolute path", value);
	else if (!strcmp(key, "OnMetaError"))
		take_policy(persist, line, value);
	else if (!strcmp(key, "BlockSize"))
		take_block_size(persist, line, value);
	else
		set_problem(persist, line, "there is no setting '%.128s'", key);
}

/* What was read so far: a bit for each of keys[]. */
struct progress {
	struct persist *persist;
	unsigned int keys;
};

static const char *const keys[] = {
	"VolumeUUID", "MetadataUUID", "Metadata", "OnMetaError", "BlockSize",
};

static void check_first(struct progress *progress, unsigned int line,
			const char *key)
{
	unsigned int i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strcmp(key, keys[i]))
			continue;
		if (progress->keys & 1u << i)
			set_problem(progress->persist, line,
				    "%s= is given twice", key);
		progress->keys |= 1u << i;
	}
}

static void take(void *context, unsigned int line, const char *key,
		 const char *value)
{
	struct progress *progress = context;

	check_first(progress, line, key);
	take_value(progress->persist, line, key, value);
}

static void take_problem(void *context, unsigned int line, const char *text)
{
	set_problem(((struct progress *)context)->persist, line, "%s", text);
}

static void check_complete(struct persist *persist)
{
	if (!*persist->volume)
		set_problem(persist, 0, "VolumeUUID= is missing");
	if (!*persist->meta && !*persist->meta_path)
		set_problem(persist, 0,
			    "MetadataUUID= is missing (or Metadata=, if that is not a mapped device)");
	if (*persist->meta && *persist->meta_path)
		set_problem(persist, 0,
			    "there must be only one of MetadataUUID= and Metadata=");
	if (*persist->volume && !strcmp(persist->volume, persist->meta))
		set_problem(persist, 0,
			    "VolumeUUID= and MetadataUUID= are the same");
}

void persist_read(const char *path, struct persist *persist)
{
	struct progress progress = { .persist = persist };
	const struct conf_reader reader = {
		.section = SECTION,
		.take = take,
		.problem = take_problem,
		.context = &progress,
	};

	memset(persist, 0, sizeof(*persist));
	snprintf(persist->path, sizeof(persist->path), "%s", path);
	/* All lines, even behind a wrong one: which volume is it about? */
	conf_read(path, &reader);
	check_complete(persist);
}

/* Names that begin with a dot are those of files that are being written. */
static int is_file_name(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && stem_length(entry->d_name, SUFFIX);
}

int persist_for_each(int (*each)(const struct persist *persist, void *argument),
		     void *argument)
{
	struct persist persist;
	struct dirent **entries;
	char path[PATH_MAX];
	int i, nr, r = 0;

	nr = scandir(PERSIST_FOLDER, &entries, is_file_name, alphasort);
	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), PERSIST_FOLDER "/%s",
			 entries[i]->d_name);
		free(entries[i]);
		if (r)
			continue;
		persist_read(path, &persist);
		r = each(&persist, argument);
	}
	if (nr >= 0)
		free(entries);
	return r;
}

struct search {
	const char *uuid;
	struct persist *found;
};

static int match(const struct persist *persist, void *argument)
{
	struct search *search = argument;

	if (strcmp(persist->volume, search->uuid))
		return 0;
	*search->found = *persist;
	return 1;
}

bool persist_find(const char *uuid, struct persist *persist)
{
	struct search search = { .uuid = uuid, .found = persist };

	return *uuid && persist_for_each(match, &search);
}

struct text {
	const struct persist *persist;
	const char *comment;
};

static void print(FILE *file, const void *context)
{
	const struct text *text = context;
	const struct persist *persist = text->persist;

	if (text->comment)
		fprintf(file, "# %s\n", text->comment);
	fprintf(file, SECTION "\nVolumeUUID=%s\n", persist->volume);
	if (*persist->meta)
		fprintf(file, "MetadataUUID=%s\n", persist->meta);
	else
		fprintf(file, "Metadata=%s\n", persist->meta_path);
	if (persist->break_tracking)
		fputs("OnMetaError=break_tracking\n", file);
	if (persist->block_bytes)
		fprintf(file, "BlockSize=%" PRIu64 "\n", persist->block_bytes);
}

int persist_write(const struct persist *persist, const char *comment)
{
	const struct text text = { persist, comment };
	struct persist present;
	char path[PATH_MAX];

	if (persist_find(persist->volume, &present))
		snprintf(path, sizeof(path), "%s", present.path);
	else
		snprintf(path, sizeof(path), PERSIST_FOLDER "/%s" SUFFIX,
			 persist->volume);
	return durable_folder_make("/etc/dmlive") ?:
	       durable_folder_make(PERSIST_FOLDER) ?:
	       durable_file_write(path, print, &text);
}

int persist_remove(const char *uuid, bool *found)
{
	struct persist present;
	int r;

	*found = false;
	/* There may be several. */
	while (persist_find(uuid, &present)) {
		*found = true;
		r = durable_file_remove(present.path);
		if (r)
			return r;
	}
	return 0;
}
