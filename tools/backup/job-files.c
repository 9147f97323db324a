// SPDX-License-Identifier: GPL-2.0-only
/*
 * The images that a job has made, see job-files.h. Those of a chain are removed from its
 * end to its full backup, each durably, so that what a power cut leaves is a chain.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backup/job-files.h"
#include "base/durable-file.h"
#include "base/host-lock.h"
#include "base/log.h"
#include "block/loop.h"
#include "qcow2/backup-record.h"
#include "qcow2/image.h"
#include "qcow2/path.h"

#define PARTIAL		".partial"
#define SECONDS_PER_DAY	86400u

/*
 * @backing: the file that it lies on, if @has_backing; 0 if that is not there
 * @is_ours: the job has made it
 * @is_full: it is ours, and a full backup
 * @is_stuck: it cannot be removed now
 */
struct file {
	char name[NAME_MAX + 1];
	struct stat self;
	struct stat backing;
	bool has_backing;
	bool is_ours;
	bool is_full;
	bool is_stuck;
	uint64_t time_s;
};

struct list {
	struct file *files;
	size_t nr;
};

/* Is it the name of an image of the job, with @suffix? */
static bool is_name(const struct job_files *set, const char *name,
		    const char *suffix)
{
	const size_t length = strlen(set->prefix);
	const char *time = name + length;
	unsigned int i;

	if (strncmp(name, set->prefix, length) ||
	    strlen(time) < JOB_TIME_LENGTH ||
	    strcmp(time + JOB_TIME_LENGTH, suffix))
		return false;
	for (i = 0; i < JOB_TIME_LENGTH; i++)
		if (i == 8 ? time[i] != 'T' :
		    i == JOB_TIME_LENGTH - 1 ? time[i] != 'Z' :
					       !isdigit((unsigned char)time[i]))
			return false;
	return true;
}

static void path_of(const struct job_files *set, const char *name,
		    char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", set->folder, name);
}

void job_files_remove_partial(const struct job_files *set)
{
	DIR *dir = opendir(set->folder);
	struct dirent *entry;
	char path[PATH_MAX];
	int fd;

	while (dir && (entry = readdir(dir))) {
		if (!is_name(set, entry->d_name, JOB_SUFFIX PARTIAL))
			continue;
		path_of(set, entry->d_name, path);
		fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && !host_is_locked(fd) && !unlink(path))
			warning("%s, which an interrupted backup has left, is removed",
				path);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
}

static void take_record(const struct job_files *set,
			const struct image_layer_info *info, struct file *file)
{
	struct backup_record record;

	if (is_name(set, file->name, JOB_SUFFIX) &&
	    !backup_record_parse(info->backup_record, &record)) {
		file->is_ours = record.bitmap &&
				!strcmp(record.bitmap, set->bitmap) &&
				backup_record_is_intact(&record,
							info->autoclear_features,
							info->path);
		file->is_full = file->is_ours && !file->has_backing &&
				!record.base_generation;
		file->time_s = record.time_s;
		backup_record_free(&record);
	}
}

static void take_info(const struct job_files *set,
		      const struct image_layer_info *info, struct file *file)
{
	const char *format;
	char *path;

	file->has_backing = info->backing_file;
	if (file->has_backing &&
	    !path_of_backing(info->backing_file, info->path, &path, &format,
			     NULL)) {
		if (stat(path, &file->backing))
			memset(&file->backing, 0, sizeof(file->backing));
		free(path);
	}
	take_record(set, info, file);
}

/* In whatever state it is, and even if it is in use: what does it lie on? */
static bool read_file(const struct job_files *set, const char *name,
		      struct file *file)
{
	const struct image_options options = {
		.format = "qcow2",
		.force = true,
		.metadata_only = true,
	};
	const struct image_layer_info *info;
	struct image *image;
	char path[PATH_MAX];

	memset(file, 0, sizeof(*file));
	snprintf(file->name, sizeof(file->name), "%s", name);
	path_of(set, name, path);
	if (lstat(path, &file->self) || !S_ISREG(file->self.st_mode) ||
	    image_open(path, &options, &image, NULL))
		return false;
	if (!image_describe(image, 0, &info, NULL))
		take_info(set, info, file);
	image_close(image);
	return true;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name,
		      ((const struct file *)b)->name);
}

static int read_list(const struct job_files *set, struct list *list)
{
	DIR *dir = opendir(set->folder);
	struct dirent *entry;
	struct file *files;
	int r = dir ? 0 : -errno;

	*list = (struct list){ 0 };
	while (!r && (entry = readdir(dir))) {
		files = reallocarray(list->files, list->nr + 1, sizeof(*files));
		if (!files) {
			r = -ENOMEM;
			break;
		}
		list->files = files;
		list->nr += read_file(set, entry->d_name, &files[list->nr]);
	}
	if (dir)
		closedir(dir);
	if (r)
		error_errno(r, "%s: cannot be searched for images of the job",
			    set->folder);
	else if (list->nr)
		qsort(list->files, list->nr, sizeof(*files), compare);
	return r;
}

static bool lies_on(const struct file *file, const struct file *base)
{
	return file->has_backing && file->backing.st_dev == base->self.st_dev &&
	       file->backing.st_ino == base->self.st_ino;
}

static struct file *base_of(const struct list *list, const struct file *file)
{
	struct file *base;

