// SPDX-License-Identifier: GPL-2.0-only
/* The image that is restored. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/process.h"
#include "base/systemd.h"
#include "block/named-path.h"
#include "store/chain.h"
#include "restore/server.h"

/* Record what distinguishes this image from another one of the same name. */
static void note_identity(struct server *server)
{
	struct restore_options *options = &server->options;
	struct stat st;

	options->image_bytes = server->image_bytes;
	if (stat(options->image, &st) || !S_ISREG(st.st_mode))
		return;
	options->image_inode = st.st_ino;
	options->image_mtime_ns = st.st_mtim.tv_sec * NS_PER_SECOND +
				  st.st_mtim.tv_nsec;
}

/* The path on record may be out of date. */
static int check_moved(const struct server *server)
{
	const struct restore_request *request = server->request;
	const char *image = server->options.image;
	struct stat st;

	if (request->image || !stat(image, &st))
		return EXIT_OK;
	error("%s, the image of %s, cannot be opened (%s); if it was moved, give its new path: dmlive resume %s IMAGE",
	      image, request->name, strerror(errno),
	      request->meta ?: request->name);
	return EXIT_ERROR;
}

int server_open_image(struct server *server)
{
	struct restore_options *options = &server->options;
	struct image_options image_options = {
		.format = options->format,
		.snapshot = options->snapshot,
		.force = options->force,
		.may_name = options->allow_paths ? NULL : path_is_beside,
	};
	struct image_error err = { "" };
	char *path = path_make_stable(options->image);

	if (!path)
		return EXIT_ERROR;
	free(options->image);
	options->image = path;
	if (image_open(path, &image_options, &server->image, &err)) {
		error("%s", err.message);
		return EXIT_ERROR;
	}
	if (chain_check(server->image, options->force, NULL))
		return EXIT_REFUSED;
	server->image_bytes = image_size(server->image);
	if (!server->image_bytes) {
		error("%s is empty: there is nothing to restore", path);
		return EXIT_ERROR;
	}
	options->kernel_streams = path_is_blockdev(path) &&
				  !strcmp(image_format(server->image), "raw");
	note_identity(server);
	return EXIT_OK;
}

int server_reopen_image(struct server *server)
{
	const struct restore_request *request = server->request;
	const char *name = request->meta ?: request->name;
	int status;

	if (!server->options.image) {
		error("the image of %s is not on record; name it: dmlive resume %s IMAGE",
		      name, name);
		return EXIT_USAGE;
	}
	/* When the machine starts, its file system may not be mounted yet. */
	if (request->serve && access(server->options.image, F_OK)) {
		notify_status("waiting for %s", server->options.image);
		unit_start_mounts_of(server->options.image);
	}
	status = check_moved(server);
	if (!status)
		status = server_open_image(server);
	if (status)
		return status;
	if (server->image_bytes <= server->device_bytes)
		return EXIT_OK;
	error("%s is larger than the device %s: it cannot be its image",
	      server->options.image, server->name);
	return EXIT_REFUSED;
}

int server_check_image(const struct server *server, bool is_same)
{
	if (is_same || server->request->force)
		return EXIT_OK;
	error("%s has changed, or was replaced, since the restore of %s began; if its content is still the same, use --force",
	      server->options.image, server->name);
	return EXIT_REFUSED;
}
