// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing a qcow2 image. Clusters of data get their place in the file in the
 * order in which they come, then they are written, then the map learns of them.
 * Compression and writing go on in all threads at once; the lock is held only to
 * give out space and for the map (and while one of its tables is written).
 *
 * A thread collects compressed clusters and writes many at once, back to back.
 * Clusters that do not get smaller are stored plain.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "compress.h"
#include "error.h"
#include "qcow2-writer.h"
#include "writer-internal.h"

#define PACK_BYTES (1U << 20)
#define PACK_CLUSTERS 1024

struct qcow2_writer {
	struct writer writer;
	enum writer_compression compression;
	struct compressor_pool *compressors;
	struct qcow2_header_writer header;
	pthread_mutex_t lock;	/* protects space, map, and the header's parts */
	struct qcow2_space space;
	struct qcow2_map map;
	uint64_t autoclear;
};

/* Compressed clusters that wait for being written, of one thread. */
struct pack {
	struct qcow2_writer *qcow2;
	struct compressor *compressor;
	unsigned int nr;
	size_t used_bytes;
	uint64_t clusters[PACK_CLUSTERS];	/* of the guest */
	uint32_t bytes[PACK_CLUSTERS];
	char data[];		/* PACK_BYTES and a cluster */
};

static struct qcow2_writer *to_qcow2(struct writer *writer)
{
	return (struct qcow2_writer *)writer;
}

static int out_of_memory(const struct qcow2_writer *qcow2,
			 struct image_error *err)
{
	return image_fail_memory(err, output_path(qcow2->writer.output));
}

static int put_plain(struct qcow2_writer *qcow2, uint64_t cluster,
		     const char *buffer, uint64_t count,
		     struct image_error *err)
{
	uint64_t offset;
	int ret;

	pthread_mutex_lock(&qcow2->lock);
	ret = space_clusters(&qcow2->space, count, &offset, err);
	pthread_mutex_unlock(&qcow2->lock);
	if (!ret)
		ret = output_write(qcow2->writer.output, offset, buffer,
				   count << qcow2->writer.cluster_bits, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&qcow2->lock);
	ret = map_set_data(&qcow2->map, cluster, count, offset, err);
	pthread_mutex_unlock(&qcow2->lock);
	return ret;
}

static int put_zeros(struct qcow2_writer *qcow2, uint64_t cluster,
		     uint64_t count, struct image_error *err)
{
	int ret;

	pthread_mutex_lock(&qcow2->lock);
	ret = map_set_zero(&qcow2->map, cluster, count, err);
	pthread_mutex_unlock(&qcow2->lock);
	return ret;
}

static int flush_pack(struct pack *pack, struct image_error *err)
{
	struct qcow2_writer *qcow2 = pack->qcow2;
	uint64_t offset;
	unsigned int i;
	int ret;

	if (!pack->nr)
		return 0;
	pthread_mutex_lock(&qcow2->lock);
	ret = space_compressed(&qcow2->space, pack->bytes, pack->nr, &offset,
			       err);
	pthread_mutex_unlock(&qcow2->lock);
	if (!ret)
		ret = output_write(qcow2->writer.output, offset, pack->data,
				   pack->used_bytes, err);
	if (ret)
		return ret;
	pthread_mutex_lock(&qcow2->lock);
	for (i = 0; !ret && i < pack->nr; i++) {
		ret = map_set_compressed(&qcow2->map, pack->clusters[i],
					 offset, pack->bytes[i], err);
		offset += pack->bytes[i];
	}
	pthread_mutex_unlock(&qcow2->lock);
	pack->nr = 0;
	pack->used_bytes = 0;
	return ret;
}

static int put_compressed(struct pack *pack, uint64_t cluster,
			  const char *buffer, struct image_error *err)
{
	size_t bytes;

	bytes = compressor_run(pack->compressor, buffer,
			       pack->data + pack->used_bytes,
			       pack->qcow2->writer.cluster_bytes - 1);
	if (!bytes)
		return put_plain(pack->qcow2, cluster, buffer, 1, err);
	pack->clusters[pack->nr] = cluster;
	pack->bytes[pack->nr++] = bytes;
	pack->used_bytes += bytes;
	if (pack->nr == PACK_CLUSTERS || pack->used_bytes >= PACK_BYTES)
		return flush_pack(pack, err);
	return 0;
}

