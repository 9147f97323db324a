// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an image says about itself, for people: made from the parsed header and
 * tables when it is first asked for, and kept with the image.
 */
#include <errno.h>
#include <stdlib.h>

#include "error.h"
#include "image-internal.h"
#include "qcow2-bitmap.h"

struct image_description {
	struct image_layer_info info;
	struct qcow2_bitmap_directory directory;
	struct image_snapshot *snapshots;
	struct image_bitmap *bitmaps;
	struct image_error bitmaps_problem;
};

void image_description_free(struct image_description *description)
{
	if (!description)
		return;
	qcow2_bitmaps_release(&description->directory);
	free(description->snapshots);
	free(description->bitmaps);
	free(description);
}

unsigned int image_layers(const struct image *image)
{
	return image->nr_layers;
}

const char *image_layer_path(const struct image *image, unsigned int depth)
{
	return host_file_path(image->layers[depth]->file);
}

const char *image_data_path(const struct image *image, unsigned int depth)
{
	const struct host_file *file = layer_data_file(image->layers[depth]);

	return host_file_path(file ?: image->layers[depth]->file);
}

static int describe_snapshots(struct image_description *d,
			      const struct qcow2_snapshot_table *table)
{
	unsigned int i;

	d->snapshots = calloc(table->nr + 1, sizeof(*d->snapshots));
	if (!d->snapshots)
		return -ENOMEM;
	for (i = 0; i < table->nr; i++) {
		const struct qcow2_snapshot *snapshot = &table->snapshots[i];

		d->snapshots[i] = (struct image_snapshot) {
			.id = snapshot->id,
			.name = snapshot->name,
			.size = snapshot->size_bytes,
			.vm_state_size = snapshot->vm_state_bytes,
			.date_sec = snapshot->date_sec,
			.date_nsec = snapshot->date_nsec,
			.vm_clock_nsec = snapshot->vm_clock_nsec,
		};
	}
	d->info.nr_snapshots = table->nr;
	d->info.snapshots = d->snapshots;
	return 0;
}

static int describe_bitmaps(struct image_description *d)
{
	unsigned int i;

	d->bitmaps = calloc(d->directory.nr + 1, sizeof(*d->bitmaps));
	if (!d->bitmaps)
		return -ENOMEM;
	for (i = 0; i < d->directory.nr; i++) {
		const struct qcow2_bitmap *bitmap = &d->directory.bitmaps[i];

		d->bitmaps[i] = (struct image_bitmap) {
			.name = bitmap->name,
			.granularity = 1ULL << bitmap->granularity_bits,
			.in_use = bitmap->flags & QCOW2_BITMAP_IN_USE,
			.is_auto = bitmap->flags & QCOW2_BITMAP_AUTO,
		};
	}
	d->info.nr_bitmaps = d->directory.nr;
	d->info.bitmaps = d->bitmaps;
	return 0;
}

static void describe_header(struct image_layer_info *info,
			    const struct qcow2_header_info *header)
{
	info->cluster_size = 1U << header->cluster_bits;
	info->version = header->version;
	info->refcount_bits = 1U << header->refcount_order;
	info->compression = header->compression == QCOW2_COMPRESSION_ZSTD ?
			    "zstd" : "zlib";
	info->incompatible_features = header->incompatible;
	info->compatible_features = header->compatible;
	info->autoclear_features = header->autoclear;
	info->dirty = qcow2_has(header, QCOW2_INCOMPAT_DIRTY);
	info->corrupt = qcow2_has(header, QCOW2_INCOMPAT_CORRUPT);
	info->extended_l2 = qcow2_has(header, QCOW2_INCOMPAT_EXTENDED_L2);
	info->lazy_refcounts = header->compatible & QCOW2_COMPAT_LAZY_REFCOUNTS;
	info->data_file_raw = header->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW;
	info->data_file = header->data_file_name;
	info->backing_file = header->backing_name;
	info->backing_format = header->backing_format;
	info->backup_record = header->backup_record;
}

static int describe(struct image_description *d, const struct layer *layer,
		    struct image_error *err)
{
	const struct qcow2_header_info *header = layer_qcow2_header(layer);
	struct image_layer_info *info = &d->info;
	int ret;

	info->path = host_file_path(layer->file);
	info->format = layer->ops->format;
	info->size = layer->size_bytes;
	info->file_size = host_file_size(layer->file);
	info->disk_size = host_file_allocated(layer->file);
	if (!header)
		return 0;
	describe_header(info, header);
	info->bitmaps_problem = header->bitmaps_problem;
	ret = qcow2_bitmaps_read(layer->file, header, &d->directory,
				 &d->bitmaps_problem);
	if (ret == -ENOMEM)
		return image_fail_memory(err, info->path);
	if (ret)
		info->bitmaps_problem = d->bitmaps_problem.message;
	if (describe_snapshots(d, layer_qcow2_snapshots(layer)) ||
	    describe_bitmaps(d))
		return image_fail_memory(err, info->path);
	return 0;
}

int image_describe(struct image *image, unsigned int depth,
		   const struct image_layer_info **info,
		   struct image_error *err)
{
	struct image_description *d = image->descriptions[depth];
	int ret;

	if (!d) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return image_fail_memory(err, image_data_path(image, depth));
		ret = describe(d, image->layers[depth], err);
		if (ret) {
			image_description_free(d);
			return ret;
		}
		image->descriptions[depth] = d;
	}
	*info = &d->info;
	return 0;
}