	for (base = list->files; base < list->files + list->nr; base++)
		if (base->is_ours && lies_on(file, base))
			return base;
	return NULL;
}

/* The full backup; NULL: it is not there, or not of this job. @nr: images down to it. */
static struct file *root_of(const struct list *list, struct file *file,
			    unsigned int *nr)
{
	*nr = 1;
	while (file && !file->is_full && *nr <= list->nr) {
		file = base_of(list, file);
		(*nr)++;
	}
	return file && file->is_full ? file : NULL;
}

bool job_files_full_is_due(const struct job_files *set, unsigned int nr,
			   unsigned int days)
{
	struct file *newest, *root = NULL;
	unsigned int found = 0;
	struct list list;
	uint64_t age_s;
	bool is_due;

	if ((!nr && !days) || read_list(set, &list))
		return false;
	for (newest = list.files + list.nr; !root && newest > list.files;)
		if ((--newest)->is_ours)
			root = root_of(&list, newest, &found);
	is_due = root && nr && found >= nr;
	if (root && days && root->time_s < (uint64_t)time(NULL)) {
		/* A timer is not exact: to the nearest day. */
		age_s = time(NULL) - root->time_s + SECONDS_PER_DAY / 2;
		is_due = age_s / SECONDS_PER_DAY >= days;
	}
	free(list.files);
	return is_due;
}

/* A process that serves a restore from it, for example. */
static bool is_in_use(const char *path, const struct file *file)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool is_locked = fd < 0 || host_is_locked(fd);
	char node[PATH_MAX];

	if (fd >= 0)
		close(fd);
	return is_locked || loop_find(&file->self, node, sizeof(node));
}

/* @foreign: only one that the job has not made. */
static const struct file *overlay_of(const struct list *list,
				     const struct file *file, bool foreign)
{
	const struct file *other;

	for (other = list->files; other < list->files + list->nr; other++)
		if (lies_on(other, file) && !(foreign && other->is_ours))
			return other;
	return NULL;
}

/* It is gone from the list then. */
static int remove_file(const struct job_files *set, struct list *list,
		       struct file *file, struct job_removed *removed)
{
	char path[PATH_MAX];
	struct stat st;
	int r;

	path_of(set, file->name, path);
	/* Has somebody replaced it meanwhile? */
	if (lstat(path, &st) || st.st_ino != file->self.st_ino ||
	    st.st_dev != file->self.st_dev || is_in_use(path, file)) {
		file->is_stuck = true;
		warning("%s is in use, or was replaced, and so is not removed now",
			path);
		return 0;
	}
	r = durable_file_remove(path);
	if (r)
		return r;
	removed->nr++;
	removed->bytes += (uint64_t)file->self.st_blocks * 512;
	list->nr--;
	memmove(file, file + 1, (char *)(list->files + list->nr) - (char *)file);
	return 0;
}

/* Is it ours, in a chain whose full backup is up to @last and is not @kept? */
static bool is_old(const struct list *list, struct file *file, const char *last,
		   const char *kept)
{
	unsigned int nr;
	const struct file *root = file->is_ours ? root_of(list, file, &nr) :
						  NULL;

	return root && strcmp(root->name, last) <= 0 &&
	       strcmp(root->name, kept);
}

/* One on which no other lies; NULL: there is none. */
static struct file *next_to_remove(const struct list *list, const char *last,
				   const char *kept)
{
	struct file *file;

	for (file = list->files; file < list->files + list->nr; file++)
		if (!file->is_stuck && is_old(list, file, last, kept) &&
		    !overlay_of(list, file, false))
			return file;
	return NULL;
}

static void explain_rest(const struct job_files *set, const struct list *list,
			 const char *last, const char *kept)
{
	const struct file *overlay;
	struct file *file;

	for (file = list->files; file < list->files + list->nr; file++) {
		overlay = overlay_of(list, file, true);
		if (overlay && is_old(list, file, last, kept))
			warning("%s/%s stays, and what it is based on, because %s lies on it; the job has not made that, or somebody has changed it",
				set->folder, file->name, overlay->name);
	}
}

int job_files_keep(const struct job_files *set, const char *newest,
		   unsigned int nr_chains, struct job_removed *removed)
{
	char kept[NAME_MAX + 1] = "", last[NAME_MAX + 1] = "";
	struct file *file, *root;
	unsigned int nr;
	struct list list;
	int r = read_list(set, &list);

	for (file = list.files; file && file < list.files + list.nr; file++)
		if (file->is_ours && !strcmp(file->name, newest))
			break;
	if (!r && (!file || file == list.files + list.nr)) {
		error("%s/%s is not there any more, or was changed: no old image is removed",
		      set->folder, newest);
		r = -ENOENT;
	}
	/* Based on an image that was restored: it counts as a chain, too. */
	root = r ? NULL : root_of(&list, file, &nr);
	if (root)
		snprintf(kept, sizeof(kept), "%s", root->name);
	nr = 1;
	for (file = list.files + list.nr; !r && !*last && file > list.files;)
		if ((--file)->is_full && strcmp(file->name, kept) &&
		    ++nr > nr_chains)
			snprintf(last, sizeof(last), "%s", file->name);
	while (!r && *last && (file = next_to_remove(&list, last, kept)))
		r = remove_file(set, &list, file, removed);
	if (!r && *last)
		explain_rest(set, &list, last, kept);
	free(list.files);
	return r;
}