/* @count whole clusters of the guest; @pack is NULL without compression. */
static int put_clusters(struct qcow2_writer *qcow2, struct pack *pack,
			uint64_t cluster, const char *buffer, uint64_t count,
			struct image_error *err)
{
	size_t bytes = qcow2->writer.cluster_bytes;
	uint64_t run;
	bool zero;
	int ret = 0;

	for (; !ret && count; count -= run) {
		zero = is_zero(buffer, bytes);
		for (run = 1; run < count; run++)
			if (is_zero(buffer + run * bytes, bytes) != zero ||
			    (pack && !zero))
				break;
		if (zero)
			ret = put_zeros(qcow2, cluster, run, err);
		else if (pack)
			ret = put_compressed(pack, cluster, buffer, err);
		else
			ret = put_plain(qcow2, cluster, buffer, run, err);
		buffer += run * bytes;
		cluster += run;
	}
	return ret;
}

/* The last cluster of a disk that ends within it, filled up with zeros. */
static int put_tail(struct qcow2_writer *qcow2, struct pack *pack,
		    uint64_t cluster, const char *buffer, size_t length,
		    struct image_error *err)
{
	char *whole = calloc(1, qcow2->writer.cluster_bytes);
	int ret;

	if (!whole)
		return out_of_memory(qcow2, err);
	memcpy(whole, buffer, length);
	ret = put_clusters(qcow2, pack, cluster, whole, 1, err);
	free(whole);
	return ret;
}

static int put_all(struct qcow2_writer *qcow2, struct pack *pack,
		   uint64_t offset, const char *buffer, size_t length,
		   struct image_error *err)
{
	uint64_t cluster = offset >> qcow2->writer.cluster_bits;
	uint64_t count = length >> qcow2->writer.cluster_bits;
	size_t tail = length & (qcow2->writer.cluster_bytes - 1);
	int ret;

	ret = put_clusters(qcow2, pack, cluster, buffer, count, err);
	if (!ret && tail)
		ret = put_tail(qcow2, pack, cluster + count,
			       buffer + length - tail, tail, err);
	return ret ?: pack ? flush_pack(pack, err) : 0;
}

static int qcow2_write(struct writer *writer, uint64_t offset,
		       const char *buffer, size_t length,
		       struct image_error *err)
{
	struct qcow2_writer *qcow2 = to_qcow2(writer);
	struct pack *pack;
	int ret;

	if (qcow2->compression == WRITER_PLAIN)
		return put_all(qcow2, NULL, offset, buffer, length, err);
	pack = malloc(sizeof(*pack) + PACK_BYTES + writer->cluster_bytes);
	if (!pack)
		return out_of_memory(qcow2, err);
	pack->qcow2 = qcow2;
	pack->nr = 0;
	pack->used_bytes = 0;
	pack->compressor = compressor_get(qcow2->compressors);
	if (pack->compressor) {
		ret = put_all(qcow2, pack, offset, buffer, length, err);
		compressor_put(qcow2->compressors, pack->compressor);
	} else {
		ret = out_of_memory(qcow2, err);
	}
	free(pack);
	return ret;
}

static int qcow2_zero(struct writer *writer, uint64_t offset, uint64_t length,
		      struct image_error *err)
{
	unsigned int bits = writer->cluster_bits;

	return put_zeros(to_qcow2(writer), offset >> bits,
			 (length + writer->cluster_bytes - 1) >> bits, err);
}

static int put_header(struct qcow2_writer *qcow2, struct image_error *err)
{
	struct qcow2_fields fields = {
		.cluster_bits = qcow2->writer.cluster_bits,
		.size_bytes = qcow2->writer.size_bytes,
		.l1_entries = qcow2->map.nr_l1,
		.l1_offset = qcow2->map.l1_offset,
		.refcount_table_offset = qcow2->space.table_offset,
		.refcount_table_clusters = qcow2->space.table_clusters,
		.refcount_order = WRITER_REFCOUNT_ORDER,
		.autoclear = qcow2->autoclear,
	};

	if (qcow2->compression == WRITER_ZSTD) {
		fields.incompatible = QCOW2_INCOMPAT_COMPRESSION;
		fields.compression = QCOW2_COMPRESSION_ZSTD;
	}
	return header_write(&qcow2->header, qcow2->writer.output, &fields, err);
}

