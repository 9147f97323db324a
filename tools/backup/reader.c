// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that read views, see reader.h. They take chunks in ascending order, one
 * volume after the other.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "backup/reader.h"
#include "base/log.h"
#include "base/process.h"
#include "base/rate.h"

#define BUFFER_ALIGNMENT	4096
#define MIN_THREADS		4
#define MAX_THREADS		64

struct chunk {
	struct volume *volume;
	uint64_t offset;
	uint64_t length;
};

struct reader {
	struct volume *volumes;
	unsigned int nr_volumes;
	uint64_t buffer_bytes;
	_Atomic uint64_t done_bytes;
	pthread_mutex_t lock;	/* protects what follows */
	pthread_cond_t changed;
	unsigned int volume;	/* where the next chunk is */
	size_t extent;
	uint64_t position;	/* in that extent */
	struct rate rate;
	bool stop;
	unsigned int nr_running;
	char failure[1200];	/* "": none */
	unsigned int nr_threads;
	pthread_t threads[MAX_THREADS];
};

/* A multiple of the session's blocks and of the image's clusters; powers of two. */
static uint64_t chunk_bytes(const struct volume *volume)
{
	uint64_t bytes = VOLUME_CHUNK_BYTES;

	if (bytes < volume->block_bytes)
		bytes = volume->block_bytes;
	if (volume->writer && bytes < writer_cluster_bytes(volume->writer))
		bytes = writer_cluster_bytes(volume->writer);
	return bytes;
}

static void fail(struct reader *reader, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fail(struct reader *reader, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&reader->lock);
	if (!reader->failure[0]) {
		va_start(args, format);
		vsnprintf(reader->failure, sizeof(reader->failure), format,
			  args);
		va_end(args);
	}
	reader->stop = true;
	pthread_cond_broadcast(&reader->changed);
	pthread_mutex_unlock(&reader->lock);
}

/* With the lock held: wait for a change, at most until the monotonic time @ns. */
static void wait_until(struct reader *reader, uint64_t ns)
{
	struct timespec until = {
		.tv_sec = ns / NS_PER_SECOND,
		.tv_nsec = ns % NS_PER_SECOND,
	};

	pthread_cond_clockwait(&reader->changed, &reader->lock, CLOCK_MONOTONIC,
			       &until);
}

/* With the lock held: the extent of the next chunk, or NULL at the end. */
static const struct extent *next_extent(struct reader *reader)
{
	const struct extents *scope;

	while (reader->volume < reader->nr_volumes) {
		scope = &reader->volumes[reader->volume].scope;
		if (reader->volumes[reader->volume].has_view &&
		    reader->extent < scope->nr)
			return &scope->list[reader->extent];
		reader->volume++;
		reader->extent = 0;
	}
	return NULL;
}

/* With the lock held. */
static void cut_chunk(struct reader *reader, const struct extent *extent,
		      struct chunk *chunk)
{
	uint64_t bytes, left = extent->length - reader->position;

	chunk->volume = &reader->volumes[reader->volume];
	chunk->offset = extent->offset + reader->position;
	/* End at a multiple of the chunk size. */
	bytes = chunk_bytes(chunk->volume);
	bytes -= chunk->offset % bytes;
	chunk->length = bytes < left ? bytes : left;
	reader->position += chunk->length;
	if (reader->position == extent->length) {
		reader->position = 0;
		reader->extent++;
	}
}

static bool take_chunk(struct reader *reader, struct chunk *chunk)
{
	const struct extent *extent = NULL;

	pthread_mutex_lock(&reader->lock);
	while (!reader->stop) {
		extent = next_extent(reader);
		if (!extent || rate_ready_ns(&reader->rate) <= monotonic_ns())
			break;
		wait_until(reader, rate_ready_ns(&reader->rate));
	}
	if (reader->stop)
		extent = NULL;
	if (extent) {
		cut_chunk(reader, extent, chunk);
		rate_charge(&reader->rate, chunk->length, monotonic_ns());
	}
	pthread_mutex_unlock(&reader->lock);
	return extent;
}

static bool read_chunk(struct reader *reader, const struct chunk *chunk,
		       char *buffer)
{
	uint64_t done = 0;
	ssize_t n;

	while (done < chunk->length) {
		n = pread(chunk->volume->view_fd, buffer + done,
			  chunk->length - done, chunk->offset + done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			fail(reader, "%s: cannot read the old data at %" PRIu64 ": %s",
			     chunk->volume->name, chunk->offset + done,
			     n ? strerrordesc_np(errno) : "end of device");
			return false;
		}
		done += n;
	}
	return true;
}

