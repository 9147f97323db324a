// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion to raw. The guest's address space is cut into chunks, which the
 * threads take in ascending order; each maps, reads and writes its chunk alone.
 * The first failure ends them all, and its message is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert.h"
#include "error.h"

#define CHUNK_BYTES (4ULL << 20)	/* a multiple of every cluster size */
#define ZERO_BLOCK_BYTES 4096		/* zeros are looked for in these */
#define MAX_THREADS 256

struct converter {
	struct convert *convert;
	int fd;
	bool is_block;
	uint64_t size_bytes;
	_Atomic uint64_t next_bytes;	/* start of the next chunk to take */
	_Atomic bool failed;
	pthread_mutex_t lock;		/* protects result and err */
	int result;
	struct image_error *err;
};

static int fail_errno(const struct converter *c, const char *what,
		      struct image_error *err)
{
	return image_fail(err, -errno, "%s: cannot %s: %s",
			  c->convert->target_path, what, strerror(errno));
}

static int write_all(const struct converter *c, const char *buffer,
		     uint64_t offset, size_t length, struct image_error *err)
{
	while (length) {
		ssize_t put = pwrite(c->fd, buffer, length, offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return fail_errno(c, "write", err);
		buffer += put;
		offset += put;
		length -= put;
	}
	return 0;
}

/* A file was empty before, so its zeros are there already, as holes. */
static int put_zeros(const struct converter *c, uint64_t offset,
		     uint64_t length, struct image_error *err)
{
	static const char zeros[ZERO_BLOCK_BYTES];
	uint64_t range[2] = { offset, length };
	int ret = 0;

	if (!c->is_block || !ioctl(c->fd, BLKZEROOUT, range))
		return 0;
	/* Not possible at a tail that is no whole block of the device. */
	for (; !ret && length; offset += range[1], length -= range[1]) {
		range[1] = length < sizeof(zeros) ? length : sizeof(zeros);
		ret = write_all(c, zeros, offset, range[1], err);
	}
	return ret;
}

static bool is_zero(const char *buffer, size_t length)
{
	/* All equal to their neighbour, and the first one zero. */
	return !buffer[0] && !memcmp(buffer, buffer + 1, length - 1);
}

static int put_data(const struct converter *c, const char *buffer,
		    uint64_t offset, size_t length, struct image_error *err)
{
	size_t start = 0, end, step;
	bool zero;
	int ret;

	while (start < length) {
		step = length - start < ZERO_BLOCK_BYTES ? length - start :
							   ZERO_BLOCK_BYTES;
		zero = is_zero(buffer + start, step);
		for (end = start + step; end < length; end += step) {
			if (length - end < step)
				step = length - end;
			if (is_zero(buffer + end, step) != zero)
				break;
		}
		ret = zero ? put_zeros(c, offset + start, end - start, err) :
			     write_all(c, buffer + start, offset + start,
				       end - start, err);
		if (ret)
			return ret;
		start = end;
	}
	return 0;
}

static int convert_extent(const struct converter *c,
			  const struct image_extent *extent, char *buffer,
			  struct image_error *err)
{
	int ret;

	if (extent->kind == IMAGE_EXTENT_ZERO)
		return put_zeros(c, extent->offset, extent->length, err);
	ret = image_read(c->convert->image, extent->offset, buffer,
			 extent->length, err);
	if (ret)
		return ret;
	return put_data(c, buffer, extent->offset, extent->length, err);
}

static int convert_chunk(const struct converter *c, uint64_t offset,
			 char *buffer, struct image_error *err)
{
	uint64_t end = offset + CHUNK_BYTES;
	struct image_extent extent;
	int ret;

	if (end > c->size_bytes)
		end = c->size_bytes;
	for (; offset < end; offset += extent.length) {
		ret = image_map(c->convert->image, offset, end - offset,
				&extent, err);
		if (!ret)
			ret = convert_extent(c, &extent, buffer, err);
		if (ret)
			return ret;
		atomic_fetch_add(&c->convert->done_bytes, extent.length);
	}
	return 0;
}

static void report(struct converter *c, int ret, const struct image_error *err)
{
	pthread_mutex_lock(&c->lock);
	if (!c->result) {
		c->result = ret;
		if (c->err)
			*c->err = *err;
	}
	pthread_mutex_unlock(&c->lock);
	atomic_store(&c->failed, true);
}

static void *work(void *context)
{
	struct converter *c = context;
	char *buffer = malloc(CHUNK_BYTES);
	struct image_error err;
	uint64_t offset;
	int ret = 0;

	if (!buffer)
		ret = image_fail_memory(&err, c->convert->target_path);
	while (!ret && !atomic_load(&c->failed)) {
		offset = atomic_fetch_add(&c->next_bytes, CHUNK_BYTES);
		if (offset >= c->size_bytes)
			break;
		ret = convert_chunk(c, offset, buffer, &err);
	}
	if (ret)
		report(c, ret, &err);
	free(buffer);
	return NULL;
}

static unsigned int thread_count(const struct convert *convert)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int threads = convert->threads;

	if (!threads)
		threads = cpus > 0 ? cpus : 1;
	return threads < MAX_THREADS ? threads : MAX_THREADS;
}

