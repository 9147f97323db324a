// SPDX-License-Identifier: GPL-2.0-only
/*
 * The output of a backup.
 *
 * The writer makes an image valid only when it is complete. The kernel's job copies
 * from the start of the device to its end instead. So the first and the last MiB, which
 * have signatures, partition tables and superblocks, are zeroed before the job starts,
 * and again if it does not complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup/volume.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/log.h"
#include "base/size.h"
#include "block/loop.h"
#include "qcow2/content.h"
#include "qcow2/output-format.h"
#include "qcow2/sector-size.h"
#include "store/overlays.h"
#include "store/registry.h"

#define WIPE_BYTES (1u << 20)

static int check_file(struct volume *volumes, unsigned int nr,
		      struct volume *volume,
		      const struct backup_request *request, bool exists)
{
	char path[PATH_MAX], *folder;
	struct stat st;

	if (exists && !request->force) {
		error("%s exists; to replace it use --force", volume->output);
		return EXIT_REFUSED;
	}
	if (exists && !stat(volume->output, &st) &&
	    (loop_check_unused(volume->output, &st) ||
	     overlays_check(volume->output)))
		return EXIT_REFUSED;
	snprintf(path, sizeof(path), "%s", volume->output);
	folder = dirname(path);
	if (stat(folder, &st)) {
		error_errno(errno, "%s", folder);
		return EXIT_ERROR;
	}
	return volumes_hold(volumes, nr, folder, volume->output) ?
	       EXIT_REFUSED : EXIT_OK;
}

static int check_size(const struct volume *volume)
{
	char available[SIZE_TEXT_BYTES], required[SIZE_TEXT_BYTES];

	if (volume->output_device.bytes >= volume->bytes)
		return EXIT_OK;
	error("%s is too small: it has %s, and %s has %s", volume->output,
	      size_format(volume->output_device.bytes, available),
	      volume->name, size_format(volume->bytes, required));
	return EXIT_REFUSED;
}

static int check_device(struct volume *volumes, unsigned int nr,
			struct volume *volume,
			const struct backup_request *request, bool no_fleece)
{
	struct blockdev *device = &volume->output_device, source;
	int status;

	status = volumes_check_device(volumes, nr, volume->output,
				      request->force, device,
				      blockdev_check_empty);
	if (status || volume->format != WRITER_RAW)
		return status;
	volume->by_job = no_fleece;
	if (volume->by_job)
		volume_set_old_data(volume, volume->output, device->devt);
	status = check_size(volume);
	if (!status && !blockdev_open(dm_node_path(volume->name), &source))
		sector_size_warn(&source, volume->name, device);
	return status;
}

static int refuse_without_fleece(const struct volume *volume)
{
	error("%s: only a raw copy onto a block device needs no fleece device; name a device or a folder: --fleece PLACE",
	      volume->output);
	return EXIT_USAGE;
}

static int choose_format(struct volume *volume,
			 const struct backup_request *request)
{
	struct image_error err;

	volume->format = request->image.format;
	if (!output_format_choose(volume->output, "--format",
				  request->format_is_given, &volume->format,
				  &err))
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_USAGE;
}

/* The real path of the output, which need not exist. */
static void find_path(struct volume *volume)
{
	char copy[PATH_MAX], folder[PATH_MAX];

	if (realpath(volume->output, volume->output_path))
		return;
	snprintf(copy, sizeof(copy), "%s", volume->output);
	if (!realpath(dirname(copy), folder))
		snprintf(folder, sizeof(folder), ".");
	snprintf(copy, sizeof(copy), "%s", volume->output);
	if (snprintf(volume->output_path, sizeof(volume->output_path), "%s/%s",
		     folder, basename(copy)) >=
	    (int)sizeof(volume->output_path))
		snprintf(volume->output_path, sizeof(volume->output_path),
			 "%s", volume->output);
}

int destination_check(struct volume *volumes, unsigned int nr,
		      struct volume *volume,
		      const struct backup_request *request, const char *fleece)
{
	bool none = fleece && !strcmp(fleece, BACKUP_FLEECE_NONE);
	struct stat st;
	bool exists = !stat(volume->output, &st);
	int status = choose_format(volume, request);

	if (status)
		return status;
	if (exists && S_ISBLK(st.st_mode)) {
		if (volume->format != WRITER_RAW && (none || !fleece))
			return refuse_without_fleece(volume);
		status = check_device(volumes, nr, volume, request,
				      none || !fleece);
	} else if (exists && !S_ISREG(st.st_mode)) {
		error("%s is neither a regular file nor a block device",
		      volume->output);
		status = EXIT_REFUSED;
	} else if (none) {
		status = refuse_without_fleece(volume);
	} else {
		status = check_file(volumes, nr, volume, request, exists);
	}
	if (!status)
		find_path(volume);
	return status;
}

static int wipe_range(const struct volume *volume, uint64_t offset,
		      uint64_t bytes)
{
	uint64_t range[2] = { offset, bytes };

	if (!ioctl(volume->output_fd, BLKZEROOUT, range))
		return 0;
	error_errno(errno, "%s: cannot zero the device at %" PRIu64, volume->output,
		    offset);
	return -EIO;
}

/* Leave nothing that can be taken for a copy. */
static int wipe(const struct volume *volume)
{
	uint64_t bytes = volume->bytes < WIPE_BYTES ? volume->bytes :
						      WIPE_BYTES;

	if (wipe_range(volume, 0, bytes) ||
	    wipe_range(volume, volume->bytes - bytes, bytes) ||
	    io_sync(volume->output_fd, volume->output))
		return EXIT_ERROR;
	return EXIT_OK;
}

static int create_target(struct volume *volume)
{
	volume->output_fd = open(volume->output_device.path, O_RDWR | O_CLOEXEC);
	if (volume->output_fd < 0) {
		error_errno(errno, "%s", volume->output);
		return EXIT_ERROR;
	}
	return wipe(volume);
}

int destination_create(struct volume *volume,
		       const struct backup_request *request)
{
	struct writer_options options = request->image;
	struct image_error err;

	options.format = volume->format;
	options.size_bytes = volume->bytes;
	options.replace = request->force;
	if (options.format == WRITER_RAW) {
		options.compression = WRITER_PLAIN;
		options.cluster_bytes = 0;
	}
	increment_set_options(volume, &options);
	registry_void_path(volume->output);
	if (volume->by_job)
		return create_target(volume);
	if (!writer_create(volume->output, &options, &volume->writer, &err))
		return EXIT_OK;
	volume->writer = NULL;
	error("%s", err.message);
	return EXIT_ERROR;
}

int destination_finish(struct volume *volume)
{
	struct image_error err;
	int r;

	if (volume->by_job) {
		/* The job has flushed the device; only the page cache is stale. */
		blockdev_drop_cache(volume->output);
		close(volume->output_fd);
		volume->output_fd = -1;
		return EXIT_OK;
	}
	r = writer_finish(volume->writer, &err);
	volume->writer = NULL;
	if (!r)
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_INCOMPLETE;
}

void destination_abort(struct volume *volume)
{
	writer_abort(volume->writer);
	volume->writer = NULL;
	if (volume->output_fd < 0)
		return;
	if (wipe(volume))
		error("%s holds a part of a backup that looks like a complete one; do not use it",
		      volume->output);
	close(volume->output_fd);
	volume->output_fd = -1;
}