static bool discard_chunk(struct reader *reader, const struct chunk *chunk)
{
	uint64_t range[2] = { chunk->offset, chunk->length };

	if (!ioctl(chunk->volume->view_fd, BLKDISCARD, range))
		return true;
	fail(reader, "%s: cannot discard the data that were read at %" PRIu64 ": %s",
	     chunk->volume->name, chunk->offset, strerrordesc_np(errno));
	return false;
}

static bool write_chunk(struct reader *reader, const struct chunk *chunk,
			const char *buffer)
{
	struct image_error err;

	if (!writer_write(chunk->volume->writer, chunk->offset, buffer,
			  chunk->length, &err))
		return true;
	fail(reader, "%s", err.message);
	return false;
}

static void *work(void *context)
{
	struct reader *reader = context;
	void *buffer = NULL;
	struct chunk chunk;

	if (posix_memalign(&buffer, BUFFER_ALIGNMENT, reader->buffer_bytes)) {
		buffer = NULL;
		fail(reader, "out of memory");
	}
	while (buffer && take_chunk(reader, &chunk)) {
		if (!read_chunk(reader, &chunk, buffer) ||
		    !discard_chunk(reader, &chunk) ||
		    !write_chunk(reader, &chunk, buffer))
			break;
		atomic_fetch_add(&reader->done_bytes, chunk.length);
	}
	free(buffer);
	pthread_mutex_lock(&reader->lock);
	reader->nr_running--;
	pthread_cond_broadcast(&reader->changed);
	pthread_mutex_unlock(&reader->lock);
	return NULL;
}

static unsigned int default_threads(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (cpus < MIN_THREADS)
		return MIN_THREADS;
	return cpus < MAX_THREADS ? cpus : MAX_THREADS;
}

static bool start_threads(struct reader *reader, unsigned int nr)
{
	pthread_mutex_lock(&reader->lock);
	while (reader->nr_threads < nr &&
	       !pthread_create(&reader->threads[reader->nr_threads], NULL, work,
			       reader)) {
		reader->nr_threads++;
		reader->nr_running++;
	}
	pthread_mutex_unlock(&reader->lock);
	return reader->nr_threads;
}

struct reader *reader_start(struct volume *volumes, unsigned int nr,
			    uint64_t speed, unsigned int nr_threads)
{
	struct reader *reader = calloc(1, sizeof(*reader));
	unsigned int i;

	if (!reader)
		goto fail;
	reader->volumes = volumes;
	reader->nr_volumes = nr;
	pthread_mutex_init(&reader->lock, NULL);
	pthread_cond_init(&reader->changed, NULL);
	rate_set(&reader->rate, speed, monotonic_ns());
	for (i = 0; i < nr; i++)
		if (chunk_bytes(&volumes[i]) > reader->buffer_bytes)
			reader->buffer_bytes = chunk_bytes(&volumes[i]);
	if (!nr_threads)
		nr_threads = default_threads();
	if (start_threads(reader, nr_threads < MAX_THREADS ? nr_threads :
						       MAX_THREADS))
		return reader;
	free(reader);
fail:
	error("cannot start the threads that read: out of memory");
	return NULL;
}

bool reader_wait(struct reader *reader, unsigned int ms)
{
	uint64_t end_ns = monotonic_ns() + ms * NS_PER_MS;
	bool ended;

	pthread_mutex_lock(&reader->lock);
	while (reader->nr_running && monotonic_ns() < end_ns)
		wait_until(reader, end_ns);
	ended = !reader->nr_running;
	pthread_mutex_unlock(&reader->lock);
	return ended;
}

uint64_t reader_done_bytes(struct reader *reader)
{
	return atomic_load(&reader->done_bytes);
}

const char *reader_failure(struct reader *reader)
{
	bool failed;

	/* Written only once, so the text can be used without the lock. */
	pthread_mutex_lock(&reader->lock);
	failed = reader->failure[0];
	pthread_mutex_unlock(&reader->lock);
	return failed ? reader->failure : NULL;
}

/* Tell the threads to end. */
static void stop(struct reader *reader)
{
	pthread_mutex_lock(&reader->lock);
	reader->stop = true;
	pthread_cond_broadcast(&reader->changed);
	pthread_mutex_unlock(&reader->lock);
}

void reader_free(struct reader *reader)
{
	if (!reader)
		return;
	stop(reader);
	while (reader->nr_threads)
		pthread_join(reader->threads[--reader->nr_threads], NULL);
	pthread_cond_destroy(&reader->changed);
	pthread_mutex_destroy(&reader->lock);
	free(reader);
}