static void run_threads(struct converter *c)
{
	unsigned int wanted = thread_count(c->convert), started = 0;
	pthread_t threads[MAX_THREADS];

	/* This thread works too, so that one that cannot start does no harm. */
	while (started + 1 < wanted &&
	       !pthread_create(&threads[started], NULL, work, c))
		started++;
	work(c);
	while (started)
		pthread_join(threads[--started], NULL);
}

static int prepare_device(struct converter *c, struct image_error *err)
{
	uint64_t room;

	c->is_block = true;
	if (ioctl(c->fd, BLKGETSIZE64, &room))
		return fail_errno(c, "get the device's size", err);
	if (room < c->size_bytes)
		return image_fail(err, -ENOSPC,
				  "%s: too small: it has %llu bytes, the image %llu",
				  c->convert->target_path,
				  (unsigned long long)room,
				  (unsigned long long)c->size_bytes);
	return 0;
}

static int prepare_target(struct converter *c, struct image_error *err)
{
	struct stat st;

	if (fstat(c->fd, &st))
		return fail_errno(c, "look at it", err);
	if (image_uses_file(c->convert->image, c->fd))
		return image_fail(err, -EINVAL,
				  "%s: is part of the image that is to be converted",
				  c->convert->target_path);
	if (S_ISBLK(st.st_mode))
		return prepare_device(c, err);
	if (!S_ISREG(st.st_mode))
		return image_fail(err, -EINVAL,
				  "%s: neither a regular file nor a block device",
				  c->convert->target_path);
	if (ftruncate(c->fd, 0) || ftruncate(c->fd, c->size_bytes))
		return fail_errno(c, "set its size", err);
	return 0;
}

static int open_target(struct converter *c, struct image_error *err)
{
	const char *path = c->convert->target_path;
	int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct stat st;

	/* O_EXCL on a block device: not if it is mounted or otherwise in use. */
	if (!stat(path, &st) && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	else
		flags |= O_CREAT;
	c->fd = open(path, flags, 0666);
	return c->fd < 0 ? fail_errno(c, "open", err) : 0;
}

int convert_run(struct convert *convert, struct image_error *err)
{
	struct converter c = {
		.convert = convert,
		.size_bytes = image_size(convert->image),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.err = err,
	};
	int ret;

	ret = open_target(&c, err);
	if (ret)
		return ret;
	ret = prepare_target(&c, err);
	if (!ret) {
		run_threads(&c);
		ret = c.result;
	}
	if (!ret && fsync(c.fd))
		ret = fail_errno(&c, "make it durable", err);
	if (close(c.fd) && !ret)
		ret = fail_errno(&c, "close", err);
	return ret;
}
