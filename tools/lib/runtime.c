// SPDX-License-Identifier: GPL-2.0-only
/* The files in /run/dmlive. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/json.h"
#include "lib/log.h"
#include "lib/runtime.h"

/* The log of one restore is cut off here; then it starts anew. */
#define MAX_LOG_BYTES (256 << 10)

static void path_of(char path[PATH_MAX], const char *name, const char *suffix)
{
	snprintf(path, PATH_MAX, "%s/%s.%s", RUNTIME_FOLDER, name, suffix);
}

static int make_folder(void)
{
	int r;

	if (!mkdir(RUNTIME_FOLDER, 0755) || errno == EEXIST)
		return 0;
	r = -errno;
	error_errno(r, "%s cannot be made", RUNTIME_FOLDER);
	return r;
}

/* Was the file that is open as @fd replaced or removed since? */
static bool is_stale(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) || stat(path, &named) ||
	       opened.st_ino != named.st_ino || opened.st_dev != named.st_dev;
}

static int write_pid(int fd)
{
	char text[32];
	int length = snprintf(text, sizeof(text), "%d\n", getpid());

	if (ftruncate(fd, 0) || pwrite(fd, text, length, 0) != length)
		return -EIO;
	return 0;
}

/* A locked file of this name, or a negative errno, -EBUSY: it is locked. No message. */
static int lock_file(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
		if (fd < 0)
			return -errno;
		if (fcntl(fd, F_OFD_SETLK, &lock)) {
			close(fd);
			return -EBUSY;
		}
		if (!is_stale(fd, path))
			return fd;
		close(fd);
	}
}

int runtime_lock(const char *name)
{
	char path[PATH_MAX];
	int fd, r;

	r = make_folder();
	if (r)
		return r;
	path_of(path, name, "lock");
	fd = lock_file(path);
	if (fd == -EBUSY)
		error("%s is being served by process %d; nothing to do", name,
		      runtime_server(name));
	else if (fd < 0)
		error_errno(fd, "%s", path);
	if (fd < 0)
		return fd;
	r = write_pid(fd);
	if (!r)
		return fd;
	error_errno(r, "%s", path);
	close(fd);
	return r;
}

void runtime_unlock(const char *name, int lock_fd)
{
	char path[PATH_MAX];

	path_of(path, name, "json");
	if (access(path, F_OK)) {
		path_of(path, name, "lock");
		/* The next server may have made a new one already. */
		if (!is_stale(lock_fd, path))
			unlink(path);
	}
	close(lock_fd);
}

pid_t runtime_server(const char *name)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX], text[32] = "";
	pid_t pid = 0;
	int fd;

	path_of(path, name, "lock");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (!fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK &&
	    pread(fd, text, sizeof(text) - 1, 0) > 0)
		pid = atoi(text);
	close(fd);
	return pid;
}

int runtime_save(const char *name, const struct restore_options *options)
{
	char path[PATH_MAX], temporary[PATH_MAX];
	struct json_object *object = json_new_object();
	int r = 0;

	json_add_string(object, "name", name);
	json_add_string(object, "uuid", options->uuid);
	json_add_string(object, "image", options->image);
	json_add_string(object, "format", options->format);
	json_add_string(object, "snapshot", options->snapshot);
	json_add_string(object, "target", options->target);
	json_add_string(object, "meta", options->meta);
	json_add_string(object, "outer", options->outer);
	json_add_string(object, "track", options->track);
	json_add_string(object, "track_meta", options->track_meta);
	json_add_bool(object, "kernel_streams", options->kernel_streams);
	json_add_bool(object, "no_finish", options->no_finish);
	json_add_bool(object, "force", options->force);
	json_add_bool(object, "allow_paths", options->allow_paths);
	json_add_number(object, "threads", options->nr_threads);
	json_add_number(object, "image_bytes", options->image_bytes);
	json_add_number(object, "image_inode", options->image_inode);
	json_add_number(object, "image_mtime_ns", options->image_mtime_ns);

	path_of(path, name, "json");
	path_of(temporary, name, "json.new");
	if (json_object_to_file_ext(temporary, object,
				    JSON_C_TO_STRING_PRETTY) ||
	    rename(temporary, path)) {
		r = -EIO;
		error("%s cannot be written; without it dmlive status and resume know nothing of %s",
		      path, name);
	}
	json_object_put(object);
	return r;
}

