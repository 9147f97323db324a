// SPDX-License-Identifier: GPL-2.0-only
/* Marks of volumes that last as long as the machine runs, see persist.h. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/persist.h"
#include "base/log.h"

#define MARK_FOLDER	"/run/dmlive-attach"

/* PERSIST_MISSED while it is handled; still there if who handled it was killed. */
#define TAKEN_SUFFIX	".taken"

static const char *const suffixes[] = {
	[PERSIST_DETACHED] = ".detached",
	[PERSIST_MISSED] = ".missed",
	[PERSIST_MISSED_SYNTHETIC] = ".missed-synthetic",
	[PERSIST_FAILED] = ".failed",
	[PERSIST_CHANGED] = ".changed",
};

/* Each time that a device is made it gets another number. */
static void read_number(const struct volume *volume, char number[32])
{
	if (!blockdev_read_attribute(volume->device.devt, "diskseq", number, 32))
		number[0] = '\0';
}

static void mark_path(const struct volume *volume, enum persist_mark mark,
		      char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, MARK_FOLDER "/%s%s", volume->dm.uuid,
		 suffixes[mark]);
}

/* /run may be full. What the mark would have led to is then missing. */
static void write_mark(const char *path, const char *text,
		       const char *consequence)
{
	FILE *file;
	int r = 0;

	mkdir(MARK_FOLDER, 0755);
	file = fopen(path, "we");
	if (!file || fputs(text, file) < 0)
		r = -errno;
	if (file && fclose(file) && !r)
		r = -errno;
	if (r)
		warning("%s cannot be written (%s): %s", path, strerror(-r),
			consequence);
}

static const char *const consequences[] = {
	[PERSIST_DETACHED] = "the volume is attached again at the next event",
	[PERSIST_MISSED] = "attach the volume by hand: dmlive attach",
	[PERSIST_MISSED_SYNTHETIC] = "attach the volume by hand: dmlive attach",
	[PERSIST_FAILED] = "each event tries again to attach the volume",
	[PERSIST_CHANGED] = "make the next backup of the volume with --full",
};

void persist_set_mark(const struct volume *volume, enum persist_mark mark)
{
	char path[PATH_MAX], text[34];

	mark_path(volume, mark, path);
	read_number(volume, text);
	strcat(text, "\n");
	write_mark(path, text, consequences[mark]);
}

void persist_clear_mark(const struct volume *volume, enum persist_mark mark)
{
	char path[PATH_MAX];

	mark_path(volume, mark, path);
	unlink(path);
}

bool persist_has_mark(const struct volume *volume, enum persist_mark mark)
{
	char path[PATH_MAX], number[32], found[32] = "";
	FILE *file;

	mark_path(volume, mark, path);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(found, sizeof(found), file))
		found[0] = '\0';
	fclose(file);
	found[strcspn(found, "\n")] = '\0';
	read_number(volume, number);
	return !strcmp(found, number);
}

/* A file that is cut off stands for the whole volume. */
uint64_t persist_changed_from(const struct volume *volume)
{
	char path[PATH_MAX];
	uint64_t byte = 0;
	FILE *file;

	mark_path(volume, PERSIST_CHANGED, path);
	file = fopen(path, "re");
	if (!file)
		return UINT64_MAX;
	if (fscanf(file, "%" SCNu64, &byte) != 1)
		byte = 0;
	fclose(file);
	return byte;
}

void persist_note_changed(const struct volume *volume, uint64_t byte)
{
	char path[PATH_MAX], text[32];

	if (persist_changed_from(volume) <= byte)
		return;
	mark_path(volume, PERSIST_CHANGED, path);
	snprintf(text, sizeof(text), "%" PRIu64 "\n", byte);
	write_mark(path, text, consequences[PERSIST_CHANGED]);
}

static int is_missed(const struct dirent *entry)
{
	const char *suffix = strrchr(entry->d_name, '.');

	return suffix && suffix != entry->d_name &&
	       (!strcmp(suffix, suffixes[PERSIST_MISSED]) ||
		!strcmp(suffix, suffixes[PERSIST_MISSED_SYNTHETIC]) ||
		!strcmp(suffix, TAKEN_SUFFIX));
}

bool persist_is_any_missed(void)
{
	struct dirent **entries;
	int i, nr = scandir(MARK_FOLDER, &entries, is_missed, NULL);

	for (i = 0; i < nr; i++)
		free(entries[i]);
	if (nr >= 0)
		free(entries);
	return nr > 0;
}

/* @each may set the mark again, so all are read first. */
void persist_take_missed(void (*each)(const char *uuid, bool is_synthetic))
{
	struct dirent **entries;
	char path[PATH_MAX], taken[PATH_MAX], *suffix;
	bool is_synthetic;
	int i, nr;

	/* Changes of tables come first: a synthetic event may be in vain after that. */
	nr = scandir(MARK_FOLDER, &entries, is_missed, alphasort);
	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), MARK_FOLDER "/%s",
			 entries[i]->d_name);
		suffix = strrchr(entries[i]->d_name, '.');
		is_synthetic = !strcmp(suffix,
				       suffixes[PERSIST_MISSED_SYNTHETIC]);
		*suffix = '\0';
		snprintf(taken, sizeof(taken), MARK_FOLDER "/%s" TAKEN_SUFFIX,
			 entries[i]->d_name);
		/* Another process that has taken it may have been killed. */
		if (!rename(path, taken)) {
			each(entries[i]->d_name, is_synthetic);
			unlink(taken);
		}
		free(entries[i]);
	}
	if (nr >= 0)
		free(entries);
}
