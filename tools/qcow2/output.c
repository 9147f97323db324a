// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a new image goes. A regular file is worked on under a name of its own in
 * the folder of the image, and renamed at the end, so that the image's name never
 * stands for half an image, and what it stood for before is not lost by a failure.
 *
 * QEMU's locks are held on the file or device, and on a file that is going to be
 * replaced: so nobody writes to it meanwhile, and no VM uses it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "base/host-lock.h"
#include "output.h"

#define PARTIAL_TRIES 100
#define FILE_MODE 0666		/* less the umask */

struct output {
	char *path;		/* as the caller names it */
	int fd;
	bool is_device;
	uint64_t device_bytes;

	/* of a regular file */
	struct output_options options;
	int folder_fd;
	int old_fd;		/* the file that is to be replaced, or -1 */
	bool has_mtime;		/* that it is to have */
	struct timespec mtime;
	char name[NAME_MAX + 1];	/* in the folder */
	char partial[NAME_MAX + 1];
};

static int fail_errno(const struct output *output, const char *what,
		      struct image_error *err)
{
	return image_fail(err, -errno, "%s: cannot %s: %s", output->path, what,
			  strerror(errno));
}

const char *output_path(const struct output *output)
{
	return output->path;
}

bool output_is_device(const struct output *output)
{
	return output->is_device;
}

uint64_t output_device_bytes(const struct output *output)
{
	return output->device_bytes;
}

static void close_all(struct output *output)
{
	if (output->fd >= 0)
		close(output->fd);
	if (output->old_fd >= 0)
		close(output->old_fd);
	if (output->folder_fd >= 0)
		close(output->folder_fd);
	free(output->path);
	free(output);
}

static int lock_output(const struct output *output, int fd,
		       struct image_error *err)
{
	if (host_lock_for_writing(fd))
		return image_fail(err, -EBUSY,
				  "%s: another process uses it (a running VM, or another dmlive?)",
				  output->path);
	return 0;
}

