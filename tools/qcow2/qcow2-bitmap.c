// SPDX-License-Identifier: GPL-2.0-only
/* Reading the directory of persistent bitmaps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/directory.h"
#include "error.h"
#include "qcow2-bitmap.h"

static int copy_entry(const struct qcow2_store_bitmap *entry,
		      struct qcow2_bitmap_directory *directory)
{
	struct qcow2_bitmap *bitmap = &directory->bitmaps[directory->nr];

	bitmap->table_offset = entry->table_offset;
	bitmap->table_entries = entry->table_entries;
	bitmap->flags = entry->flags;
	bitmap->granularity_bits = entry->granularity_bits;
	bitmap->name = strndup(entry->name, entry->name_bytes);
	if (!bitmap->name)
		return -ENOMEM;
	directory->nr++;
	return 0;
}

static int copy_entries(const struct qcow2_store_bitmap *entries,
			unsigned int nr,
			struct qcow2_bitmap_directory *directory)
{
	int ret = 0;

	directory->bitmaps = calloc(nr, sizeof(*directory->bitmaps));
	if (!directory->bitmaps)
		return -ENOMEM;
	while (!ret && directory->nr < nr)
		ret = copy_entry(&entries[directory->nr], directory);
	return ret;
}

/* Whether the tables lie within the file is left to a check. */
static int parse(const void *bytes, const char *path,
		 const struct qcow2_header_info *info,
		 struct qcow2_bitmap_directory *directory,
		 struct image_error *err)
{
	const struct qcow2_store_header header = {
		.device_bytes = INT64_MAX,
		.cluster_bits = info->cluster_bits,
		.size_bytes = info->size_bytes,
		.nr_bitmaps = info->nr_bitmaps,
		.directory_bytes = info->bitmap_directory_bytes,
	};
	struct qcow2_store_bitmap *entries;
	struct qcow2_store_error reason;
	int ret;

	entries = calloc(info->nr_bitmaps, sizeof(*entries));
	if (!entries)
		return image_fail_memory(err, path);
	ret = qcow2_check_directory(&header, bytes, true, entries, &reason);
	if (ret)
		image_error_set(err, "%s: %s", path, reason.message);
	else if (copy_entries(entries, info->nr_bitmaps, directory))
		ret = image_fail_memory(err, path);
	if (ret)
		qcow2_bitmaps_release(directory);
	free(entries);
	return ret;
}

int qcow2_bitmaps_read(const struct host_file *file,
		       const struct qcow2_header_info *info,
		       struct qcow2_bitmap_directory *directory,
		       struct image_error *err)
{
	uint64_t length = info->bitmap_directory_bytes;
	void *bytes;
	int ret;

	memset(directory, 0, sizeof(*directory));
	if (!info->has_bitmaps)
		return 0;
	if (info->bitmap_directory_offset + length > host_file_size(file))
		return image_fail(err, -EINVAL,
				  "%s: the bitmap directory reaches beyond the end of the file",
				  host_file_path(file));
	bytes = malloc(length + 1);
	if (!bytes)
		return image_fail_memory(err, host_file_path(file));
	ret = host_file_read(file, info->bitmap_directory_offset, bytes, length,
			     err);
	if (!ret)
		ret = parse(bytes, host_file_path(file), info, directory, err);
	free(bytes);
	return ret;
}

void qcow2_bitmaps_release(struct qcow2_bitmap_directory *directory)
{
	unsigned int i;

	for (i = 0; i < directory->nr; i++)
		free(directory->bitmaps[i].name);
	free(directory->bitmaps);
	memset(directory, 0, sizeof(*directory));
}
