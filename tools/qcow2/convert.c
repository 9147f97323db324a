// SPDX-License-Identifier: GPL-2.0-only
/*
 * Conversion of an image. The guest's address space is cut into chunks, which the
 * threads take in ascending order; each maps, reads and writes its chunk alone.
 * The first failure ends them all, and its message is kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert.h"
#include "error.h"
#include "path.h"
#include "preflight.h"

#define CHUNK_BYTES (4ULL << 20)	/* a multiple of every cluster size */
#define MAX_CHUNK_CLUSTERS (CHUNK_BYTES / 512)
#define MAX_THREADS 256

struct converter {
	struct convert *convert;
	struct writer *writer;
	uint64_t size_bytes;
	_Atomic uint64_t next_bytes;	/* start of the next chunk to take */
	_Atomic bool failed;
	pthread_mutex_t lock;		/* protects result and err */
	int result;
	struct image_error *err;
};

/* What happens to a cluster of the target. */
enum fate {
	FATE_OPEN,		/* nothing known yet */
	FATE_BACKING,		/* is left to the backing file */
	FATE_ZERO,
	FATE_DATA,
};

/* Work of one thread on one chunk. */
struct chunk {
	uint64_t offset;
	uint64_t length;
	char *buffer;
	unsigned char fates[MAX_CHUNK_CLUSTERS];
};

static enum fate extent_fate(const struct converter *c,
			     const struct image_extent *extent)
{
	if (c->convert->keep_backing && (!extent->allocated || extent->depth))
		return FATE_BACKING;
	return extent->kind == IMAGE_EXTENT_ZERO ? FATE_ZERO : FATE_DATA;
}

/* Clusters of which parts would have different fates become data. */
static int find_fates(const struct converter *c, struct chunk *chunk,
		      struct image_error *err)
{
	uint32_t cluster_bytes = writer_cluster_bytes(c->writer);
	uint64_t done, first, last;
	struct image_extent extent;
	enum fate fate;
	int ret;

	memset(chunk->fates, FATE_OPEN, sizeof(chunk->fates));
	for (done = 0; done < chunk->length; done += extent.length) {
		ret = image_map(c->convert->image, chunk->offset + done,
				chunk->length - done, &extent, err);
		if (ret)
			return ret;
		fate = extent_fate(c, &extent);
		first = done / cluster_bytes;
		last = (done + extent.length - 1) / cluster_bytes;
		for (; first <= last; first++)
			chunk->fates[first] =
				chunk->fates[first] == FATE_OPEN ||
				chunk->fates[first] == fate ? fate : FATE_DATA;
	}
	return 0;
}

static int convert_run_of(const struct converter *c, const struct chunk *chunk,
			  enum fate fate, uint64_t offset, uint64_t length,
			  struct image_error *err)
{
	if (fate == FATE_ZERO)
		return writer_zero(c->writer, offset, length, err);
	if (fate != FATE_DATA)
		return 0;
	return image_read(c->convert->image, offset, chunk->buffer, length,
			  err) ?:
	       writer_write(c->writer, offset, chunk->buffer, length, err);
}

static int convert_chunk(const struct converter *c, struct chunk *chunk,
			 struct image_error *err)
{
	uint32_t cluster_bytes = writer_cluster_bytes(c->writer);
	uint64_t nr = (chunk->length + cluster_bytes - 1) / cluster_bytes;
	uint64_t first, last, start, end;
	int ret;

