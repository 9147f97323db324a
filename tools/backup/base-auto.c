// SPDX-License-Identifier: GPL-2.0-only
/*
 * `--base auto`: the previous backup is looked for in the folder of the output. It is the
 * one with the generation of the bitmap. Copies of it have the same, so the file that was
 * written first is taken. Whether its chain is whole is checked by base_open().
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backup/volume.h"
#include "base/log.h"
#include "qcow2/backup-record.h"
#include "qcow2/error.h"

struct search {
	const struct increment *increment;
	char *found;
	uint64_t point_s;
	struct timespec written;
};

/* Without a generation, any backup with this bitmap is one. */
static bool fits(const struct increment *increment,
		 const struct backup_record *record)
{
	return record->bitmap && !strcmp(record->bitmap, increment->bitmap) &&
	       !strcmp(record->store, increment->store) &&
	       (!increment->present ||
		record->generation == increment->present);
}

/* Of a later point in time, or written before the other one. */
static bool is_better(const struct search *search,
		      const struct backup_record *record, const struct stat *st,
		      const char *path)
{
	const struct timespec *a = &st->st_mtim, *b = &search->written;

	if (!search->found || record->time_s != search->point_s)
		return !search->found || record->time_s > search->point_s;
	if (a->tv_sec != b->tv_sec)
		return a->tv_sec < b->tv_sec;
	if (a->tv_nsec != b->tv_nsec)
		return a->tv_nsec < b->tv_nsec;
	return strcmp(path, search->found) < 0;
}

static void look_at(struct search *search, const char *path)
{
	struct backup_record record;
	struct stat st;
	char *copy;

	/* A link leads to where the image may not stay. */
	if (lstat(path, &st) || !S_ISREG(st.st_mode))
		return;
	base_record_of(path, &record);
	if (fits(search->increment, &record) &&
	    is_better(search, &record, &st, path)) {
		copy = strdup(path);
		if (copy) {
			free(search->found);
			search->found = copy;
			search->point_s = record.time_s;
			search->written = st.st_mtim;
		}
	}
	backup_record_free(&record);
}

static int search_folder(struct search *search, const char *folder)
{
	DIR *dir = opendir(folder);
	char path[2 * PATH_MAX];
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		look_at(search, path);
	}
	closedir(dir);
	return 0;
}

char *base_find(const struct volume *volume, struct image_error *why)
{
	const struct increment *increment = &volume->increment;
	struct search search = { .increment = increment };
	char folder[PATH_MAX];
	char *slash;
	int r;

	/* The device was restored from it, and no backup was made since. */
	if (increment->present && increment->origin.identity &&
	    increment->origin.image)
		return strdup(increment->origin.image);
	if (path_is_blockdev(volume->output)) {
		image_error_set(why,
				"%s is a block device, so there is no folder to look for the previous backup in: name it (--base)",
				volume->output);
		return NULL;
	}
	snprintf(folder, sizeof(folder), "%s", volume->output_path);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	r = search_folder(&search, folder);
	if (r)
		image_error_set(why, "%s: %s", folder, strerror(-r));
	else if (!search.found)
		image_error_set(why,
				"no image in %s is the backup that bitmap '%s' records the changes since (generation %llu)",
				folder, increment->bitmap,
				(unsigned long long)increment->present);
	return search.found;
}
