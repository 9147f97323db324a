// SPDX-License-Identifier: GPL-2.0-only
/*
 * An image: its layers, top first, and reading and mapping through them. A range is
 * resolved layer by layer: what a layer leaves to its backing is looked up in the
 * next one, and beyond a layer's end, or below the last, there are zeros.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "image-internal.h"
#include "path.h"
#include "probe.h"

void layer_close(struct layer *layer)
{
	struct host_file *file;

	if (!layer)
		return;
	file = layer->file;
	layer->ops->destroy(layer);
	host_file_close(file);
}

static int refuse_loop(const struct image *image, const struct host_file *file,
		       struct image_error *err)
{
	unsigned int i;

	for (i = 0; i < image->nr_layers; i++)
		if (host_file_same(image->layers[i]->file, file))
			return image_fail(err, -ELOOP,
					  "%s: the backing chain has a loop: this file stands in it twice",
					  host_file_path(file));
	if (image->nr_layers == MAX_LAYERS)
		return image_fail(err, -ELOOP,
				  "%s: the backing chain is longer than %u images",
				  host_file_path(file), MAX_LAYERS);
	return 0;
}

static int open_format(struct host_file *file,
		       const struct image_options *options,
		       struct layer **layer, struct image_error *err)
{
	enum probe_format format;
	int ret;

	ret = image_format_find(file, options->format, &format, err);
	if (ret)
		return ret;
	if (format == FORMAT_QCOW2)
		return qcow2_layer_open(file, options, layer, err);
	if (options->snapshot)
		return image_fail(err, -EINVAL,
				  "%s: a raw image has no internal snapshots",
				  host_file_path(file));
	return raw_layer_open(file, layer, err);
}

static int add_layer(struct image *image, const char *path,
		     const struct image_options *options,
		     struct image_error *err)
{
	struct host_file *file;
	int ret;

	ret = host_file_open(path, &file, err);
	if (ret)
		return ret;
	ret = refuse_loop(image, file, err);
	if (!ret && !options->force && !options->metadata_only)
		ret = host_file_lock(file, err);
	if (!ret)
		ret = open_format(file, options,
				  &image->layers[image->nr_layers], err);
	if (ret) {
		host_file_close(file);
		return ret;
	}
	image->nr_layers++;
	return 0;
}

int image_check_named(const struct image_options *options, const char *owner,
		      const char *what, const char *path,
		      struct image_error *err)
{
	if (!options->may_name || options->may_name(owner, path))
		return 0;
	return image_fail(err, -EPERM,
			  "%s: its %s %s lies neither in its folder nor in its volume group; an image can have any file of this machine copied in that way: if this one is to be trusted, use --allow-paths",
			  owner, what, path);
}

static int add_backing(struct image *image, const struct image_options *options,
		       struct image_error *err)
{
	const struct layer *overlay = image->layers[image->nr_layers - 1];
	struct image_options backing_options = {
		.force = options->force,
		.cache_bytes = options->cache_bytes,
		.may_name = options->may_name,
	};
	const char *owner = host_file_path(overlay->file), *format;
	char *path;
	int ret;

	ret = path_of_backing(overlay->backing_name, owner, &path, &format,
			      err);
	if (ret)
		return ret;
	backing_options.format = overlay->backing_format ?: format;
	ret = image_check_named(options, owner, "backing file", path, err);
	if (!ret)
		ret = add_layer(image, path, &backing_options, err);
	free(path);
	return ret;
}

/* All that the image lies on. */
static int add_chain(struct image *image, const struct image_options *options,
		     struct image_error *err)
{
	struct layer *overlay;
	int ret = 0;

	while (!ret) {
		overlay = image->layers[image->nr_layers - 1];
		if (!overlay->backing_name)
			return 0;
		ret = add_backing(image, options, err);
	}
	ret = image_blame(err, ret, host_file_path(overlay->file),
			  "backing file");
	if (!options->partial || !err)
		return ret;
	image->missing = *err;
	return 0;
}

const char *image_missing(const struct image *image)
{
	return image->missing.message[0] ? image->missing.message : NULL;
}

int image_open(const char *path, const struct image_options *options,
	       struct image **out, struct image_error *err)
{
	static const struct image_options defaults;
	struct image *image = calloc(1, sizeof(*image));
	int ret;

	if (!image)
		return image_fail_memory(err, path);
	if (!options)
		options = &defaults;
	ret = add_layer(image, path, options, err);
	if (!ret && !options->metadata_only)
		ret = add_chain(image, options, err);
	if (ret) {
		image_close(image);
		return ret;
	}
	*out = image;
	return 0;
}

void image_close(struct image *image)
{
	if (!image)
		return;
	while (image->nr_layers) {
		image_description_free(image->descriptions[--image->nr_layers]);
		layer_close(image->layers[image->nr_layers]);
	}
	free(image);
}

uint64_t image_size(const struct image *image)
{
	return image->layers[0]->size_bytes;
}

uint32_t image_cluster_size(const struct image *image)
{
	return image->layers[0]->cluster_bytes;
}

const char *image_format(const struct image *image)
{
	return image->layers[0]->ops->format;
}

