// SPDX-License-Identifier: GPL-2.0-only
/* Names of backing and data files. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "path.h"

#define FILE_PREFIX "file:"

/* A colon before the first slash makes it a protocol, for QEMU as for us. */
static bool has_protocol(const char *name)
{
	return name[strcspn(name, ":/")] == ':';
}

static bool has_file_prefix(const char *name)
{
	return !strncmp(name, FILE_PREFIX, strlen(FILE_PREFIX));
}

int path_of_file_name(const char *name, const char *owner, const char *what,
		      const char **path, struct image_error *err)
{
	if (has_file_prefix(name)) {
		*path = name + strlen(FILE_PREFIX);
		return 0;
	}
	if (has_protocol(name))
		return image_fail(err, -ENOTSUP,
				  "%s: its %s '%s' is not a plain file name; only files and block devices are supported (qemu-img rebase -u can set another name; a file with a colon in its name is written ./NAME)",
				  owner, what, name);
	*path = name;
	return 0;
}

int path_of_backing(const char *name, const char *overlay, char **path,
		    struct image_error *err)
{
	const char *slash = strrchr(overlay, '/');
	const char *plain;
	int folder = 0, ret;

	ret = path_of_file_name(name, overlay, "backing file", &plain, err);
	if (ret)
		return ret;
	/* "file:" makes a name absolute: it then starts where we are. */
	if (plain == name && name[0] != '/' && slash)
		folder = slash - overlay + 1;
	if (asprintf(path, "%.*s%s", folder, overlay, plain) < 0) {
		*path = NULL;
		return image_fail_memory(err, overlay);
	}
	return 0;
}