static char *copy_string(struct json_object *object, const char *key)
{
	const char *value = json_get_string(object, key);

	return value ? strdup(value) : NULL;
}

int runtime_load(const char *name, struct restore_options *options)
{
	struct json_object *object;
	char path[PATH_MAX];
	const char *uuid;

	memset(options, 0, sizeof(*options));
	path_of(path, name, "json");
	if (access(path, F_OK))
		return -ENOENT;
	object = json_object_from_file(path);
	if (!object || !json_object_is_type(object, json_type_object)) {
		error("%s cannot be read; remove it, and name the image: dmlive resume %s IMAGE",
		      path, name);
		json_object_put(object);
		return -EINVAL;
	}
	options->image = copy_string(object, "image");
	options->format = copy_string(object, "format");
	options->snapshot = copy_string(object, "snapshot");
	options->target = copy_string(object, "target");
	options->meta = copy_string(object, "meta");
	options->outer = copy_string(object, "outer");
	options->track = copy_string(object, "track");
	options->track_meta = copy_string(object, "track_meta");
	options->kernel_streams = json_get_bool(object, "kernel_streams");
	options->no_finish = json_get_bool(object, "no_finish");
	options->force = json_get_bool(object, "force");
	/* One that an earlier version began was allowed it. */
	options->allow_paths = json_get_bool_or(object, "allow_paths", true);
	options->nr_threads = json_get_number(object, "threads");
	options->image_bytes = json_get_number(object, "image_bytes");
	options->image_inode = json_get_number(object, "image_inode");
	options->image_mtime_ns = json_get_number(object, "image_mtime_ns");
	uuid = json_get_string(object, "uuid");
	snprintf(options->uuid, sizeof(options->uuid), "%s", uuid ? uuid : "");
	json_object_put(object);
	return 0;
}

int runtime_for_each(int (*each)(const char *name,
				 const struct restore_options *options,
				 void *argument), void *argument)
{
	DIR *folder = opendir(RUNTIME_FOLDER);
	struct restore_options options;
	struct dirent *entry;
	char *suffix;
	int r = 0;

	while (folder && !r && (entry = readdir(folder))) {
		suffix = strrchr(entry->d_name, '.');
		if (!suffix || strcmp(suffix, ".json"))
			continue;
		*suffix = '\0';
		if (!runtime_load(entry->d_name, &options))
			r = each(entry->d_name, &options, argument);
		restore_options_free(&options);
	}
	if (folder)
		closedir(folder);
	return r;
}

void restore_options_free(struct restore_options *options)
{
	free(options->image);
	free(options->format);
	free(options->snapshot);
	free(options->target);
	free(options->meta);
	free(options->outer);
	free(options->track);
	free(options->track_meta);
	memset(options, 0, sizeof(*options));
}

void runtime_remove(const char *name, int lock_fd)
{
	static const char *const suffixes[] = { "json", "log", "lock" };
	char path[PATH_MAX];
	unsigned int i;
	int own_fd = -1;

	/* Held until all is gone: a server that begins now is not to lose its files. */
	if (lock_fd < 0) {
		path_of(path, name, "lock");
		own_fd = lock_file(path);
		if (own_fd < 0)
			return;
	}
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		path_of(path, name, suffixes[i]);
		unlink(path);
	}
	if (own_fd >= 0)
		close(own_fd);
}

int runtime_open_log(const char *name)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	path_of(path, name, "log");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_size > MAX_LOG_BYTES &&
	    ftruncate(fd, 0))
		warning("%s: cannot be cut: %m", path);
	return fd;
}

char *runtime_last_error(const char *name)
{
	char path[PATH_MAX], *last = NULL, *line = NULL;
	size_t capacity = 0;
	FILE *file;

	path_of(path, name, "log");
	file = fopen(path, "re");
	if (!file)
		return NULL;
	while (getline(&line, &capacity, file) > 0) {
		char *text = strstr(line, " error: ");

		if (!text)
			continue;
		free(last);
		last = strdup(text + strlen(" error: "));
		if (last)
			last[strcspn(last, "\n")] = '\0';
	}
	free(line);
	fclose(file);
	return last;
}
