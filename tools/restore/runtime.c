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

#include "block/dm.h"
#include "base/json.h"
#include "base/log.h"
#include "restore/runtime.h"

/* A log that exceeds this size is truncated when a server opens it. */
#define MAX_LOG_BYTES (256 << 10)

/* A device, as in the second line of its lock file: "MAJOR:MINOR UUID". */
struct identity {
	unsigned int major, minor;	/* 0: no device */
	char uuid[129];
};

/* What this process has locked. A device that is renamed keeps its files. */
struct held {
	struct held *next;
	char name[DM_NAME_BYTES];
	char key[NAME_MAX + 1];
	int fd;
};

static struct held *helds;

static void make_path(char path[PATH_MAX], const char *key, const char *suffix)
{
	snprintf(path, PATH_MAX, "%s/%.255s.%s", RUNTIME_FOLDER, key, suffix);
}

static bool find_identity(const char *name, struct identity *identity)
{
	struct dm_device device;

	memset(identity, 0, sizeof(*identity));
	if (dm_get_device(name, &device))
		return false;
	identity->major = device.major;
	identity->minor = device.minor;
	snprintf(identity->uuid, sizeof(identity->uuid), "%s", device.uuid);
	return true;
}

/* False: there is no such file, or it names no device, which did not exist then. */
static bool read_identity(const char *key, struct identity *identity)
{
	char path[PATH_MAX];
	FILE *file;
	bool found;

	memset(identity, 0, sizeof(*identity));
	make_path(path, key, "lock");
	file = fopen(path, "re");
	if (!file)
		return false;
	found = fscanf(file, "%*d %u:%u %128[^\n]", &identity->major,
		       &identity->minor, identity->uuid) >= 2;
	fclose(file);
	return found;
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	if (*a->uuid || *b->uuid)
		return !strcmp(a->uuid, b->uuid);
	return a->major == b->major && a->minor == b->minor;
}

static bool is_there(const struct identity *identity)
{
	char name[DM_NAME_BYTES];

	return *identity->uuid ? dm_name_of_uuid(identity->uuid, name) :
				 dm_name_of(identity->major, identity->minor,
					    name);
}

bool runtime_has_device(const char *file)
{
	struct identity identity;

	return read_identity(file, &identity) && is_there(&identity);
}

/* The lock file, other than that of @but, that names this device. */
static bool find_file_of(const struct identity *identity, const char *but,
			 char key[NAME_MAX + 1])
{
	DIR *folder = opendir(RUNTIME_FOLDER);
	struct identity other;
	struct dirent *entry;
	bool found = false;
	char *suffix;

	while (folder && !found && (entry = readdir(folder))) {
		suffix = strrchr(entry->d_name, '.');
		if (!suffix || strcmp(suffix, ".lock"))
			continue;
		*suffix = '\0';
		found = strcmp(entry->d_name, but) &&
			read_identity(entry->d_name, &other) &&
			is_same(&other, identity);
		if (found)
			snprintf(key, NAME_MAX + 1, "%s", entry->d_name);
	}
	if (folder)
		closedir(folder);
	return found;
}

/*
 * Files have the first name of their device: look for that. If the files of @name belong
 * to a device that was renamed, the present device of that name gets others.
 */
static void find_key(const char *name, char key[NAME_MAX + 1])
{
	struct identity identity, recorded;
	const struct held *held;

	for (held = helds; held; held = held->next) {
		if (strcmp(held->name, name))
			continue;
		snprintf(key, NAME_MAX + 1, "%s", held->key);
		return;
	}
	snprintf(key, NAME_MAX + 1, "%s", name);
	if (!find_identity(name, &identity) ||
	    (read_identity(name, &recorded) && is_same(&identity, &recorded)) ||
	    find_file_of(&identity, name, key) ||
	    !read_identity(name, &recorded) || !is_there(&recorded))
		return;
	snprintf(key, NAME_MAX + 1, "%.200s~%u:%u", name, identity.major,
		 identity.minor);
}

void runtime_path(char path[PATH_MAX], const char *name, const char *suffix)
{
	char key[NAME_MAX + 1];

	find_key(name, key);
	make_path(path, key, suffix);
}

