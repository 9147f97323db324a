// SPDX-License-Identifier: GPL-2.0-only
/* Records of backups of virtual machines, see record.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/durable-file.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/log.h"
#include "vm/record.h"

#define SUFFIX ".json"
#define MAX_RECORD_BYTES (1 << 20)

char *record_name(const char *name)
{
	char *copy = strdup(name), *at;

	for (at = copy; at && *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("_+.-", *at))
			*at = '_';
	if (copy && !isalnum((unsigned char)*copy))
		*copy = '_';
	/* Time and target follow, and a name has at most 255 bytes. */
	if (copy && strlen(copy) > 150)
		copy[150] = '\0';
	return copy;
}

static void print(FILE *file, const void *context)
{
	fputs(context, file);
}

int record_write(const char *path, const char *text, bool is_new)
{
	mode_t mask;
	int fd, r;

	/* Nothing of another backup is replaced, not even one of the same second. */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (is_new ? O_EXCL : 0),
		  0600);
	if (fd < 0) {
		error_errno(errno, "%s", path);
		return EXIT_ERROR;
	}
	close(fd);
	mask = umask(0077);
	r = durable_file_write(path, print, text);
	umask(mask);
	if (r)
		unlink(path);
	return r ? EXIT_ERROR : EXIT_OK;
}

/* NULL: it is none. */
static struct json_object *read_record(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd >= 0 ? io_read_text(fd, MAX_RECORD_BYTES) : NULL;
	struct json_object *record = text ? json_tokener_parse(text) : NULL;
	const char *format;

	if (fd >= 0)
		close(fd);
	free(text);
	format = json_object_is_type(record, json_type_object) ?
		 json_get_string(record, "format") : NULL;
	if (format && !strcmp(format, RECORD_FORMAT) &&
	    json_get_string(record, "uuid") && json_get_string(record, "time"))
		return record;
	json_object_put(record);
	return NULL;
}

static bool is_of_another(struct json_object *record, struct json_object *other)
{
	return strcmp(json_get_string(record, "uuid"),
		      json_get_string(other, "uuid"));
}

/* Keep the newer one of the two. False: they are of different domains. */
static bool take(struct json_object **best, char *path,
		 struct json_object *record, const char *found)
{
	if (*best && is_of_another(record, *best)) {
		error("%s and %s are of different virtual machines; name the one that is meant",
		      path, found);
		json_object_put(record);
		return false;
	}
	if (*best && strcmp(json_get_string(record, "time"),
			    json_get_string(*best, "time")) < 0) {
		json_object_put(record);
		return true;
	}
	json_object_put(*best);
	*best = record;
	snprintf(path, PATH_MAX, "%s", found);
	return true;
}

static struct json_object *find_newest(const char *folder, char *path)
{
	struct json_object *best = NULL, *record;
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char found[PATH_MAX];
	const char *suffix;
	bool is_one = true;

	while (dir && is_one && (entry = readdir(dir))) {
		suffix = strrchr(entry->d_name, '.');
		if (!suffix || suffix == entry->d_name || strcmp(suffix, SUFFIX) ||
		    snprintf(found, sizeof(found), "%s/%s", folder,
			     entry->d_name) >= (int)sizeof(found))
			continue;
		record = read_record(found);
		if (record)
			is_one = take(&best, path, record, found);
	}
	if (dir)
		closedir(dir);
	if (!is_one) {
		json_object_put(best);
		return NULL;
	}
	if (!best)
		error("%s: no complete backup of a virtual machine is here (NAME-TIME%s)",
		      folder, SUFFIX);
	return best;
}

struct json_object *record_find(const char *given, char *path)
{
	struct json_object *record;
	char whole[PATH_MAX];
	struct stat st;

	if (!realpath(given, whole) || stat(whole, &st)) {
		error_errno(errno, "%s", given);
		return NULL;
	}
	if (S_ISDIR(st.st_mode))
		return find_newest(whole, path);
	snprintf(path, PATH_MAX, "%s", whole);
	record = read_record(path);
	if (!record)
		error("%s is not the record of a virtual machine's backup (NAME-TIME%s)",
		      path, SUFFIX);
	return record;
}
