// SPDX-License-Identifier: GPL-2.0-only
/* Records of restores in place, see in-place.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/in-place.h"
#include "base/durable-file.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/words.h"
#include "block/dm-uuid.h"
#include "lines/status-line.h"

#define SUFFIX		".conf"
#define SECTION		"[Restore]"
#define LINE_BYTES	(PATH_MAX + 32)

static const char key_volume[] = "VolumeUUID=";
static const char key_meta[] = "MetadataUUID=";
static const char key_path[] = "Metadata=";
static const char complete_line[] = "State=complete";
static const char reduced_line[] = "Reduced=yes";

static void make_path(char path[PATH_MAX], const char *uuid)
{
	snprintf(path, PATH_MAX, IN_PLACE_FOLDER "/%.200s" SUFFIX, uuid);
}

static bool take_value(const char *line, const char *key, char *value,
		       size_t value_bytes)
{
	const size_t length = strlen(key);

	if (strncmp(line, key, length))
		return false;
	snprintf(value, value_bytes, "%.*s", (int)value_bytes - 1,
		 line + length);
	return true;
}

/* What is damaged leaves the record as it is: that of a restore not complete. */
static int read_file(const char *path, struct in_place *record)
{
	char line[LINE_BYTES];
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	int r = file ? 0 : -errno;

	if (!file) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	errno = EIO;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\r\n")] = '\0';
		if (!take_value(line, key_meta, record->meta,
				sizeof(record->meta)))
			take_value(line, key_path, record->meta_path,
				   sizeof(record->meta_path));
		if (!strcmp(line, complete_line))
			record->complete = true;
		if (!strcmp(line, reduced_line))
			record->reduced = true;
	}
	if (ferror(file))
		r = -errno;
	fclose(file);
	return r;
}

int in_place_look(const char *uuid, struct in_place *record)
{
	char path[PATH_MAX];
	int r;

	memset(record, 0, sizeof(*record));
	if (!*uuid || strchr(uuid, '/'))
		return 0;
	make_path(path, uuid);
	snprintf(record->volume, sizeof(record->volume), "%s", uuid);
	r = read_file(path, record);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	return r ? r : 1;
}

bool in_place_find(const char *uuid, struct in_place *record)
{
	return in_place_look(uuid, record) > 0;
}

bool in_place_is_unfinished(const char *uuid)
{
	struct in_place record;

	return in_place_find(uuid, &record) && !record.complete;
}

bool in_place_is_over(const char *uuid)
{
	struct in_place record;
	int r = in_place_look(uuid, &record);

	return !r || (r > 0 && record.complete);
}

struct text {
	const struct in_place *record;
	const char *comment;
};

static void print(FILE *file, const void *context)
{
	const struct text *text = context;
	const struct in_place *record = text->record;

	fprintf(file, "# %s\n" SECTION "\n%s%s\n", text->comment, key_volume,
		record->volume);
	if (*record->meta)
		fprintf(file, "%s%s\n", key_meta, record->meta);
	else if (*record->meta_path)
		fprintf(file, "%s%s\n", key_path, record->meta_path);
	if (record->complete)
		fprintf(file, "%s\n", complete_line);
	if (record->reduced)
		fprintf(file, "%s\n", reduced_line);
}

int in_place_write(const struct in_place *record, const char *comment)
{
	const struct text text = { record, comment };
	char path[PATH_MAX];

	make_path(path, record->volume);
	return durable_folder_make("/etc/dmlive") ?:
	       durable_folder_make(IN_PLACE_FOLDER) ?:
	       durable_file_write(path, print, &text);
}

int in_place_complete(const char *uuid)
{
	struct in_place record;
	int r = in_place_look(uuid, &record);

	if (r < 0)
		error_errno(r, IN_PLACE_FOLDER "/%s" SUFFIX, uuid);
	if (r <= 0 || record.complete)
		return r < 0 ? r : 0;
	record.complete = true;
	return in_place_write(&record,
			      "All data are on the volume: this file may be removed");
}

int in_place_note_reduced(const char *uuid)
{
	struct in_place record;
	int r = in_place_look(uuid, &record);

	if (r <= 0 || record.reduced)
		return r < 0 ? r : 0;
	record.reduced = true;
	return in_place_write(&record,
			      "The volume was reduced: its restore in place cannot be resumed");
}

int in_place_remove(const char *uuid)
{
	char path[PATH_MAX];

	make_path(path, uuid);
	return durable_file_remove(path);
}

/* Names that begin with a dot are those of files that are being written. */
static bool take_name(const char *name, char uuid[PERSIST_UUID_BYTES])
{
	const size_t length = stem_length(name, SUFFIX);

	if (name[0] == '.' || !length || length >= PERSIST_UUID_BYTES)
		return false;
	snprintf(uuid, PERSIST_UUID_BYTES, "%.*s", (int)length, name);
	return true;
}

int in_place_for_each(int (*each)(const struct in_place *record, void *argument),
		      void *argument)
{
	DIR *folder = opendir(IN_PLACE_FOLDER);
	char uuid[PERSIST_UUID_BYTES];
	struct in_place record;
	struct dirent *entry;
	int r = 0;

	while (folder && !r && (entry = readdir(folder)))
		if (take_name(entry->d_name, uuid) &&
		    in_place_find(uuid, &record))
			r = each(&record, argument);
	if (folder)
		closedir(folder);
	return r;
}

const char *in_place_meta(const struct in_place *record, char path[PATH_MAX])
{
	char name[DM_NAME_BYTES];

	snprintf(path, PATH_MAX, "%s", record->meta_path);
	if (*record->meta)
		snprintf(path, PATH_MAX, "%s",
			 dm_name_of_uuid(record->meta, name) ?
			 dm_node_path(name) : "");
	if (*path && !path_is_blockdev(path))
		path[0] = '\0';
	return path;
}

int in_place_check_none(const struct volume *volume)
{
	struct in_place record;
	int r = volume->is_mapped ? in_place_look(volume->dm.uuid, &record) : 0;

	if (r < 0) {
		error_errno(r, IN_PLACE_FOLDER "/%s" SUFFIX " cannot be read, so %s may be restored in place, and is left alone; mend the file system, or, if there is no such restore, remove that file",
			    volume->dm.uuid, volume->name);
		return EXIT_REFUSED;
	}
	if (!r || record.complete)
		return EXIT_OK;
	error("%s is being restored in place, and that is not finished; to continue it: dmlive resume %s; to give it up, and with it what %s holds: dmlive detach %s --force",
	      volume->name, volume->name, volume->name, volume->name);
	return EXIT_REFUSED;
}

bool in_place_is_live(const struct volume *volume, struct inner *inner)
{
	struct cbw_table origin = { 0 };
	struct alloctrack_table table;
	struct inner ignored;

	if (!volume->is_mapped || inner_is(volume) ||
	    dm_uuid_is_ours(volume->dm.uuid) ||
	    volume->table.nr_lines != 1 ||
	    strcmp(volume->table.lines[0].target, "alloctrack") ||
	    table_line_parse(volume->table.lines[0].params, &table))
		return false;
	snprintf(origin.origin, sizeof(origin.origin), "%.31s", table.file);
	return inner_of_table(&origin, inner ? inner : &ignored);
}
