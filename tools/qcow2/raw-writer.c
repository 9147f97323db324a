// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing a raw image. A file is a hole from the start, so its zeros need not be
 * written. A device is full of something else: what is never written on it is zeroed
 * at the end.
 *
 * The first cluster is kept in memory until the end: without it there is no
 * partition table, no file system and no boot sector.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "error.h"
#include "writer-internal.h"

#define ZERO_BLOCK_BYTES 4096	/* zeros are looked for in these */

struct raw_writer {
	struct writer writer;
	char *head;		/* the first cluster; zeros if not written */
	size_t head_bytes;
	uint64_t nr_clusters;
	pthread_mutex_t lock;	/* protects settled */
	unsigned char *settled;	/* a bit for each cluster that is final */
};

static struct raw_writer *to_raw(struct writer *writer)
{
	return (struct raw_writer *)writer;
}

static bool is_settled(const struct raw_writer *raw, uint64_t cluster)
{
	return raw->settled[cluster / 8] & 1 << cluster % 8;
}

/* Nothing is written twice. */
static int settle(struct raw_writer *raw, uint64_t offset, uint64_t length,
		  struct image_error *err)
{
	uint64_t cluster = offset >> raw->writer.cluster_bits;
	uint64_t last = (offset + length - 1) >> raw->writer.cluster_bits;
	bool twice = false;

	pthread_mutex_lock(&raw->lock);
	for (; cluster <= last; cluster++) {
		twice |= is_settled(raw, cluster);
		raw->settled[cluster / 8] |= 1 << cluster % 8;
	}
	pthread_mutex_unlock(&raw->lock);
	if (twice)
		return image_fail(err, -EINVAL,
				  "%s: a cluster of the %" PRIu64 " bytes at %" PRIu64 " is written twice",
				  output_path(raw->writer.output), length,
				  offset);
	return 0;
}

/* Write data and leave out zeros, in runs as long as there are. */
static int put(struct output *output, uint64_t offset, const char *buffer,
	       size_t length, struct image_error *err)
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
		ret = zero ? output_zero(output, offset + start, end - start,
					 err) :
			     output_write(output, offset + start,
					  buffer + start, end - start, err);
		if (ret)
			return ret;
		start = end;
	}
	return 0;
}

static int raw_write(struct writer *writer, uint64_t offset,
		     const char *buffer, size_t length, struct image_error *err)
{
	struct raw_writer *raw = to_raw(writer);
	int ret = settle(raw, offset, length, err);

	if (ret)
		return ret;
	if (!offset) {
		memcpy(raw->head, buffer, raw->head_bytes);
		offset += raw->head_bytes;
		buffer += raw->head_bytes;
		length -= raw->head_bytes;
	}
	return put(writer->output, offset, buffer, length, err);
}

static int raw_zero(struct writer *writer, uint64_t offset, uint64_t length,
		    struct image_error *err)
{
	return settle(to_raw(writer), offset, length, err) ?:
	       output_zero(writer->output, offset, length, err);
}

/* Zero what was never written on a device. */
static int zero_rest(struct raw_writer *raw, struct image_error *err)
{
	unsigned int bits = raw->writer.cluster_bits;
	uint64_t start, end, bytes;
	int ret = 0;

	for (start = 0; !ret && start < raw->nr_clusters; start = end) {
		end = start + 1;
		if (is_settled(raw, start))
			continue;
		while (end < raw->nr_clusters && !is_settled(raw, end))
			end++;
		bytes = end << bits < raw->writer.size_bytes ?
			end << bits : raw->writer.size_bytes;
		ret = output_zero(raw->writer.output, start << bits,
				  bytes - (start << bits), err);
	}
	return ret;
}

static int raw_finish(struct writer *writer, struct image_error *err)
{
	struct raw_writer *raw = to_raw(writer);
	struct output *output = writer->output;

	return (output_is_device(output) ? zero_rest(raw, err) : 0) ?:
	       output_sync(output, err) ?:
	       put(output, 0, raw->head, raw->head_bytes, err) ?:
	       output_sync(output, err);
}

static void raw_destroy(struct writer *writer)
{
	struct raw_writer *raw = to_raw(writer);

	pthread_mutex_destroy(&raw->lock);
	free(raw->settled);
	free(raw->head);
	free(raw);
}

static const struct writer_ops raw_ops = {
	.write = raw_write,
	.zero = raw_zero,
	.finish = raw_finish,
	.destroy = raw_destroy,
};

static int prepare(struct output *output, const struct raw_writer *raw,
		   struct image_error *err)
{
	uint64_t size = raw->writer.size_bytes;

	if (!output_is_device(output))
		return output_resize(output, size, err);
	if (output_device_bytes(output) < size)
		return image_fail(err, -ENOSPC,
				  "%s: too small: it has %" PRIu64 " bytes, the image %" PRIu64,
				  output_path(output),
				  output_device_bytes(output), size);
	return output_zero(output, 0, raw->head_bytes, err) ?:
	       output_sync(output, err);
}

int raw_writer_create(const struct writer_options *options,
		      struct output *output, struct writer **out,
		      struct image_error *err)
{
	struct raw_writer *raw = calloc(1, sizeof(*raw));
	struct writer *writer;
	int ret;

	if (!raw)
		return image_fail_memory(err, output_path(output));
	writer = &raw->writer;
	writer->ops = &raw_ops;
	writer->output = output;
	writer->size_bytes = options->size_bytes;
	writer->cluster_bytes = options->cluster_bytes ?:
				WRITER_DEFAULT_CLUSTER_BYTES;
	writer->cluster_bits = __builtin_ctz(writer->cluster_bytes);
	raw->head_bytes = writer->size_bytes < writer->cluster_bytes ?
			  writer->size_bytes : writer->cluster_bytes;
	raw->nr_clusters = (writer->size_bytes + writer->cluster_bytes - 1) /
			   writer->cluster_bytes;
	raw->head = calloc(1, writer->cluster_bytes);
	raw->settled = calloc(1, raw->nr_clusters / 8 + 1);
	pthread_mutex_init(&raw->lock, NULL);
	ret = raw->head && raw->settled ?
	      prepare(output, raw, err) :
	      image_fail_memory(err, output_path(output));
	if (ret)
		raw_destroy(writer);
	else
		*out = writer;
	return ret;
}
