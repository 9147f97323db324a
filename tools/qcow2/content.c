// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does a block device hold something? libblkid knows file systems, RAID, LVM and
 * partition tables, but not images and archives.
 */
#include <blkid/blkid.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "content.h"
#include "foreign.h"
#include "base/log.h"
#include "qcow2-format.h"

int blockdev_has_qcow2(const char *path)
{
	uint32_t magic = 0;
	int fd, r;

	blockdev_drop_cache(path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	r = fd < 0 || pread(fd, &magic, sizeof(magic), 0) < 0 ? -errno : 0;
	if (r)
		error_errno(r, "%s: cannot be read", path);
	if (fd >= 0)
		close(fd);
	return r ? r : be32toh(magic) == QCOW2_MAGIC;
}

/* What the probe found, as a phrase. */
static void describe(blkid_probe probe, char *what, size_t what_bytes)
{
	const char *type = NULL, *label = NULL, *usage = NULL;

	blkid_probe_lookup_value(probe, "TYPE", &type, NULL);
	blkid_probe_lookup_value(probe, "USAGE", &usage, NULL);
	blkid_probe_lookup_value(probe, "LABEL", &label, NULL);
	if (type) {
		snprintf(what, what_bytes, "%s%s%s%s%s", type,
			 usage && !strcmp(usage, "filesystem") ?
			 " file system" : " signature",
			 label ? " '" : "", label ? label : "",
			 label ? "'" : "");
		return;
	}
	if (!blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL)) {
		snprintf(what, what_bytes, "partition table (%s)", type);
		return;
	}
	snprintf(what, what_bytes, "signature");
}

int blockdev_check_signature(const struct blockdev *device, char *what,
			     size_t what_bytes)
{
	blkid_probe probe = blkid_new_probe_from_filename(device->path);
	int r;

	if (!probe) {
		error("%s: cannot be searched for signatures", device->path);
		return -EIO;
	}
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE |
					  BLKID_SUBLKS_USAGE |
					  BLKID_SUBLKS_LABEL);
	blkid_probe_enable_partitions(probe, 1);
	/* One result is enough. 0: found, 1: nothing, less: an error. */
	r = blkid_do_probe(probe);
	if (r < 0) {
		error("%s: cannot be searched for signatures", device->path);
		r = -EIO;
	} else if (r == 0) {
		describe(probe, what, what_bytes);
		r = -EEXIST;
	} else {
		r = 0;
	}
	blkid_free_probe(probe);
	return r;
}

static int find_foreign(const struct blockdev *device, char *what,
			size_t what_bytes)
{
	struct host_file *file;
	struct image_error err;
	int r = host_file_open(device->path, &file, &err);

	if (!r) {
		r = foreign_describe(file, what, what_bytes, &err);
		host_file_close(file);
	}
	if (r && r != -EEXIST)
		error("%s", err.message);
	return r;
}

int blockdev_check_empty(const struct blockdev *device, char *what,
			 size_t what_bytes)
{
	int r = blockdev_has_qcow2(device->path);

	if (r > 0) {
		snprintf(what, what_bytes, "qcow2 image");
		return -EEXIST;
	}
	return r ?: blockdev_check_signature(device, what, what_bytes) ?:
	       find_foreign(device, what, what_bytes);
}
