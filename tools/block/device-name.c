// SPDX-License-Identifier: GPL-2.0-only
/* Which device or file a user means, see device-name.h. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "block/blockdev.h"
#include "block/device-name.h"
#include "base/exit.h"
#include "base/log.h"

/* Prefixes by which QEMU takes a name for something else than a file, without "//". */
static const char *const protocols[] = {
	"blkdebug", "fat", "fuse", "gluster", "iscsi", "json", "nbd", "nfs", "nvme",
	"rbd", "sheepdog", "ssh", "vvfat",
};

static bool is_protocol(const char *word, size_t length)
{
	size_t i;

	for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (strlen(protocols[i]) == length &&
		    !strncmp(protocols[i], word, length))
			return true;
	return false;
}

/* SCHEME://..., or a protocol of QEMU; but not if there is a file of that name. */
static bool is_url(const char *given)
{
	size_t length = 0;
	struct stat st;

	while (isalnum((unsigned char)given[length]) ||
	       (given[length] && strchr("+.-", given[length])))
		length++;
	return length && given[length] == ':' &&
	       (!strncmp(given + length, "://", 3) ||
		is_protocol(given, length)) && stat(given, &st);
}

static int refuse_url(const char *given)
{
	const char *path = given + strlen("file://");

	if (!strncmp(given, "file://", strlen("file://")))
		error("%s is a URL, and dmlive takes paths: give %s", given,
		      path);
	else
		error("%s is a URL; dmlive reads and writes files and block devices only: copy it here, or make a block device of it (nbd-client for nbd, rbd map, a mount), and give that; a file of such a name is written ./NAME",
		      given);
	return EXIT_USAGE;
}

/* "GROUP/VOLUME": two words, and no path that starts here. */
static bool is_pair(const char *given)
{
	const char *slash = strchr(given, '/');

	return slash && slash != given && slash[1] && !strchr(slash + 1, '/') &&
	       *given != '.';
}

/* Could @given be a file here? */
static bool folder_is_here(const char *given)
{
	char folder[PATH_MAX];
	struct stat st;

	snprintf(folder, sizeof(folder), "%.*s", (int)strcspn(given, "/"),
		 given);
	return !stat(folder, &st) && S_ISDIR(st.st_mode);
}

static int say_both(const char *given)
{
	error("%s can be a file in this folder, and the logical volume /dev/%s: write ./%s or /dev/%s",
	      given, given, given, given);
	return EXIT_USAGE;
}

static int say_neither(const char *given)
{
	error("there is neither a file %s here nor a logical volume /dev/%s; is the volume active (lvs, lvchange -ay %s)?",
	      given, given, given);
	return EXIT_ERROR;
}

/* The name is a pair: does it mean the volume? */
static int choose(const char *given, bool is_new, char *path, size_t path_bytes)
{
	bool here, is_folder = folder_is_here(given);
	struct stat file, volume;

	here = !stat(given, &file);
	snprintf(path, path_bytes, "/dev/%s", given);
	if (stat(path, &volume) || !S_ISBLK(volume.st_mode)) {
		snprintf(path, path_bytes, "%s", given);
		return here || is_new || is_folder ? EXIT_OK :
						     say_neither(given);
	}
	if (here && S_ISBLK(file.st_mode) && file.st_rdev == volume.st_rdev)
		return EXIT_OK;
	return here || (is_new && is_folder) ? say_both(given) : EXIT_OK;
}

static int find_path(const char *given, bool is_new, char *path,
		     size_t path_bytes)
{
	path[0] = '\0';
	if (is_url(given))
		return refuse_url(given);
	if (is_pair(given))
		return choose(given, is_new, path, path_bytes);
	if (strchr(given, '/'))
		snprintf(path, path_bytes, "%s", given);
	return EXIT_OK;
}

int device_argument(const char **given, bool is_new)
{
	char path[PATH_MAX];
	int status;

	if (!*given)
		return EXIT_OK;
	status = find_path(*given, is_new, path, sizeof(path));
	if (status || !path[0] || !strcmp(path, *given))
		return status;
	*given = strdup(path);
	if (*given)
		return EXIT_OK;
	error("out of memory");
	return EXIT_ERROR;
}

int device_name_path(const char *given, char *path, size_t path_bytes)
{
	return find_path(given, false, path, path_bytes);
}

int device_name_find(const char *given, char name[DM_NAME_BYTES])
{
	char path[PATH_MAX];
	struct blockdev device;
	int status = device_name_path(given, path, sizeof(path));

	if (status)
		return status;
	if (!path[0]) {
		if (!dm_name_is_valid(given))
			return EXIT_USAGE;
		snprintf(name, DM_NAME_BYTES, "%s", given);
		dm_pin(name);
		return EXIT_OK;
	}
	if (blockdev_open(path, &device))
		return EXIT_ERROR;
	if (dm_name_of(major(device.devt), minor(device.devt), name)) {
		dm_pin(name);
		return EXIT_OK;
	}
	error("%s is not a mapped device", given);
	return EXIT_REFUSED;
}
