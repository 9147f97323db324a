// SPDX-License-Identifier: GPL-2.0-only
/*
 * The front of the image writer: options and ranges are checked here, failures
 * are kept, and the output is opened and closed. What a format looks like is the
 * business of qcow2-writer.c and raw-writer.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/extensions.h"
#include "compress.h"
#include "error.h"
#include "base/size.h"
#include "writer-internal.h"

#define SECTOR_BYTES 512

int writer_parse_format(const char *text, struct writer_options *options)
{
	if (!strcmp(text, "raw"))
		options->format = WRITER_RAW;
	else if (!strcmp(text, "qcow2"))
		options->format = WRITER_QCOW2;
	else
		return -EINVAL;
	return 0;
}

int writer_parse_compression(const char *text, struct writer_options *options)
{
	static const char *const names[] = {
		[WRITER_PLAIN] = "none",
		[WRITER_ZLIB] = "zlib",
		[WRITER_ZSTD] = "zstd",
	};
	size_t length = strcspn(text, ":");
	uint64_t level = 0;
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == length &&
		    !strncmp(text, names[i], length))
			break;
	if (i == sizeof(names) / sizeof(names[0]) ||
	    (text[length] &&
	     (i == WRITER_PLAIN ||
	      number_parse(text + length + 1, compression_max_level(i), &level) ||
	      !level)))
		return -EINVAL;
	options->compression = i;
	options->level = level;
	return 0;
}

static int check_qcow2(const char *path, const struct writer_options *options,
		       struct image_error *err)
{
	int max_level = compression_max_level(options->compression);

	if (options->size_bytes % SECTOR_BYTES)
		return image_fail(err, -EINVAL,
				  "%s: a size of %" PRIu64 " bytes is no multiple of 512",
				  path, options->size_bytes);
	if (options->level &&
	    (options->compression == WRITER_PLAIN || options->level < 0 ||
	     options->level > max_level))
		return image_fail(err, -EINVAL,
				  "%s: there is no such level of compression: %d",
				  path, options->level);
	if (!options->backing_file != !options->backing_format)
		return image_fail(err, -EINVAL,
				  "%s: a backing file needs its format, and the other way round",
				  path);
	return 0;
}

static int check_options(const char *path, const struct writer_options *options,
			 struct image_error *err)
{
	uint32_t cluster = options->cluster_bytes;

	if (cluster && (cluster & (cluster - 1) ||
			cluster < 1U << QCOW2_MIN_CLUSTER_BITS ||
			cluster > 1U << QCOW2_MAX_CLUSTER_BITS))
		return image_fail(err, -EINVAL,
				  "%s: the cluster size must be a power of two from 512 to 2 MiB, not %u",
				  path, cluster);
	if (options->format == WRITER_QCOW2)
		return check_qcow2(path, options, err);
	if (options->compression != WRITER_PLAIN || options->level ||
	    options->backing_file || options->backing_format)
		return image_fail(err, -EINVAL,
				  "%s: a raw image has no compression and no backing file",
				  path);
	return 0;
}

int writer_create(const char *path, const struct writer_options *options,
		  struct writer **out, struct image_error *err)
{
	const struct output_options output_options = {
		.replace = options->replace,
		.is_source = options->is_source,
		.source = options->source,
	};
	struct output *output;
	struct writer *writer;
	int ret;

	ret = check_options(path, options, err);
	if (ret)
		return ret;
	ret = output_open(path, &output_options, &output, err);
	if (ret)
		return ret;
	ret = options->format == WRITER_RAW ?
	      raw_writer_create(options, output, &writer, err) :
	      qcow2_writer_create(options, output, &writer, err);
	if (ret) {
		output_discard(output);
		return ret;
	}
	pthread_mutex_init(&writer->failure_lock, NULL);
	*out = writer;
	return 0;
}

uint32_t writer_cluster_bytes(const struct writer *writer)
{
	return writer->cluster_bytes;
}

/* Keep the first failure: all that comes after it is refused for its reason. */
static int keep_failure(struct writer *writer, int ret, struct image_error *err)
{
	pthread_mutex_lock(&writer->failure_lock);
	if (!atomic_load(&writer->failure)) {
		writer->failure_text = *err;
		atomic_store(&writer->failure, ret);
	}
	pthread_mutex_unlock(&writer->failure_lock);
	return ret;
}