	ret = find_fates(c, chunk, err);
	for (first = 0; !ret && first < nr; first = last) {
		for (last = first + 1; last < nr; last++)
			if (chunk->fates[last] != chunk->fates[first])
				break;
		start = first * cluster_bytes;
		end = last == nr ? chunk->length : last * cluster_bytes;
		ret = convert_run_of(c, chunk, chunk->fates[first],
				     chunk->offset + start, end - start, err);
		if (!ret)
			atomic_fetch_add(&c->convert->done_bytes, end - start);
	}
	return ret;
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

/* Take the next chunk; false: there is no more to do. */
static bool next_chunk(struct converter *c, struct chunk *chunk)
{
	if (atomic_load(&c->failed) || atomic_load(&c->convert->cancelled))
		return false;
	chunk->offset = atomic_fetch_add(&c->next_bytes, CHUNK_BYTES);
	if (chunk->offset >= c->size_bytes)
		return false;
	chunk->length = c->size_bytes - chunk->offset < CHUNK_BYTES ?
			c->size_bytes - chunk->offset : CHUNK_BYTES;
	return true;
}

static void *work(void *context)
{
	struct converter *c = context;
	struct chunk *chunk = malloc(sizeof(*chunk));
	char *buffer = malloc(CHUNK_BYTES);
	struct image_error err;
	int ret = 0;

	if (!chunk || !buffer) {
		ret = image_fail_memory(&err, c->convert->target_path);
	} else {
		chunk->buffer = buffer;
		while (!ret && next_chunk(c, chunk))
			ret = convert_chunk(c, chunk, &err);
	}
	if (ret)
		report(c, ret, &err);
	free(buffer);
	free(chunk);
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

static bool is_source(const void *image, int fd)
{
	return image_uses_file(image, fd);
}

/* Before it is opened for writing, since that could empty it. */
int convert_check_target(const struct convert *convert, struct image_error *err)
{
	int fd = open(convert->target_path, O_PATH | O_CLOEXEC);
	bool used;

	if (fd < 0)
		return 0;
	used = is_source(convert->image, fd);
	close(fd);
	if (!used)
		return 0;
	return image_fail(err, -EINVAL,
			  "%s: is part of the image that is to be converted",
			  convert->target_path);
}

static int convert_to(struct convert *convert,
		      const struct writer_options *options,
		      struct image_error *err)
{
	struct converter c = {
		.convert = convert,
		.size_bytes = options->size_bytes,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.err = err,
	};
	int ret;

	ret = writer_create(convert->target_path, options, &c.writer, err);
	if (ret)
		return ret;
	run_threads(&c);
	ret = c.result;
	if (!ret && atomic_load(&convert->cancelled))
		ret = image_fail(err, -ECANCELED, "%s: interrupted",
				 convert->target_path);
	if (!ret && convert->describe)
		ret = convert->describe(convert, c.writer, err);
	if (!ret)
		return writer_finish(c.writer, err);
	writer_abort(c.writer);
	return ret;
}

/* The folder in which @path lies, canonical; the caller frees it. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];

	if (!slash)
		return realpath(".", NULL);
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path) + 1, path);
	return realpath(folder, NULL);
}

static bool is_device(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISBLK(st.st_mode);
}

/*
 * The image's backing file as the target has to name it. A relative name works in the
 * same folder only.
 */
static int backing_name(const struct convert *convert,
			const struct image_layer_info *info, char **name,
			struct image_error *err)
{
	char *path = NULL, *folder = NULL, *ours = NULL, *theirs = NULL;
	const char *format, *leaf;
	int ret;

	ret = path_of_backing(info->backing_file, info->path, &path, &format,
			      err);
	if (ret)
		return ret;
	leaf = strrchr(path, '/');
	leaf = leaf ? leaf + 1 : path;
	ours = folder_of(convert->target_path);
	theirs = folder_of(info->path);
	folder = folder_of(path);
	if (path[0] == '/' && convert->stable_name && is_device(path))
		*name = convert->stable_name(path);
	else if (path[0] == '/')
		*name = strdup(path);
	else if (ours && theirs && !strcmp(ours, theirs) &&
		 path_is_plain_name(info->backing_file))
		*name = strdup(info->backing_file);
	else if (!folder || asprintf(name, "%s/%s", folder, leaf) < 0)
		*name = NULL;
	ret = *name ? 0 :
	      image_fail(err, -ENOENT, "%s: cannot find the folder of its backing file '%s'",
			 info->path, info->backing_file);
	free(path);
	free(folder);
	free(ours);
	free(theirs);
	return ret;
}

static int find_backing(const struct convert *convert, char **name,
			const char **format, struct image_error *err)
{
	const struct image_layer_info *info;
	int ret;

	ret = image_describe(convert->image, 0, &info, err);
	if (ret)
		return ret;
	if (image_layers(convert->image) < 2)
		return image_fail(err, -EINVAL,
				  "%s: has no backing file that could be kept",
				  info->path);
	ret = backing_name(convert, info, name, err);
	if (ret)
		return ret;
	ret = image_describe(convert->image, 1, &info, err);
	*format = info->format;
	return ret;
}

static bool note_check(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct convert *convert = context;

	atomic_store(&convert->checked_bytes, done_bytes);
	atomic_store(&convert->tables_bytes, total_bytes);
	return atomic_load(&convert->cancelled);
}

int convert_run(struct convert *convert, struct image_error *err)
{
	struct writer_options options = convert->options;
	const struct preflight preflight = {
		.tick = note_check,
		.context = convert,
	};
	char *backing = NULL;
	int ret;

	options.size_bytes = image_size(convert->image);
	options.is_source = is_source;
	options.source = convert->image;
	ret = convert_check_target(convert, err);
	if (!ret && convert->keep_backing)
		ret = find_backing(convert, &backing, &options.backing_format,
				   err);
	options.backing_file = backing;
	if (!ret)
		ret = image_preflight(convert->image, &preflight, err);
	if (!ret)
		ret = convert_to(convert, &options, err);
	free(backing);
	return ret;
}