/* A crash before the last step leaves a first cluster of zeros: no image. */
static int qcow2_finish(struct writer *writer, struct image_error *err)
{
	struct qcow2_writer *qcow2 = to_qcow2(writer);
	struct output *output = writer->output;

	return map_finish(&qcow2->map, err) ?:
	       space_finish(&qcow2->space, err) ?:
	       output_resize(output, qcow2->space.next_cluster <<
				     writer->cluster_bits, err) ?:
	       output_sync(output, err) ?:
	       put_header(qcow2, err) ?:
	       output_sync(output, err);
}

static int qcow2_set_extension(struct writer *writer, uint32_t type,
			       const void *data, size_t length,
			       struct image_error *err)
{
	struct qcow2_writer *qcow2 = to_qcow2(writer);
	int ret;

	pthread_mutex_lock(&qcow2->lock);
	ret = header_set_extension(&qcow2->header,
				   output_path(writer->output), type, data,
				   length, err);
	pthread_mutex_unlock(&qcow2->lock);
	return ret;
}

static int qcow2_set_autoclear(struct writer *writer, unsigned int bit,
			       const char *name, struct image_error *err)
{
	struct qcow2_feature_name feature = {
		.type = QCOW2_FEATURE_AUTOCLEAR,
		.bit = bit,
	};

	snprintf(feature.name, sizeof(feature.name), "%s", name);
	to_qcow2(writer)->autoclear |= 1ULL << bit;
	return qcow2_set_extension(writer, QCOW2_EXT_FEATURE_NAMES, &feature,
				   sizeof(feature), err);
}

static void qcow2_destroy(struct writer *writer)
{
	struct qcow2_writer *qcow2 = to_qcow2(writer);

	map_release(&qcow2->map);
	space_release(&qcow2->space);
	header_writer_release(&qcow2->header);
	compressor_pool_destroy(qcow2->compressors);
	pthread_mutex_destroy(&qcow2->lock);
	free(qcow2);
}

static const struct writer_ops qcow2_ops = {
	.write = qcow2_write,
	.zero = qcow2_zero,
	.finish = qcow2_finish,
	.set_extension = qcow2_set_extension,
	.set_autoclear = qcow2_set_autoclear,
	.destroy = qcow2_destroy,
};

/* Before anything is written, what the device held must not be an image any more. */
static int wipe_header(struct output *output, uint32_t cluster_bytes,
		       struct image_error *err)
{
	if (!output_is_device(output))
		return 0;
	if (output_device_bytes(output) < cluster_bytes)
		return image_fail(err, -ENOSPC, "%s: too small",
				  output_path(output));
	return output_zero(output, 0, cluster_bytes, err) ?:
	       output_sync(output, err);
}

int qcow2_writer_create(const struct writer_options *options,
			struct output *output, struct writer **out,
			struct image_error *err)
{
	struct qcow2_writer *qcow2 = calloc(1, sizeof(*qcow2));
	struct writer *writer;
	int ret;

	if (!qcow2)
		return image_fail_memory(err, output_path(output));
	writer = &qcow2->writer;
	writer->ops = &qcow2_ops;
	writer->output = output;
	writer->size_bytes = options->size_bytes;
	writer->cluster_bytes = options->cluster_bytes ?:
				WRITER_DEFAULT_CLUSTER_BYTES;
	writer->cluster_bits = __builtin_ctz(writer->cluster_bytes);
	qcow2->compression = options->compression;
	pthread_mutex_init(&qcow2->lock, NULL);
	space_init(&qcow2->space, output, writer->cluster_bits);
	ret = header_writer_init(&qcow2->header, output_path(output),
				 writer->cluster_bits, options->backing_file,
				 options->backing_format, err) ?:
	      map_init(&qcow2->map, &qcow2->space, writer->size_bytes,
		       options->backing_file, err);
	if (!ret && options->compression != WRITER_PLAIN) {
		qcow2->compressors =
			compressor_pool_create(options->compression,
					       options->level,
					       writer->cluster_bytes);
		if (!qcow2->compressors)
			ret = out_of_memory(qcow2, err);
	}
	if (!ret)
		ret = wipe_header(output, writer->cluster_bytes, err);
	if (ret)
		qcow2_destroy(writer);
	else
		*out = writer;
	return ret;
}
