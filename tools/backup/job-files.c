// SPDX-License-Identifier: GPL-2.0-only
/*
 * The images that a job has made, see job-files.h. Those of a chain are removed from its
 * end to its full backup, each durably, so that what a power cut leaves is a chain. A file
 * of which it is not known what it lies on may need any of them: then none is removed.
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
#include "base/time.h"
#include "block/loop.h"
#include "qcow2/backup-record.h"
#include "qcow2/image.h"
#include "qcow2/output.h"
#include "qcow2/path.h"

#define SECONDS_PER_DAY	86400u

/*
 * @self: what its name leads to, if it is a link
 * @backing: the file that it lies on, if @has_backing; 0 if that is not there
 * @store: that of the bitmap, if @is_ours
 * @is_ours: the job has made it, and may remove it
 * @is_full: it is ours, and a full backup
 * @is_kept: the backup that was just made needs it
 * @is_stuck: it cannot be removed now
 * @time_s: of the backup; that of the file if it is not ours
 */
struct file {
	char name[NAME_MAX + 1];
	char store[BACKUP_UUID_BYTES];
	struct stat self;
	struct stat backing;
	bool has_backing;
	bool is_ours;
	bool is_full;
	bool is_kept;
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
	    strlen(time) < TIME_STAMP_LENGTH ||
	    strcmp(time + TIME_STAMP_LENGTH, suffix))
		return false;
	for (i = 0; i < TIME_STAMP_LENGTH; i++)
		if (i == 8 ? time[i] != 'T' :
		    i == TIME_STAMP_LENGTH - 1 ? time[i] != 'Z' :
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
		if (!is_name(set, entry->d_name, JOB_SUFFIX OUTPUT_PARTIAL))
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
		if (file->is_ours)
			file->time_s = record.time_s;
		snprintf(file->store, sizeof(file->store), "%s", record.store);
		backup_record_free(&record);
	}
}

static int take_info(const struct job_files *set,
		     const struct image_layer_info *info, bool is_link,
		     struct file *file)
{
	const char *format;
	char *path;

	file->has_backing = info->backing_file;
	if (file->has_backing) {
		if (path_of_backing(info->backing_file, info->path, &path,
				    &format, NULL))
			return -EINVAL;
		if (stat(path, &file->backing))
			memset(&file->backing, 0, sizeof(file->backing));
		free(path);
	}
	if (!is_link)
		take_record(set, info, file);
	return 0;
}

/* 1: it is one; 0: it is not; or a negative errno. */
static int is_qcow2(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char magic[4];
	ssize_t nr = fd < 0 ? -1 : pread(fd, magic, sizeof(magic), 0);
	int r = nr < 0 ? -errno :
			 nr == sizeof(magic) && !memcmp(magic, "QFI\xfb", 4);

	if (fd >= 0)
		close(fd);
	return r;
}

/*
 * In whatever state it is, and even if it is in use: what does it lie on? 1; 0 if it is
 * no image; or a negative errno.
 */
static int read_file(const struct job_files *set, const char *name,
		     struct file *file)
{
	const struct image_options options = {
		.format = "qcow2",
		.force = true,
		.metadata_only = true,
	};
	const struct image_layer_info *info;
	char path[PATH_MAX];
	struct image *image;
	struct stat link;
	int r;

	memset(file, 0, sizeof(*file));
	snprintf(file->name, sizeof(file->name), "%s", name);
	path_of(set, name, path);
	if (lstat(path, &link) || stat(path, &file->self))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(file->self.st_mode))
		return 0;
	file->time_s = file->self.st_mtime;
	r = is_qcow2(path);
	if (r <= 0)
		return r;
	r = image_open(path, &options, &image, NULL);
	if (r)
		return r;
	r = image_describe(image, 0, &info, NULL);
	if (!r)
		r = take_info(set, info, S_ISLNK(link.st_mode), file);
	image_close(image);
	return r ? r : 1;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name,
		      ((const struct file *)b)->name);
}

/* A backup that is being made is no image yet. */
static bool is_partial(const char *name)
{
	size_t length = strlen(name);

	return length > strlen(OUTPUT_PARTIAL) &&
	       !strcmp(name + length - strlen(OUTPUT_PARTIAL), OUTPUT_PARTIAL);
}

static int add_file(const struct job_files *set, struct list *list,
		    const char *name)
{
	struct file *files = reallocarray(list->files, list->nr + 1,
					  sizeof(*files));
	int r;

	if (!files)
		return -ENOMEM;
	list->files = files;
	r = is_partial(name) ? 0 : read_file(set, name, &files[list->nr]);
	if (r < 0) {
		error_errno(r, "%s/%s: it cannot be found out which image it is based on, so no old image is removed; mend it, or move it to another folder",
			    set->folder, name);
		return r;
	}
	list->nr += r;
	return 0;
}

static int read_list(const struct job_files *set, struct list *list)
{
	DIR *dir = opendir(set->folder);
	struct dirent *entry = NULL;
	int r = 0;

	*list = (struct list){ 0 };
	do {
		errno = 0;
		entry = dir ? readdir(dir) : NULL;
		if (entry)
			r = add_file(set, list, entry->d_name);
		else if (errno)
			error_errno(r = -errno, "%s: cannot be searched for images of the job",
				    set->folder);
	} while (entry && !r);
	if (dir)
		closedir(dir);
	if (list->nr)
		qsort(list->files, list->nr, sizeof(*list->files), compare);
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
		if (lies_on(file, base))
			return base;
	return NULL;
}