static int make_folder(void)
{
	int r;

	if (!mkdir(RUNTIME_FOLDER, 0755) || errno == EEXIST)
		return 0;
	r = -errno;
	error_errno(r, "%s cannot be created", RUNTIME_FOLDER);
	return r;
}

/* Has the file that is open as @fd been replaced or removed? */
static bool is_stale(int fd, const char *path)
{
	struct stat opened, named;

	return fstat(fd, &opened) || stat(path, &named) ||
	       opened.st_ino != named.st_ino || opened.st_dev != named.st_dev;
}

/* Write the process and the device. */
static int write_owner(int fd, const char *name)
{
	struct identity identity;
	char text[256];
	int length = snprintf(text, sizeof(text), "%d\n", getpid());
	ssize_t n;

	if (find_identity(name, &identity))
		length += snprintf(text + length, sizeof(text) - length,
				   "%u:%u %s\n", identity.major,
				   identity.minor, identity.uuid);
	if (ftruncate(fd, 0))
		return -errno;
	n = pwrite(fd, text, length, 0);
	if (n < 0)
		return -errno;
	return n == length ? 0 : -ENOSPC;
}

/* Lock the file. Returns its descriptor or a negative errno; -EBUSY: locked. No message. */
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

static pid_t server_of(const char *key)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[PATH_MAX], text[32] = "";
	pid_t pid = 0;
	int fd;

	make_path(path, key, "lock");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (!fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK &&
	    pread(fd, text, sizeof(text) - 1, 0) > 0)
		pid = atoi(text);
	close(fd);
	return pid;
}

/*
 * Two processes may have locked different files if the device was renamed in between. So
 * each writes its device into its file before it looks for the other's.
 */
static int check_alone(const char *name, const char *key)
{
	char other[NAME_MAX + 1];
	struct identity identity;
	pid_t pid = 0;

	if (find_identity(name, &identity) &&
	    find_file_of(&identity, key, other))
		pid = server_of(other);
	if (!pid)
		return 0;
	error("%s is being served by process %d already, under the name %s; to show progress: dmlive status %s",
	      name, pid, other, name);
	return -EBUSY;
}

static int hold(const char *name, const char *key, int fd)
{
	struct held *held = calloc(1, sizeof(*held));

	if (!held)
		return -ENOMEM;
	snprintf(held->name, sizeof(held->name), "%s", name);
	snprintf(held->key, sizeof(held->key), "%s", key);
	held->fd = fd;
	held->next = helds;
	helds = held;
	return 0;
}

static void release(int fd)
{
	struct held **link, *held;

	for (link = &helds; *link; link = &(*link)->next) {
		if ((*link)->fd != fd)
			continue;
		held = *link;
		*link = held->next;
		free(held);
		return;
	}
}

static int own(const char *name, const char *key, int fd)
{
	int r = write_owner(fd, name);

	if (r) {
		error_errno(r, "%s/%s.lock", RUNTIME_FOLDER, key);
		return r;
	}
	r = check_alone(name, key);
	return r ? r : hold(name, key, fd);
}

int runtime_lock(const char *name)
{
	char path[PATH_MAX], key[NAME_MAX + 1];
	int fd, r;

	r = make_folder();
	if (r)
		return r;
	find_key(name, key);
	make_path(path, key, "lock");
	fd = lock_file(path);
	if (fd == -EBUSY)
		error("%s is being served by process %d already; to show progress: dmlive status %s",
		      name, server_of(key), name);
	else if (fd < 0)
		error_errno(fd, "%s", path);
	if (fd < 0)
		return fd;
	r = own(name, key, fd);
	if (!r)
		return fd;
	unlink(path);
	close(fd);
	return r;
}

void runtime_unlock(const char *name, int lock_fd)
{
	char path[PATH_MAX];

	runtime_path(path, name, "json");
	if (access(path, F_OK)) {
		runtime_path(path, name, "lock");
		/* The next server may have created a new one. */
		if (!is_stale(lock_fd, path))
			unlink(path);
	}
	release(lock_fd);
	close(lock_fd);
}

pid_t runtime_server(const char *name)
{
	char key[NAME_MAX + 1];

	find_key(name, key);
	return server_of(key);
}

