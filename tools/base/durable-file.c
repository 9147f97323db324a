// SPDX-License-Identifier: GPL-2.0-only
/* Files that outlast a power cut, see durable-file.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/durable-file.h"
#include "base/log.h"

static int say_failed(const char *path)
{
	int r = -errno;

	error_errno(r, "%s", path);
	return r;
}

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = fd >= 0 && !fsync(fd) ? 0 : say_failed(path);

	if (fd >= 0)
		close(fd);
	return r;
}

/* That of an absolute path. */
static void find_folder(const char *path, char folder[PATH_MAX])
{
	snprintf(folder, PATH_MAX, "%.*s", (int)(strrchr(path, '/') - path),
		 path);
}

int durable_folder_make(const char *path)
{
	char parent[PATH_MAX];

	if (mkdir(path, 0755) && errno != EEXIST)
		return say_failed(path);
	find_folder(path, parent);
	return sync_folder(parent);
}

static int write_file(const char *path,
		      void (*print)(FILE *file, const void *context),
		      const void *context)
{
	FILE *file = fopen(path, "we");
	int r = 0;

	if (!file)
		return say_failed(path);
	print(file, context);
	if (fflush(file) || ferror(file) || fsync(fileno(file)))
		r = say_failed(path);
	fclose(file);
	return r;
}

int durable_file_write(const char *path,
		       void (*print)(FILE *file, const void *context),
		       const void *context)
{
	char folder[PATH_MAX], temporary[PATH_MAX + 32];
	int r;

	find_folder(path, folder);
	snprintf(temporary, sizeof(temporary), "%s/.%s.%d", folder,
		 path + strlen(folder) + 1, (int)getpid());
	r = write_file(temporary, print, context);
	if (!r && rename(temporary, path))
		r = say_failed(path);
	if (r)
		unlink(temporary);
	return r ? r : sync_folder(folder);
}

int durable_file_remove(const char *path)
{
	char folder[PATH_MAX];

	if (unlink(path))
		return errno == ENOENT ? 0 : say_failed(path);
	find_folder(path, folder);
	return sync_folder(folder);
}
