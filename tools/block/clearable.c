// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clearing thin volumes and loop devices.
 *
 * dm-thin may report success for a discard that it has not done: a pool that is read-only
 * does so, and one that copies a block of a snapshot at that moment. The block layer does
 * for one that is not supported, and cuts requests in the middle of blocks if their size
 * is not a power of two. So the pool is looked at before and after. If anything of the
 * volume is still mapped, it may be in the range: then all of the range is read, and what
 * is not zero is overwritten. In a pool that zeroes new blocks, zeros that were read stay.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/words.h"
#include "block/clearable.h"
#include "block/dm.h"

#define SECTOR_BYTES	512u
/* So much at a time, then it can be cancelled. No block of a pool is larger. */
#define STEP_BYTES	(1ull << 30)
/* What is at an edge is read in pieces of this size. */
#define PIECE_BYTES	(1u << 20)

struct thin {
	char pool[DM_NAME_BYTES];
	uint64_t block_bytes;	/* of the pool */
	uint64_t mapped_bytes;
};

/* The only line of a table or status, of this target. To be freed. NULL: it is not. */
static char *get_params(const char *name, enum dm_line_kind kind,
			const char *target)
{
	struct dm_line line = { 0 };

	if (!dm_get_line(name, kind, &line, NULL) && line.nr_lines == 1 &&
	    !line.start_sector && !strcmp(line.target, target))
		return line.params;
	dm_line_free(&line);
	return NULL;
}

/* "<pool> <device id>"; an external origin would be a third word. */
static bool find_pool(const char *name, struct thin *thin)
{
	char *params = get_params(name, DM_LINE_TABLE, "thin");
	unsigned int major_nr, minor_nr, id;
	int length = 0;
	bool found;

	found = params &&
		sscanf(params, "%u:%u %u %n", &major_nr, &minor_nr, &id,
		       &length) == 3 && length && !params[length] &&
		dm_name_of(major_nr, minor_nr, thin->pool);
	free(params);
	return found;
}

/* "<metadata> <data> <block sectors> <low water> <#features> <feature>..." */
static bool read_pool_table(struct thin *thin)
{
	char *params = get_params(thin->pool, DM_LINE_TABLE, "thin-pool");
	uint64_t sectors = 0;
	bool good;

	good = params &&
	       sscanf(params, "%*s %*s %" SCNu64, &sectors) == 1 && sectors &&
	       !(sectors & (sectors - 1)) &&
	       !has_word(params, "skip_block_zeroing") &&
	       !has_word(params, "ignore_discard") &&
	       !has_word(params, "read_only");
	thin->block_bytes = sectors * SECTOR_BYTES;
	free(params);
	return good;
}

/* A pool in another mode does not do what it is told. */
static bool pool_is_writable(const struct thin *thin)
{
	char *params = get_params(thin->pool, DM_LINE_STATUS, "thin-pool");
	bool writable;

	writable = params &&
		   (has_word(params, "rw") ||
		    has_word(params, "out_of_data_space")) &&
		   !has_word(params, "ignore_discard");
	free(params);
	return writable;
}

/* "<mapped sectors> <highest mapped sector>" */
static bool read_mapped(const char *name, struct thin *thin)
{
	char *params = get_params(name, DM_LINE_STATUS, "thin");
	uint64_t sectors;
	bool found;

	found = params && sscanf(params, "%" SCNu64, &sectors) == 1;
	if (found)
		thin->mapped_bytes = sectors * SECTOR_BYTES;
	free(params);
	return found;
}

static bool read_thin(const struct blockdev *device, char name[DM_NAME_BYTES],
		      struct thin *thin)
{
	memset(thin, 0, sizeof(*thin));
	return dm_name_of(major(device->devt), minor(device->devt), name) &&
	       find_pool(name, thin) && read_pool_table(thin) &&
	       pool_is_writable(thin) && read_mapped(name, thin);
}

/* A partition of one has no such attribute. */
static bool is_loop(const struct blockdev *device)
{
	char file[4096];

	return blockdev_read_attribute(device->devt, "loop/backing_file", file,
				       sizeof(file));
}

