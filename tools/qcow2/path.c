// SPDX-License-Identifier: GPL-2.0-only
/* Names of backing and data files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "path.h"

#define FILE_PREFIX "file:"
#define JSON_PREFIX "json:"

/* A colon before the first slash makes it a protocol, for QEMU as for us. */
bool path_is_plain_name(const char *name)
{
	return name[strcspn(name, ":/")] != ':';
}

static bool has_prefix(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

int path_refuse_name(const char *name, const char *owner, const char *what,
		     const char *why, struct image_error *err)
{
	return image_fail(err, -ENOTSUP,
			  "%s: its %s '%.160s' is not a plain file name (%s); only files and block devices are supported (qemu-img rebase -u can set another name; a file with a colon in its name is written ./NAME)",
			  owner, what, name, why);
}

/* For a name that does not start from the owner's folder. */
static int path_with_protocol(const char *name, const char *owner,
			      const char *what, char **path,
			      const char **format, struct image_error *err)
{
	*format = NULL;
	if (has_prefix(name, JSON_PREFIX))
		return path_of_json_name(name, owner, what, path, format, err);
	if (!has_prefix(name, FILE_PREFIX))
		return path_refuse_name(name, owner, what, "a protocol", err);
	*path = strdup(name + strlen(FILE_PREFIX));
	return *path ? 0 : image_fail_memory(err, owner);
}

int path_of_data_file(const char *name, const char *owner, char **path,
		      struct image_error *err)
{
	const char *format;
	int ret;

	if (path_is_plain_name(name)) {
		*path = strdup(name);
		return *path ? 0 : image_fail_memory(err, owner);
	}
	ret = path_with_protocol(name, owner, "data file", path, &format, err);
	if (ret || !format || !strcmp(format, "raw"))
		return ret;
	free(*path);
	return path_refuse_name(name, owner, "data file",
				"a data file is raw", err);
}

/* Next to @overlay. NULL: out of memory. */
static char *next_to(const char *overlay, const char *name)
{
	const char *slash = strrchr(overlay, '/');
	int folder = slash ? slash - overlay + 1 : 0;
	char *path;

	return asprintf(&path, "%.*s%s", folder, overlay, name) < 0 ? NULL :
								      path;
}

/*
 * Next to the file that @overlay leads to, if there is one of that name. Else NULL. Not
 * for nodes of block devices: nobody chose their neighbours.
 */
static char *next_to_target(const char *overlay, const char *name)
{
	char *real = realpath(overlay, NULL);
	char *path = real ? next_to(real, name) : NULL;
	struct stat st;

	if (path && (stat(real, &st) || !S_ISREG(st.st_mode))) {
		free(path);
		path = NULL;
	}

	free(real);
	if (path && !access(path, F_OK))
		return path;
	free(path);
	return NULL;
}

int path_of_backing(const char *name, const char *overlay, char **path,
		    const char **format, struct image_error *err)
{
	char *other;

	if (!path_is_plain_name(name))
		return path_with_protocol(name, overlay, "backing file", path,
					  format, err);
	*format = NULL;
	*path = name[0] == '/' ? strdup(name) : next_to(overlay, name);
	if (!*path)
		return image_fail_memory(err, overlay);
	if (name[0] == '/' || !access(*path, F_OK) || errno != ENOENT)
		return 0;
	other = next_to_target(overlay, name);
	if (!other)
		return 0;
	free(*path);
	*path = other;
	return 0;
}
