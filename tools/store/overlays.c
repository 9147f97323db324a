// SPDX-License-Identifier: GPL-2.0-only
/*
 * Images that lie on a file which is to be replaced: an image does not know them, so
 * they are looked for in its folder.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/overlays.h"
#include "qcow2/image.h"
#include "qcow2/path.h"

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Does the open image name this file as its backing file? */
static bool names(struct image *image, const struct stat *file)
{
	const struct image_layer_info *info;
	const char *format;
	struct stat st;
	char *path;
	bool found;

	if (image_describe(image, 0, &info, NULL) || !info->backing_file ||
	    path_of_backing(info->backing_file, info->path, &path, &format,
			    NULL))
		return false;
	found = !stat(path, &st) && is_same(&st, file);
	free(path);
	return found;
}

static bool lies_on(const char *path, const struct stat *file)
{
	/* In whatever state it is, and even if it is in use. */
	const struct image_options options = {
		.format = "qcow2",
		.force = true,
		.metadata_only = true,
	};
	struct image *image;
	struct stat st;
	bool found;

	if (stat(path, &st) || !S_ISREG(st.st_mode) || is_same(&st, file) ||
	    image_open(path, &options, &image, NULL))
		return false;
	found = names(image, file);
	image_close(image);
	return found;
}

static int search(const char *folder, const char *path, const struct stat *file)
{
	char other[PATH_MAX];
	struct dirent *entry;
	DIR *dir = opendir(folder);
	int r = 0;

	if (!dir) {
		r = -errno;
		error_errno(r, "%s: cannot be searched for images that lie on %s",
			    folder, path);
		return r;
	}
	while (!r && (entry = readdir(dir)))
		if (snprintf(other, sizeof(other), "%s/%s", folder,
			     entry->d_name) < (int)sizeof(other) &&
		    lies_on(other, file))
			r = -EBUSY;
	closedir(dir);
	if (r)
		error("%s is the backing file of %s, which would be lost with it; take another name, or remove that one first",
		      path, other);
	return r;
}

int overlays_check(const char *path)
{
	char *folder = realpath(path, NULL), *slash;
	struct stat st;
	int r = 0;

	if (!folder || stat(folder, &st)) {
		r = -errno;
		error_errno(r, "%s", path);
	} else {
		slash = strrchr(folder, '/');
		slash[slash == folder] = '\0';
		r = search(folder, path, &st);
	}
	free(folder);
	return r;
}