/* The first image of its chain, as far as that is in the folder. @nr: images down to it. */
static struct file *root_of(const struct list *list, struct file *file,
			    unsigned int *nr)
{
	struct file *base = file;

	for (*nr = 0; base && *nr <= list->nr; (*nr)++) {
		file = base;
		base = base_of(list, file);
	}
	return file;
}

bool job_files_full_is_due(const struct job_files *set, unsigned int nr,
			   unsigned int days)
{
	struct file *file, *newest = NULL, *root;
	const uint64_t now = time(NULL);
	bool is_due = false;
	unsigned int found;
	struct list list;
	uint64_t age_s;

	if (!nr && !days)
		return false;
	/* Something cannot be read: that is a reason to keep images, not to make a full one. */
	if (read_list(set, &list)) {
		free(list.files);
		return false;
	}
	for (file = list.files; file < list.files + list.nr; file++)
		if (file->is_ours && (!newest || file->time_s >= newest->time_s))
			newest = file;
	if (newest) {
		root = root_of(&list, newest, &found);
		is_due = nr && found >= nr;
		/*
		 * A timer is not exact: to the nearest day. If the clock was wrong, nobody
		 * knows how old it is.
		 */
		age_s = now + SECONDS_PER_DAY / 2 - root->time_s;
		if (days && (root->time_s > now || age_s / SECONDS_PER_DAY >= days))
			is_due = true;
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

/* Is it ours, in a chain whose full backup is up to @last, and not needed? */
static bool is_old(const struct list *list, struct file *file, const char *last)
{
	const struct file *root;
	unsigned int nr;

	if (!file->is_ours || file->is_kept)
		return false;
	root = root_of(list, file, &nr);
	return root->is_full && !root->is_kept && strcmp(root->name, last) <= 0;
}

/* One on which no other lies; NULL: there is none. */
static struct file *next_to_remove(const struct list *list, const char *last)
{
	struct file *file;

	for (file = list->files; file < list->files + list->nr; file++)
		if (!file->is_stuck && is_old(list, file, last) &&
		    !overlay_of(list, file, false))
			return file;
	return NULL;
}

static void explain_rest(const struct job_files *set, const struct list *list,
			 const char *last)
{
	const struct file *overlay;
	struct file *file;

	for (file = list->files; file < list->files + list->nr; file++) {
		overlay = overlay_of(list, file, true);
		if (overlay && is_old(list, file, last))
			warning("%s/%s stays, and what it is based on, because %s lies on it; the job has not made that, or somebody has changed it",
				set->folder, file->name, overlay->name);
	}
}

/* All that it is based on, by the links that a restore follows. */
static int mark_chain(const struct job_files *set, const char *newest,
		      struct list *list)
{
	unsigned int depth;
	struct image *image;
	char path[PATH_MAX];
	struct file *file;
	struct stat st;
	int r;

	path_of(set, newest, path);
	r = image_open(path, NULL, &image, NULL);
	if (r)
		return r;
	for (depth = 0; !r && depth < image_layers(image); depth++) {
		if (stat(image_layer_path(image, depth), &st))
			r = -errno;
		for (file = list->files; !r && file < list->files + list->nr; file++)
			file->is_kept |= file->self.st_dev == st.st_dev &&
					 file->self.st_ino == st.st_ino;
	}
	image_close(image);
	return r;
}

/* Those of another store are backups of another volume, perhaps of another machine. */
static void disown_others(const struct job_files *set, struct list *list,
			  const char *store)
{
	struct file *file;

	for (file = list->files; file < list->files + list->nr; file++) {
		if (!file->is_ours || !strcmp(file->store, store))
			continue;
		file->is_ours = false;
		file->is_full = false;
		warning("%s/%s stays: its bitmap was in another store, so it is of another volume, or from before the metadata device was formatted",
			set->folder, file->name);
	}
}

/* The name of the latest full backup that is too old; "": none is. */
static void find_last(const struct list *list, unsigned int nr_chains,
		      char last[NAME_MAX + 1])
{
	const struct file *file;
	unsigned int nr = 1;

	*last = '\0';
	for (file = list->files + list->nr; !*last && file > list->files;)
		if ((--file)->is_full && !file->is_kept && ++nr > nr_chains)
			snprintf(last, NAME_MAX + 1, "%s", file->name);
}

int job_files_keep(const struct job_files *set, const char *newest,
		   unsigned int nr_chains, struct job_removed *removed)
{
	char last[NAME_MAX + 1] = "";
	struct file *file;
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
	if (!r) {
		disown_others(set, &list, file->store);
		r = mark_chain(set, newest, &list);
		if (r)
			error_errno(r, "%s/%s: its chain cannot be read: no old image is removed",
				    set->folder, newest);
		else
			find_last(&list, nr_chains, last);
	}
	while (!r && *last && (file = next_to_remove(&list, last)))
		r = remove_file(set, &list, file, removed);
	if (!r && *last)
		explain_rest(set, &list, last);
	free(list.files);
	return r;
}
