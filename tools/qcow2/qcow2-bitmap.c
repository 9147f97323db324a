// SPDX-License-Identifier: GPL-2.0-only
/* Reading and checking the directory of persistent bitmaps. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "qcow2-bitmap.h"

static int fail(const char *path, unsigned int index, const char *reason,
		struct image_error *err)
{
	return image_fail(err, -EINVAL, "%s: entry %u of the bitmap directory: %s",
			  path, index, reason);
}

/* Entries in the table of a bitmap of the whole image. */
static uint64_t table_entries_needed(const struct qcow2_header_info *info,
				     unsigned int granularity_bits)
{
	unsigned int shift = granularity_bits + 3 + info->cluster_bits;
	uint64_t size = info->size_bytes;

	return (size >> shift) + !!(size & ((1ULL << shift) - 1));
}

static int check_entry(const struct qcow2_bitmap_entry *entry,
		       const char *path, unsigned int index,
		       const struct qcow2_header_info *info,
		       struct image_error *err)
{
	uint64_t entries = be32toh(entry->bitmap_table_size);

	if (be32toh(entry->flags) & QCOW2_BITMAP_RESERVED_FLAGS)
		return fail(path, index, "reserved flags are set", err);
	if (entry->type != QCOW2_BITMAP_TYPE_DIRTY)
		return fail(path, index, "unknown type", err);
	if (entry->granularity_bits < QCOW2_MIN_BITMAP_GRANULARITY_BITS ||
	    entry->granularity_bits > QCOW2_MAX_BITMAP_GRANULARITY_BITS)
		return fail(path, index, "granularity out of bounds", err);
	if (!entry->name_size ||
	    be16toh(entry->name_size) > QCOW2_MAX_BITMAP_NAME_BYTES)
		return fail(path, index, "name too short or too long", err);
	/* The size of one in use need not have been kept up to date. */
	if (!(be32toh(entry->flags) & QCOW2_BITMAP_IN_USE) &&
	    entries != table_entries_needed(info, entry->granularity_bits))
		return fail(path, index,
			    "its table does not fit the image's size", err);
	return qcow2_check_table(info, path, "bitmap table",
				 be64toh(entry->bitmap_table_offset), entries,
				 sizeof(__be64),
				 QCOW2_MAX_BITMAP_TABLE_ENTRIES *
				 sizeof(__be64), err);
}

static int parse_entry(const unsigned char **at, size_t *left,
		       const char *path, const struct qcow2_header_info *info,
		       struct qcow2_bitmap_directory *directory,
		       struct image_error *err)
{
	struct qcow2_bitmap *bitmap = &directory->bitmaps[directory->nr];
	struct qcow2_bitmap_entry entry;
	size_t extra, name, length;
	int ret;

	if (*left < sizeof(entry))
		return fail(path, directory->nr, "cut off", err);
	memcpy(&entry, *at, sizeof(entry));
	extra = be32toh(entry.extra_data_size);
	name = be16toh(entry.name_size);
	length = (sizeof(entry) + extra + name + 7) & ~(size_t)7;
	if (length > *left)
		return fail(path, directory->nr, "cut off", err);
	ret = check_entry(&entry, path, directory->nr, info, err);
	if (ret)
		return ret;
	bitmap->table_offset = be64toh(entry.bitmap_table_offset);
	bitmap->table_entries = be32toh(entry.bitmap_table_size);
	bitmap->flags = be32toh(entry.flags);
	bitmap->granularity_bits = entry.granularity_bits;
	bitmap->name = strndup((const char *)*at + sizeof(entry) + extra, name);
	if (!bitmap->name)
		return image_fail_memory(err, path);
	directory->nr++;
	*at += length;
	*left -= length;
	return 0;
}

int qcow2_bitmaps_parse(const void *bytes, size_t length, const char *path,
			const struct qcow2_header_info *info,
			struct qcow2_bitmap_directory *directory,
			struct image_error *err)
{
	const unsigned char *at = bytes;
	int ret = 0;

	memset(directory, 0, sizeof(*directory));
	directory->bitmaps = calloc(info->nr_bitmaps,
				    sizeof(*directory->bitmaps));
	if (!directory->bitmaps)
		return image_fail_memory(err, path);
	while (!ret && directory->nr < info->nr_bitmaps)
		ret = parse_entry(&at, &length, path, info, directory, err);
	if (!ret && length)
		ret = fail(path, directory->nr, "more bytes than bitmaps", err);
	if (ret)
		qcow2_bitmaps_release(directory);
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
		ret = qcow2_bitmaps_parse(bytes, length, host_file_path(file),
					  info, directory, err);
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