/* The device may not have existed when it was locked. */
static void note_device(const char *name)
{
	char path[PATH_MAX];
	int fd;

	runtime_path(path, name, "lock");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	/* If this fails, the files belong to any device of this name. */
	write_owner(fd, name);
	close(fd);
}

int runtime_save(const char *name, const struct restore_options *options)
{
	struct json_object *object = json_new_object();
	char path[PATH_MAX];
	int r;

	json_add_string(object, "name", name);
	json_add_string(object, "uuid", options->uuid);
	json_add_string(object, "image", options->image);
	json_add_string(object, "format", options->format);
	json_add_string(object, "snapshot", options->snapshot);
	json_add_string(object, "target", options->volume);
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

	runtime_path(path, name, "json");
	r = json_save(object, path);
	if (r)
		error_errno(r, "%s cannot be written; dmlive status and dmlive resume need it for %s",
			    path, name);
	else
		note_device(name);
	json_object_put(object);
	return r;
}

static int load(const char *path, const char *name,
		struct restore_options *options)
{
	struct json_object *object;
	const char *uuid;

	memset(options, 0, sizeof(*options));
	if (access(path, F_OK))
		return -ENOENT;
	object = json_object_from_file(path);
	if (!object || !json_object_is_type(object, json_type_object)) {
		error("%s cannot be read; remove it, then name the image: dmlive resume %s IMAGE",
		      path, name);
		json_object_put(object);
		return -EINVAL;
	}
	options->image = json_copy_string(object, "image");
	options->format = json_copy_string(object, "format");
	options->snapshot = json_copy_string(object, "snapshot");
	options->volume = json_copy_string(object, "target");
	options->meta = json_copy_string(object, "meta");
	options->outer = json_copy_string(object, "outer");
	options->track = json_copy_string(object, "track");
	options->track_meta = json_copy_string(object, "track_meta");
	options->kernel_streams = json_get_bool(object, "kernel_streams");
	options->no_finish = json_get_bool(object, "no_finish");
	options->force = json_get_bool(object, "force");
	/* Earlier versions of dmlive always allowed it. */
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

int runtime_load(const char *name, struct restore_options *options)
{
	char path[PATH_MAX];

	runtime_path(path, name, "json");
	return load(path, name, options);
}

int runtime_for_each(int (*each)(const char *name,
				 const struct restore_options *options,
				 void *argument), void *argument)
{
	DIR *folder = opendir(RUNTIME_FOLDER);
	struct restore_options options;
	struct dirent *entry;
	char path[PATH_MAX], *suffix;
	int r = 0;

	while (folder && !r && (entry = readdir(folder))) {
		suffix = strrchr(entry->d_name, '.');
		if (!suffix || strcmp(suffix, ".json"))
			continue;
		*suffix = '\0';
		make_path(path, entry->d_name, "json");
		if (!load(path, entry->d_name, &options))
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
	free(options->volume);
	free(options->meta);
	free(options->outer);
	free(options->track);
	free(options->track_meta);
	memset(options, 0, sizeof(*options));
}

void restore_options_set(char **member, const char *text)
{
	if (!text)
		return;
	free(*member);
	*member = strdup(text);
}

void runtime_remove(const char *name, int lock_fd)
{
	static const char *const suffixes[] = { "json", "log", "lock" };
	char path[PATH_MAX], key[NAME_MAX + 1];
	unsigned int i;
	int own_fd = -1;

	find_key(name, key);
	/* Locked until all are removed: a server that starts now must keep its files. */
	if (lock_fd < 0) {
		make_path(path, key, "lock");
		own_fd = lock_file(path);
		if (own_fd == -EBUSY)
			return;
	}
	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		make_path(path, key, suffixes[i]);
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

	runtime_path(path, name, "log");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_size > MAX_LOG_BYTES &&
	    ftruncate(fd, 0))
		warning("%s cannot be truncated: %m", path);
	return fd;
}

char *runtime_last_error(const char *name)
{
	char path[PATH_MAX], *last = NULL, *line = NULL;
	size_t capacity = 0;
	FILE *file;

	runtime_path(path, name, "log");
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