static int open_device(struct output *output, struct image_error *err)
{
	/* O_EXCL: not if it is mounted or otherwise in use. */
	output->fd = open(output->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (output->fd < 0)
		return fail_errno(output, "open", err);
	if (ioctl(output->fd, BLKGETSIZE64, &output->device_bytes))
		return fail_errno(output, "get the device's size", err);
	return lock_output(output, output->fd, err);
}

/* The folder and the name in it; of a link, those of what it leads to. */
static int find_folder(struct output *output, struct image_error *err)
{
	char *real = realpath(output->path, NULL);
	char *path = real ?: strdup(output->path);
	char *slash;
	int ret = 0;

	if (!path)
		return image_fail_memory(err, output->path);
	slash = strrchr(path, '/');
	if (slash)
		*slash = '\0';
	output->folder_fd = open(!slash ? "." : *path ? path : "/",
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (output->folder_fd < 0)
		ret = fail_errno(output, "open its folder", err);
	else if (snprintf(output->name, sizeof(output->name), "%s",
			  slash ? slash + 1 : path) >= (int)sizeof(output->name) ||
		 snprintf(output->partial, sizeof(output->partial),
			  "%s" OUTPUT_PARTIAL, output->name) >=
			  (int)sizeof(output->partial))
		ret = image_fail(err, -ENAMETOOLONG,
				 "%s: the name is too long: there must be room for '%s'",
				 output->path, OUTPUT_PARTIAL);
	else if (!*output->name)
		ret = image_fail(err, -EISDIR, "%s: not the name of a file",
				 output->path);
	free(path);
	return ret;
}

/* Does the file that is open as @fd still have the name that it is worked on under? */
static bool is_partial(const struct output *output, int fd)
{
	struct stat ours, named;

	return !fstat(fd, &ours) &&
	       !fstatat(output->folder_fd, output->partial, &named,
			AT_SYMLINK_NOFOLLOW) &&
	       ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

static int check_leftover(const struct output *output, int fd,
			  struct image_error *err)
{
	const struct output_options *options = &output->options;
	struct stat st;

	if (options->is_source && options->is_source(options->source, fd))
		return image_fail(err, -EINVAL,
				  "%s" OUTPUT_PARTIAL ": is part of the image that is to be read, and in the way; rename it or choose another target",
				  output->path);
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) &&
	    !host_lock_for_writing(fd) && is_partial(output, fd))
		return 0;
	return image_fail(err, -EBUSY,
			  "%s" OUTPUT_PARTIAL ": another process is writing it",
			  output->path);
}

/*
 * Remove what an interrupted run has left, if nobody works on it. It is not written
 * to: it may belong to somebody else, or have other names. Only the holder of the
 * locks may remove it.
 */
static int remove_leftover(const struct output *output, struct image_error *err)
{
	int fd = openat(output->folder_fd, output->partial,
			O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int ret;

	/* Somebody has a lease on it. */
	if (fd < 0 && errno == EAGAIN)
		errno = EBUSY;
	if (fd < 0)
		return errno == ENOENT ? 0 :
		       fail_errno(output, "open its file '" OUTPUT_PARTIAL "'",
				  err);
	ret = check_leftover(output, fd, err);
	if (!ret && unlinkat(output->folder_fd, output->partial, 0))
		ret = fail_errno(output, "remove its file '" OUTPUT_PARTIAL "'",
				 err);
	close(fd);
	return ret;
}

/* Without a message -EEXIST, and -EAGAIN: it was there for a moment only. */
static int create_partial(struct output *output, struct image_error *err)
{
	int ret;

	output->fd = openat(output->folder_fd, output->partial,
			    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
	if (output->fd < 0)
		return errno == EEXIST ? -EEXIST :
		       fail_errno(output, "make it", err);
	/* Until it is locked, another process may remove it like a leftover. */
	ret = lock_output(output, output->fd, err);
	if (ret == -EBUSY || (!ret && !is_partial(output, output->fd)))
		ret = -EAGAIN;
	if (ret) {
		close(output->fd);
		output->fd = -1;
	}
	return ret;
}

static int make_partial(struct output *output, struct image_error *err)
{
	int ret = -EAGAIN, tries;

	for (tries = 0; tries < PARTIAL_TRIES; tries++) {
		ret = create_partial(output, err);
		if (ret == -EEXIST && !output->options.replace)
			return image_fail(err, -EEXIST,
					  "%s" OUTPUT_PARTIAL ": exists, it is being written or left by an interrupted run: remove it in the latter case",
					  output->path);
		if (ret == -EEXIST)
			ret = remove_leftover(output, err);
		else if (ret != -EAGAIN)
			return ret;
		if (ret && ret != -EAGAIN)
			return ret;
	}
	return image_fail(err, -EBUSY,
			  "%s" OUTPUT_PARTIAL ": other processes make and remove it",
			  output->path);
}

/* The file that is to be replaced passes on its owner and mode, if permitted. */
static int adopt_old(struct output *output, const struct stat *old,
		     struct image_error *err)
{
	int ret;

	output->old_fd = openat(output->folder_fd, output->name,
				O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (output->old_fd < 0)
		return fail_errno(output, "open", err);
	ret = lock_output(output, output->old_fd, err) ?:
	      make_partial(output, err);
	if (!ret && !fchown(output->fd, old->st_uid, old->st_gid))
		fchmod(output->fd, old->st_mode & 0777);
	return ret;
}

static int open_file(struct output *output, const struct stat *old,
		     struct image_error *err)
{
	int ret;

	if (old && !S_ISREG(old->st_mode))
		return image_fail(err, -EINVAL,
				  "%s: neither a regular file nor a block device",
				  output->path);
	if (old && !output->options.replace)
		return image_fail(err, -EEXIST, "%s: exists already",
				  output->path);
	ret = find_folder(output, err);
	if (ret)
		return ret;
	return old ? adopt_old(output, old, err) : make_partial(output, err);
}

int output_open(const char *path, const struct output_options *options,
		struct output **out, struct image_error *err)
{
	struct output *output = calloc(1, sizeof(*output));
	struct stat st;
	bool exists;
	int ret;

	if (!output)
		return image_fail_memory(err, path);
	output->fd = -1;
	output->folder_fd = -1;
	output->old_fd = -1;
	output->options = *options;
	output->path = strdup(path);
	if (!output->path) {
		ret = image_fail_memory(err, path);
		goto fail;
	}
	exists = !stat(path, &st);
	if (!exists && errno != ENOENT) {
		ret = fail_errno(output, "look at it", err);
		goto fail;
	}
	output->is_device = exists && S_ISBLK(st.st_mode);
	ret = output->is_device ? open_device(output, err) :
				  open_file(output, exists ? &st : NULL, err);
	if (ret)
		goto fail;
	*out = output;
	return 0;
fail:
	close_all(output);
	return ret;
}

int output_write(struct output *output, uint64_t offset, const void *buffer,
		 size_t length, struct image_error *err)
{
	const char *from = buffer;

	while (length) {
		ssize_t put = pwrite(output->fd, from, length, offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (!put)
			errno = ENOSPC;
		if (put <= 0)
			return fail_errno(output, "write", err);
		from += put;
		offset += put;
		length -= put;
	}
	return 0;
}

int output_zero(struct output *output, uint64_t offset, uint64_t length,
		struct image_error *err)
{
	static const char zeros[4096];
	uint64_t range[2] = { offset, length };
	int ret = 0;

	if (!output->is_device || !length ||
	    !ioctl(output->fd, BLKZEROOUT, range))
		return 0;
	/* Not possible for a tail that is not a whole block of the device. */
	for (; !ret && length; offset += range[1], length -= range[1]) {
		range[1] = length < sizeof(zeros) ? length : sizeof(zeros);
		ret = output_write(output, offset, zeros, range[1], err);
	}
	return ret;
}

int output_resize(struct output *output, uint64_t size,
		  struct image_error *err)
{
	if (!output->is_device && ftruncate(output->fd, size))
		return fail_errno(output, "set its size", err);
	return 0;
}

static int set_mtime(const struct output *output)
{
	const struct timespec times[2] = {
		{ .tv_nsec = UTIME_OMIT }, output->mtime,
	};

	return futimens(output->fd, times);
}

void output_stamp(struct output *output, struct file_stamp *stamp)
{
	memset(stamp, 0, sizeof(*stamp));
	if (output->is_device)
		return;
	output->mtime = file_stamp_new_mtime();
	output->has_mtime = !set_mtime(output) &&
			    !file_stamp_get_fd(output->fd, stamp) &&
			    stamp->mtime_s == (uint64_t)output->mtime.tv_sec &&
			    !stamp->mtime_ns;
	if (!output->has_mtime)
		memset(stamp, 0, sizeof(*stamp));
}

int output_sync(struct output *output, struct image_error *err)
{
	if (output->has_mtime && set_mtime(output))
		return fail_errno(output, "set its time of change", err);
	return fsync(output->fd) ? fail_errno(output, "make it durable", err) :
				   0;
}

static int give_name(const struct output *output)
{
	int folder = output->folder_fd;
	struct stat st;

	/* On a file system without locks, two processes may have worked on it. */
	if (!is_partial(output, output->fd)) {
		errno = ESTALE;
		return -1;
	}
	if (output->options.replace)
		return renameat(folder, output->partial, folder, output->name);
	if (!renameat2(folder, output->partial, folder, output->name,
		       RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL)
		return -1;
	/* The file system cannot do this in one step. */
	if (!fstatat(folder, output->name, &st, AT_SYMLINK_NOFOLLOW)) {
		errno = EEXIST;
		return -1;
	}
	return renameat(folder, output->partial, folder, output->name);
}

int output_publish(struct output *output, struct image_error *err)
{
	int ret = 0;

	if (!output->is_device && give_name(output))
		ret = image_fail(err, -errno,
				 "%s: cannot get its name: %s; the image is complete and stays as %s%s",
				 output->path, strerror(errno), output->path,
				 OUTPUT_PARTIAL);
	else if (!output->is_device && fsync(output->folder_fd))
		ret = fail_errno(output, "make its name durable", err);
	if (close(output->fd) && !ret)
		ret = fail_errno(output, "close", err);
	output->fd = -1;
	close_all(output);
	return ret;
}

void output_discard(struct output *output)
{
	/* If it cannot be removed, it is at least empty. */
	if (!output->is_device && is_partial(output, output->fd) &&
	    unlinkat(output->folder_fd, output->partial, 0) &&
	    !ftruncate(output->fd, 0))
		fsync(output->fd);
	close_all(output);
}
