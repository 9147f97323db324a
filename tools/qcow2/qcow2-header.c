// SPDX-License-Identifier: GPL-2.0-only
/*
 * The header of an image that is read: what it must be beyond what the codec checks,
 * and the texts in its extensions. Everything here is hostile until checked, in this
 * order: fields, features, tables, and then the extensions, whose meaning depends on
 * the features.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/extensions.h"
#include "error.h"
#include "qcow2-header.h"

/* No format has a longer name, and QEMU does not accept one. */
#define MAX_FORMAT_NAME_BYTES 15
#define MAX_DATA_FILE_NAME_BYTES 4095
#define MAX_BACKUP_RECORD_BYTES 16384

struct parser {
	const unsigned char *bytes;	/* of the first cluster */
	size_t length;
	struct qcow2_fields fields;
	const char *path;
	struct qcow2_header_info *info;
	struct image_error *err;
};

static int refused(const struct parser *p, int code,
		   const struct qcow2_store_error *reason)
{
	return image_fail(p->err, code, "%s: %s", p->path, reason->message);
}

int qcow2_check_table(const struct qcow2_header_info *info, const char *path,
		      const char *what, uint64_t offset, uint64_t entries,
		      size_t entry_bytes, uint64_t max_bytes,
		      struct image_error *err)
{
	if (entries > max_bytes / entry_bytes)
		return image_fail(err, -EFBIG,
				  "%s: %s too large: %llu entries, at most %llu are supported",
				  path, what, (unsigned long long)entries,
				  (unsigned long long)(max_bytes / entry_bytes));
	if (offset & ((1ULL << info->cluster_bits) - 1))
		return image_fail(err, -EINVAL,
				  "%s: %s is misaligned: its offset %#llx is no multiple of the cluster size",
				  path, what, (unsigned long long)offset);
	if (offset > INT64_MAX - entries * entry_bytes)
		return image_fail(err, -EINVAL,
				  "%s: %s lies outside of any file, at %#llx",
				  path, what, (unsigned long long)offset);
	return 0;
}

static int parse_fields(struct parser *p)
{
	struct qcow2_header_info *info = p->info;
	struct qcow2_fields *fields = &p->fields;
	struct qcow2_store_error reason;
	int ret;

	if (!qcow2_is_image(p->bytes, p->length))
		return image_fail(p->err, -EINVAL, "%s: not a qcow2 image",
				  p->path);
	ret = qcow2_decode_fields(p->bytes, p->length, fields, &reason);
	if (ret)
		return refused(p, ret, &reason);
	info->version = fields->version;
	info->cluster_bits = fields->cluster_bits;
	info->size_bytes = fields->size_bytes;
	info->l1_entries = fields->l1_entries;
	info->l1_offset = fields->l1_offset;
	info->refcount_table_offset = fields->refcount_table_offset;
	info->refcount_table_clusters = fields->refcount_table_clusters;
	info->refcount_order = fields->refcount_order;
	info->nr_snapshots = fields->nr_snapshots;
	info->snapshots_offset = fields->snapshots_offset;
	info->incompatible = fields->incompatible;
	info->compatible = fields->compatible;
	info->autoclear = fields->autoclear;
	info->header_bytes = fields->header_bytes;
	info->compression = fields->compression;
	return 0;
}

static int copy_name(struct parser *p, const char *what,
		     const struct qcow2_extension_info *ext, size_t max,
		     char **name)
{
	if (ext->bytes > max)
		return image_fail(p->err, -EINVAL,
				  "%s: the name of the %s is too long: %u bytes",
				  p->path, what, ext->bytes);
	if (*name)
		return image_fail(p->err, -EINVAL,
				  "%s: the name of the %s is given twice",
				  p->path, what);
	if (!ext->bytes || !p->bytes[ext->at])
		return 0;
	*name = strndup((const char *)p->bytes + ext->at, ext->bytes);
	return *name ? 0 : image_fail_memory(p->err, p->path);
}

/* An invalid record counts as none: the data can be read without it. */
static int copy_record(struct parser *p,
		       const struct qcow2_extension_info *ext)
{
	char **record = &p->info->backup_record;

	if (*record || !ext->bytes || ext->bytes > MAX_BACKUP_RECORD_BYTES)
		return 0;
	*record = strndup((const char *)p->bytes + ext->at, ext->bytes);
	return *record ? 0 : image_fail_memory(p->err, p->path);
}

