// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fleece device: a device that the user names, a temporary logical volume, or a
 * temporary file.
 *
 * The file has no name, and its loop device disappears with its last user, the table
 * with the session. So nothing is left behind, whatever happens to this process. The
 * file is sparse and as large as the volume, so the file system is full first.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "backup/fleece-volume.h"
#include "backup/recovery.h"
#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "qcow2/content.h"

/* What is written behind a gap of this size shows whether a file can have holes. */
#define GAP_BYTES (4u << 20)

/* Another process may take a free loop device first. */
#define LOOP_TRIES 64

static int use_device(struct volume *volumes, unsigned int nr,
		      struct volume *volume, const char *path, bool force)
{
	struct blockdev device;
	int status;

	/* No search for images: old data of the last backup may look like one. */
	status = volumes_check_device(volumes, nr, path, force, &device,
				      blockdev_check_signature);
	if (!status)
		volume_set_old_data(volume, path, device.devt);
	return status;
}

static int open_nameless(const char *folder)
{
	char path[PATH_MAX + 32];
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	/* The file system has no O_TMPFILE: give the file a name for a moment. */
	snprintf(path, sizeof(path), "%s/.dmlive-fleece-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int new_loop(int control, int file, char path[32])
{
	struct loop_config config = {
		.fd = file,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};
	int number, loop, tries;

	snprintf((char *)config.info.lo_file_name,
		 sizeof(config.info.lo_file_name), "dmlive fleece");
	for (tries = 0; tries < LOOP_TRIES; tries++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			return -errno;
		snprintf(path, 32, "/dev/loop%d", number);
		loop = open(path, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			return -errno;
		if (!ioctl(loop, LOOP_CONFIGURE, &config))
			return loop;
		number = errno;
		close(loop);
		if (number != EBUSY)
			return -number;
	}
	return -EBUSY;
}

static int make_loop(struct volume *volume, int file, const char *folder)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int loop = control < 0 ? -errno : 0;
	char path[32] = "/dev/loop-control", text[sizeof(volume->old_data)];
	struct stat st;

	if (control >= 0) {
		loop = new_loop(control, file, path);
		close(control);
	}
	if (loop < 0) {
		error_errno(loop, "%s: cannot make a loop device for a temporary file in %s; name a fleece device with --fleece DEVICE",
			    path, folder);
		return EXIT_ERROR;
	}
	volume->old_data_fd = loop;
	if (fstat(loop, &st))
		return EXIT_ERROR;
	snprintf(text, sizeof(text), "the temporary file in %s", folder);
	volume_set_old_data(volume, text, st.st_rdev);
	snprintf(volume->old_data_folder, sizeof(volume->old_data_folder),
		 "%s", folder);
	return EXIT_OK;
}

/* On CephFS and SMB, a file's blocks are computed from its size, though it can have holes. */
static bool blocks_are_made_up(int file)
{
	struct statfs fs;

	if (fstatfs(file, &fs))
		return false;
	switch ((uint32_t)fs.f_type) {
	case CEPH_SUPER_MAGIC:
	case CIFS_SUPER_MAGIC:
	case SMB2_SUPER_MAGIC:
		return true;
	}
	return false;
}

/*
 * On some file systems, FAT for example, a file has no holes: to make it as large as the
 * volume would write as many zeros, and the guest waits for the first slot behind them.
 * Not all file systems have SEEK_HOLE, and XFS may count what it has only reserved.
 */
static int check_holes(int file, const struct volume *volume,
		       const char *folder)
{
	uint64_t gap = volume->bytes / 2 < GAP_BYTES ? volume->bytes / 2 :
						       GAP_BYTES;
	struct stat st;

	if (pwrite(file, "", 1, gap) != 1 || fstat(file, &st))
		return -errno;
	if (!blocks_are_made_up(file) &&
	    lseek(file, 0, SEEK_HOLE) >= (off_t)gap &&
	    (uint64_t)st.st_blocks * SECTOR_BYTES >= gap) {
		error("%s: files cannot have holes there, so a temporary file for old data would take the whole size of %s at once; name another folder, or a device, with --fleece",
		      folder, volume->name);
		return EXIT_REFUSED;
	}
	return ftruncate(file, 0) ? -errno : EXIT_OK;
}

static int use_file(struct volume *volumes, unsigned int nr,
		    struct volume *volume, const char *folder)
{
	uint64_t blocks = (volume->bytes + volume->block_bytes - 1) /
			  volume->block_bytes;
	int file, status;
	struct stat st;

	if (stat(folder, &st)) {
		error_errno(errno, "%s", folder);
		return EXIT_ERROR;
	}
	if (volumes_hold(volumes, nr, folder, folder))
		return EXIT_REFUSED;
	file = open_nameless(folder);
	status = file < 0 ? -errno : check_holes(file, volume, folder);
	if (!status && ftruncate(file, blocks * volume->block_bytes))
		status = -errno;
	if (status < 0) {
		error_errno(status, "%s: cannot make a temporary file for old data; name another folder, or a device, with --fleece",
			    folder);
		status = EXIT_ERROR;
	} else if (!status) {
		status = make_loop(volume, file, folder);
	}
	if (file >= 0)
		close(file);
	return status;
}

static int use_group(struct volume *volumes, unsigned int nr,
		     struct volume *volume, const char *fleece)
{
	char path[PATH_MAX];
	int status = fleece_volume_plan(volume, fleece);

	/* A process that is killed after this may leave a volume. */
	if (!status && recovery_record(volume, RECOVERY_FLEECE)) {
		volume->fleece_volume.name[0] = '\0';
		status = EXIT_ERROR;
	}
	volume->on_record |= !status;
	if (!status)
		status = fleece_volume_make(volume, fleece, path);
	/* By force: what lvm2 does not wipe belongs to nobody. */
	return status ? status : use_device(volumes, nr, volume, path, true);
}

int fleece_open(struct volume *volumes, unsigned int nr, struct volume *volume,
		const char *fleece, bool force)
{
	char path[PATH_MAX];
	struct stat st;

	if (!fleece) {
		snprintf(path, sizeof(path), "%s", volume->output);
		return use_file(volumes, nr, volume, dirname(path));
	}
	if (!stat(fleece, &st) && S_ISDIR(st.st_mode))
		return use_file(volumes, nr, volume, fleece);
	if (fleece_volume_is_meant(fleece))
		return use_group(volumes, nr, volume, fleece);
	return use_device(volumes, nr, volume, fleece, force);
}