bool clearable_probe(const struct blockdev *device)
{
	char name[DM_NAME_BYTES];
	struct thin thin;

	return is_loop(device) || read_thin(device, name, &thin);
}

/* Call @act for the range [0, bytes), @step bytes at a time. */
static int in_steps(int fd, uint64_t bytes, uint64_t step,
		    bool (*is_cancelled)(void),
		    int (*act)(int fd, uint64_t offset, uint64_t length))
{
	uint64_t offset, length;
	int r = 0;

	for (offset = 0; !r && offset < bytes; offset += length) {
		length = bytes - offset < step ? bytes - offset : step;
		r = is_cancelled() ? -ECANCELED : act(fd, offset, length);
	}
	return r;
}

static int discard(int fd, uint64_t offset, uint64_t length)
{
	uint64_t range[2] = { offset, length };

	return ioctl(fd, BLKDISCARD, range) ? -errno : 0;
}

/* For a block device, this is a write of zeros that may not fall back to data. */
static int punch(int fd, uint64_t offset, uint64_t length)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 offset, length) ? -errno : 0;
}

static bool is_zero(const char *data, size_t bytes)
{
	return !data[0] && !memcmp(data, data + 1, bytes - 1);
}

/* Zero the range, but do not write where zeros are read: that would take space. */
static int zero(int fd, uint64_t offset, uint64_t bytes)
{
	const uint64_t end = offset + bytes;
	char *data = malloc(PIECE_BYTES);
	size_t length;
	int r = data ? 0 : -ENOMEM;

	for (; !r && offset < end; offset += length) {
		length = end - offset < PIECE_BYTES ? end - offset : PIECE_BYTES;
		if (pread(fd, data, length, offset) != (ssize_t)length) {
			r = -EIO;
		} else if (!is_zero(data, length)) {
			memset(data, 0, length);
			if (pwrite(fd, data, length, offset) != (ssize_t)length)
				r = -EIO;
		}
	}
	free(data);
	return r;
}

/*
 * Only whole blocks are discarded: a last one that is short is not, nor one that two
 * requests share.
 */
static int discard_blocks(int fd, uint64_t nr_blocks, uint64_t block_bytes,
			  bool (*is_cancelled)(void))
{
	return in_steps(fd, nr_blocks * block_bytes,
			STEP_BYTES / block_bytes * block_bytes, is_cancelled,
			discard);
}

static int clear_thin(int fd, const struct blockdev *device, uint64_t bytes,
		      bool (*is_cancelled)(void))
{
	char name[DM_NAME_BYTES];
	struct thin thin;
	int r = 0;

	if (!read_thin(device, name, &thin))
		return -EOPNOTSUPP;
	if (thin.mapped_bytes)
		r = discard_blocks(fd, bytes / thin.block_bytes,
				   thin.block_bytes, is_cancelled);
	if (!r && !read_thin(device, name, &thin))
		r = -EOPNOTSUPP;
	if (!r && thin.mapped_bytes)
		r = in_steps(fd, bytes, STEP_BYTES, is_cancelled, zero);
	/* Without a flush, what was discarded may be mapped again after a power cut. */
	if (!r && fsync(fd))
		r = -errno;
	/* The pool has not changed its mode meanwhile. */
	if (!r && !read_thin(device, name, &thin))
		r = -EOPNOTSUPP;
	return r;
}

static int clear_loop(int fd, uint64_t bytes, bool (*is_cancelled)(void))
{
	struct loop_info64 info;
	int r;

	/* On a block device, the device of that is what counts. */
	if (ioctl(fd, LOOP_GET_STATUS64, &info) || info.lo_rdevice)
		return -EOPNOTSUPP;
	r = in_steps(fd, bytes, STEP_BYTES, is_cancelled, punch);
	if (!r && fsync(fd))
		r = -errno;
	return r;
}

int clearable_clear(const struct blockdev *device, uint64_t bytes,
		    bool (*is_cancelled)(void))
{
	int fd = open(device->path, O_RDWR | O_EXCL | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = is_loop(device) ? clear_loop(fd, bytes, is_cancelled) :
			      clear_thin(fd, device, bytes, is_cancelled);
	/* The kernel's targets write past the page cache. */
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return r;
}