static int earlier_failure(struct writer *writer, struct image_error *err)
{
	int ret = atomic_load(&writer->failure);

	if (!ret)
		return 0;
	pthread_mutex_lock(&writer->failure_lock);
	if (err)
		*err = writer->failure_text;
	pthread_mutex_unlock(&writer->failure_lock);
	return ret;
}

static int check_range(const struct writer *writer, uint64_t offset,
		       uint64_t length, struct image_error *err)
{
	uint64_t end = offset + length;

	if (offset % writer->cluster_bytes || end < offset ||
	    end > writer->size_bytes ||
	    (length % writer->cluster_bytes && end != writer->size_bytes))
		return image_fail(err, -EINVAL,
				  "%s: %" PRIu64 " bytes at %" PRIu64 " are no whole clusters of the disk",
				  output_path(writer->output), length, offset);
	return 0;
}

int writer_write(struct writer *writer, uint64_t offset, const void *buffer,
		 size_t length, struct image_error *err)
{
	struct image_error reason;
	int ret = earlier_failure(writer, err);

	if (ret || !length)
		return ret;
	ret = check_range(writer, offset, length, &reason);
	if (!ret)
		ret = writer->ops->write(writer, offset, buffer, length,
					 &reason);
	if (ret && err)
		*err = reason;
	return ret ? keep_failure(writer, ret, &reason) : 0;
}

int writer_zero(struct writer *writer, uint64_t offset, uint64_t length,
		struct image_error *err)
{
	struct image_error reason;
	int ret = earlier_failure(writer, err);

	if (ret || !length)
		return ret;
	ret = check_range(writer, offset, length, &reason);
	if (!ret)
		ret = writer->ops->zero(writer, offset, length, &reason);
	if (ret && err)
		*err = reason;
	return ret ? keep_failure(writer, ret, &reason) : 0;
}

int writer_set_extension(struct writer *writer, uint32_t type, const void *data,
			 size_t length, struct image_error *err)
{
	if (qcow2_extension_is_standard(type))
		return image_fail(err, -EINVAL,
				  "%s: header extension %" PRIx32 " is one of the format's own",
				  output_path(writer->output), type);
	if (!writer->ops->set_extension)
		return image_fail(err, -EINVAL,
				  "%s: a raw image has no header extensions",
				  output_path(writer->output));
	return writer->ops->set_extension(writer, type, data, length, err);
}

void writer_stamp(struct writer *writer, struct file_stamp *stamp)
{
	output_stamp(writer->output, stamp);
}

int writer_set_backup_record(struct writer *writer, const char *text,
			     struct image_error *err)
{
	int ret = writer_set_extension(writer, QCOW2_EXT_DMLIVE_BACKUP, text,
				       strlen(text), err);

	return ret ?: writer->ops->set_autoclear(writer,
						 QCOW2_AUTOCLEAR_DMLIVE_BIT,
						 "unchanged backup of dmlive",
						 err);
}

static void destroy(struct writer *writer)
{
	pthread_mutex_destroy(&writer->failure_lock);
	writer->ops->destroy(writer);
}

int writer_finish(struct writer *writer, struct image_error *err)
{
	struct output *output = writer->output;
	int ret;

	ret = earlier_failure(writer, err);
	if (!ret)
		ret = writer->ops->finish(writer, err);
	destroy(writer);
	if (!ret)
		return output_publish(output, err);
	output_discard(output);
	return ret;
}

void writer_abort(struct writer *writer)
{
	struct output *output;

	if (!writer)
		return;
	output = writer->output;
	destroy(writer);
	output_discard(output);
}