/* Where they lie is checked when the directory is read. */
static int check_bitmaps(const struct parser *p,
			 const struct qcow2_extension_info *ext,
			 struct qcow2_store_error *reason)
{
	struct qcow2_header_info *info = p->info;
	struct qcow2_bitmaps_info bitmaps;
	int ret;

	if (info->has_bitmaps) {
		snprintf(reason->message, sizeof(reason->message),
			 "there are two bitmaps extensions");
		return -EINVAL;
	}
	ret = qcow2_decode_bitmaps_info(p->bytes + ext->at, ext->bytes,
					info->cluster_bits, INT64_MAX, &bitmaps,
					reason);
	if (ret)
		return ret;
	info->has_bitmaps = true;
	info->nr_bitmaps = bitmaps.nr;
	info->bitmap_directory_bytes = bitmaps.directory_bytes;
	info->bitmap_directory_offset = bitmaps.directory_offset;
	return 0;
}

/* Invalid bitmaps count as none: the data can be read without them. */
static int parse_bitmaps(struct parser *p,
			 const struct qcow2_extension_info *ext)
{
	struct qcow2_header_info *info = p->info;
	struct qcow2_store_error reason;

	/* Without the autoclear bit it is stale, and is ignored. */
	if (ext->bytes == sizeof(struct qcow2_bitmaps_extension) &&
	    !(info->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	if (info->bitmaps_problem || !check_bitmaps(p, ext, &reason))
		return 0;
	info->has_bitmaps = false;
	info->nr_bitmaps = 0;
	if (asprintf(&info->bitmaps_problem, "%s: bad bitmaps extension: %s",
		     p->path, reason.message) >= 0)
		return 0;
	info->bitmaps_problem = NULL;
	return image_fail_memory(p->err, p->path);
}

static int parse_extension(struct parser *p,
			   const struct qcow2_extension_info *ext)
{
	struct qcow2_header_info *info = p->info;

	switch (ext->type) {
	case QCOW2_EXT_BACKING_FORMAT:
		return copy_name(p, "backing format", ext,
				 MAX_FORMAT_NAME_BYTES, &info->backing_format);
	case QCOW2_EXT_DATA_FILE:
		return copy_name(p, "data file", ext, MAX_DATA_FILE_NAME_BYTES,
				 &info->data_file_name);
	case QCOW2_EXT_BITMAPS:
		return parse_bitmaps(p, ext);
	case QCOW2_EXT_DMLIVE_BACKUP:
		return copy_record(p, ext);
	default:
		return 0;
	}
}

static int parse_extensions(struct parser *p)
{
	struct qcow2_extension_info ext;
	struct qcow2_extension_walk walk;
	struct qcow2_store_error reason;
	int ret;

	qcow2_extensions_start(&walk, p->bytes, p->length, &p->fields);
	while ((ret = qcow2_extensions_next(&walk, &ext, &reason)) > 0) {
		ret = parse_extension(p, &ext);
		if (ret)
			return ret;
	}
	return ret ? refused(p, ret, &reason) : 0;
}

/* The image's own name for an incompatible feature, else its bit's number. */
static void describe_feature(const struct parser *p, unsigned int bit,
			     char *text, size_t room)
{
	struct qcow2_extension_info ext;
	struct qcow2_extension_walk walk;
	struct qcow2_store_error ignored;
	struct qcow2_feature_name name;
	size_t i;

	qcow2_extensions_start(&walk, p->bytes, p->length, &p->fields);
	while (qcow2_extensions_next(&walk, &ext, &ignored) > 0) {
		if (ext.type != QCOW2_EXT_FEATURE_NAMES)
			continue;
		for (i = 0; i < ext.bytes / sizeof(name); i++) {
			memcpy(&name, p->bytes + ext.at + i * sizeof(name),
			       sizeof(name));
			if (name.type != QCOW2_FEATURE_INCOMPATIBLE ||
			    name.bit != bit || !name.name[0])
				continue;
			snprintf(text, room, "%.*s", (int)sizeof(name.name),
				 name.name);
			return;
		}
	}
	snprintf(text, room, "bit %u", bit);
}

static int refuse_features(const struct parser *p, uint64_t unknown)
{
	char list[256] = "", one[64];
	unsigned int bit;
	size_t used = 0;

	for (bit = 0; bit < 64; bit++) {
		if (!(unknown & (1ULL << bit)))
			continue;
		describe_feature(p, bit, one, sizeof(one));
		if (used + strlen(one) + 3 > sizeof(list))
			break;
		used += snprintf(list + used, sizeof(list) - used, "%s%s",
				 used ? ", " : "", one);
	}
	return image_fail(p->err, -ENOTSUP,
			  "%s: unknown incompatible features: %s; a newer program is needed to read this image",
			  p->path, list);
}

static int check_features(const struct parser *p, bool force)
{
	const struct qcow2_header_info *info = p->info;
	uint64_t unknown = info->incompatible & ~QCOW2_INCOMPAT_KNOWN;
	struct qcow2_store_error reason;
	int ret;

	if (unknown)
		return refuse_features(p, unknown);
	if (qcow2_has(info, QCOW2_INCOMPAT_CORRUPT) && !force)
		return image_fail(p->err, -EUCLEAN,
				  "%s: the image is marked corrupt; repair it with qemu-img check -r all, or use --force to read what is there",
				  p->path);
	ret = qcow2_check_features(&p->fields, &reason);
	if (ret)
		return refused(p, ret, &reason);
	if ((info->autoclear & QCOW2_AUTOCLEAR_DATA_FILE_RAW) &&
	    !qcow2_has(info, QCOW2_INCOMPAT_DATA_FILE))
		return image_fail(p->err, -EINVAL,
				  "%s: claims a raw data file, but has no data file",
				  p->path);
	return 0;
}

static int check_tables(const struct parser *p)
{
	const struct qcow2_header_info *info = p->info;
	int ret;

	if (!info->refcount_table_clusters)
		return image_fail(p->err, -EINVAL,
				  "%s: has no refcount table; repair it with qemu-img check -r all",
				  p->path);
	ret = qcow2_check_table(info, p->path, "refcount table",
				info->refcount_table_offset,
				info->refcount_table_clusters,
				(size_t)1 << info->cluster_bits,
				QCOW2_MAX_REFCOUNT_TABLE_BYTES, p->err);
	if (ret)
		return ret;
	ret = qcow2_check_table(info, p->path, "L1 table", info->l1_offset,
				info->l1_entries, sizeof(__be64),
				QCOW2_MAX_L1_BYTES, p->err);
	if (ret)
		return ret;
	if (info->l1_entries < qcow2_l1_needed(info, info->size_bytes))
		return image_fail(p->err, -EINVAL,
				  "%s: L1 table too small: %u entries for %llu bytes",
				  p->path, info->l1_entries,
				  (unsigned long long)info->size_bytes);
	if (!info->nr_snapshots)
		return 0;
	return qcow2_check_table(info, p->path, "snapshot table",
				 info->snapshots_offset, info->nr_snapshots,
				 sizeof(struct qcow2_snapshot_entry),
				 QCOW2_MAX_SNAPSHOTS *
				 sizeof(struct qcow2_snapshot_entry), p->err);
}

static int copy_backing_name(struct parser *p)
{
	struct qcow2_extension_info name = {
		.at = p->fields.backing_offset,
		.bytes = p->fields.backing_bytes,
	};

	if (!name.at)
		return 0;
	if (name.at + name.bytes > p->length)
		return image_fail(p->err, -EINVAL,
				  "%s: the file ends before its backing file's name",
				  p->path);
	return copy_name(p, "backing file", &name,
			 QCOW2_MAX_BACKING_NAME_BYTES, &p->info->backing_name);
}

static int check_data_file(const struct parser *p)
{
	if (qcow2_has(p->info, QCOW2_INCOMPAT_DATA_FILE) &&
	    !p->info->data_file_name)
		return image_fail(p->err, -EINVAL,
				  "%s: needs an external data file, but does not name it",
				  p->path);
	return 0;
}

static int parse(struct parser *p, bool force)
{
	int ret;

	ret = parse_fields(p);
	if (ret)
		return ret;
	ret = check_features(p, force);
	if (ret)
		return ret;
	ret = check_tables(p);
	if (ret)
		return ret;
	ret = parse_extensions(p);
	if (ret)
		return ret;
	ret = check_data_file(p);
	if (ret)
		return ret;
	return copy_backing_name(p);
}

int qcow2_header_parse(const void *cluster, size_t length, const char *path,
		       bool force, struct qcow2_header_info *info,
		       struct image_error *err)
{
	struct parser p = {
		.bytes = cluster,
		.length = length,
		.path = path,
		.info = info,
		.err = err,
	};
	int ret;

	memset(info, 0, sizeof(*info));
	ret = parse(&p, force);
	if (ret)
		qcow2_header_release(info);
	return ret;
}

void qcow2_header_release(struct qcow2_header_info *info)
{
	free(info->backing_name);
	free(info->backing_format);
	free(info->data_file_name);
	free(info->backup_record);
	free(info->bitmaps_problem);
	memset(info, 0, sizeof(*info));
}