bool image_uses_file(const struct image *image, int fd)
{
	const struct host_file *data_file;
	unsigned int i;

	for (i = 0; i < image->nr_layers; i++) {
		data_file = layer_data_file(image->layers[i]);
		if (host_file_same_fd(image->layers[i]->file, fd) ||
		    (data_file && host_file_same_fd(data_file, fd)))
			return true;
	}
	return false;
}

/* A run, and which layer has it. */
struct resolved {
	struct layer_run run;
	struct layer *layer;	/* NULL: none has it, it reads as zeros */
	unsigned int depth;
};

static int resolve(struct image *image, uint64_t offset, uint64_t length,
		   struct resolved *found, struct image_error *err)
{
	unsigned int depth;
	int ret;

	for (depth = 0; depth < image->nr_layers; depth++) {
		struct layer *layer = image->layers[depth];

		/* Behind the end of a layer, what is below it stays hidden. */
		if (offset >= layer->size_bytes)
			break;
		if (length > layer->size_bytes - offset)
			length = layer->size_bytes - offset;
		ret = layer->ops->lookup(layer, offset, length, &found->run,
					 err);
		if (ret)
			return ret;
		if (found->run.kind != RUN_UNALLOCATED) {
			found->layer = layer;
			found->depth = depth;
			return 0;
		}
		length = found->run.length;
	}
	found->run.kind = RUN_ZERO;
	found->run.length = length;
	found->layer = NULL;
	found->depth = 0;
	return 0;
}

static int check_range(const struct image *image, uint64_t offset,
		       uint64_t length, struct image_error *err)
{
	uint64_t size = image_size(image);

	if (length && offset < size && length <= size - offset)
		return 0;
	return image_fail(err, -EINVAL,
			  "%s: range %llu+%llu does not lie within the image's %llu bytes",
			  host_file_path(image->layers[0]->file),
			  (unsigned long long)offset,
			  (unsigned long long)length, (unsigned long long)size);
}

/* Does @next, @distance further on, continue @first? */
static bool merges(const struct resolved *first, const struct resolved *next,
		   uint64_t distance)
{
	if (first->layer != next->layer || first->run.kind != next->run.kind)
		return false;
	return first->run.kind != RUN_DATA ||
	       next->run.file_offset == first->run.file_offset + distance;
}

int image_map(struct image *image, uint64_t offset, uint64_t length,
	      struct image_extent *extent, struct image_error *err)
{
	struct resolved first, next;
	uint64_t done;
	int ret;

	ret = check_range(image, offset, length, err);
	if (ret)
		return ret;
	ret = resolve(image, offset, length, &first, err);
	if (ret)
		return ret;
	/* What is wrong with a later piece is reported when it is asked for. */
	for (done = first.run.length; done < length; done += next.run.length)
		if (resolve(image, offset + done, length - done, &next, NULL) ||
		    !merges(&first, &next, done))
			break;
	memset(extent, 0, sizeof(*extent));
	extent->offset = offset;
	extent->length = done;
	extent->kind = first.run.kind == RUN_DATA ? IMAGE_EXTENT_DATA :
		       first.run.kind == RUN_COMPRESSED ?
		       IMAGE_EXTENT_COMPRESSED : IMAGE_EXTENT_ZERO;
	extent->allocated = first.layer;
	extent->depth = first.depth;
	extent->has_file_offset = first.run.kind == RUN_DATA;
	if (extent->has_file_offset)
		extent->file_offset = first.run.file_offset;
	return 0;
}

/* Plain data that is still to be read: neighbours in the file are joined. */
struct pending {
	const struct host_file *file;	/* NULL: nothing */
	uint64_t file_offset;
	char *buffer;
	size_t length;
};

static int read_pending(struct pending *p, struct image_error *err)
{
	const struct host_file *file = p->file;

	p->file = NULL;
	return file ? host_file_read(file, p->file_offset, p->buffer, p->length,
				     err) : 0;
}

static int add_pending(struct pending *p, const struct layer_run *run,
		       char *buffer, struct image_error *err)
{
	int ret;

	if (p->file == run->file && p->buffer + p->length == buffer &&
	    p->file_offset + p->length == run->file_offset) {
		p->length += run->length;
		return 0;
	}
	ret = read_pending(p, err);
	p->file = run->file;
	p->file_offset = run->file_offset;
	p->buffer = buffer;
	p->length = run->length;
	return ret;
}

int image_read(struct image *image, uint64_t offset, void *buffer,
	       size_t length, struct image_error *err)
{
	struct pending pending = { 0 };
	struct resolved found;
	char *at = buffer;
	int ret;

	if (!length)
		return 0;
	ret = check_range(image, offset, length, err);
	for (; !ret && length; length -= found.run.length) {
		ret = resolve(image, offset, length, &found, err);
		if (ret)
			break;
		if (found.run.kind == RUN_DATA)
			ret = add_pending(&pending, &found.run, at, err);
		else if (found.run.kind == RUN_COMPRESSED)
			ret = found.layer->ops->read_compressed(found.layer,
					found.run.descriptor, offset, at,
					found.run.length, err);
		else
			/* NOLINTNEXTLINE: a buffer does not go on to NULL */
			memset(at, 0, found.run.length);
		offset += found.run.length;
		at += found.run.length;
	}
	return ret ?: read_pending(&pending, err);
}
