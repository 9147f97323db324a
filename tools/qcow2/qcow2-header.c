// SPDX-License-Identifier: GPL-2.0-only
/*
 * Parsing and checking the qcow2 header and its extensions. Everything here is
 * hostile until checked, in this order: fixed fields, features, tables, and
 * then the extensions, whose meaning depends on the features.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "qcow2-header.h"

/* No format's name is longer than this, nor accepted by QEMU. */
#define MAX_FORMAT_NAME_BYTES 15
#define MAX_DATA_FILE_NAME_BYTES 4095
#define MAX_BACKUP_RECORD_BYTES 16384

struct parser {
	const unsigned char *bytes;	/* of the first cluster */
	size_t length;
	size_t extensions_end;
	const char *path;
	struct qcow2_header_info *info;
	struct image_error *err;
};

bool qcow2_probe(const void *start, size_t length)
{
	struct qcow2_header header;

	if (length < QCOW2_V2_HEADER_BYTES)
		return false;
	memcpy(&header, start, QCOW2_V2_HEADER_BYTES);
	return be32toh(header.magic) == QCOW2_MAGIC &&
	       be32toh(header.version) >= 2;
}

size_t qcow2_header_cluster_bytes(const void *start)
{
	struct qcow2_header header;
	unsigned int bits;

	memcpy(&header, start, QCOW2_V2_HEADER_BYTES);
	bits = be32toh(header.cluster_bits);
	if (bits < QCOW2_MIN_CLUSTER_BITS || bits > QCOW2_MAX_CLUSTER_BITS)
		return 0;
	return (size_t)1 << bits;
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

static int parse_version_3_fields(struct parser *p,
				  const struct qcow2_header *header)
{
	struct qcow2_header_info *info = p->info;

	info->incompatible = be64toh(header->incompatible_features);
	info->compatible = be64toh(header->compatible_features);
	info->autoclear = be64toh(header->autoclear_features);
	info->refcount_order = be32toh(header->refcount_order);
	info->header_bytes = be32toh(header->header_length);
	if (info->header_bytes < QCOW2_V3_MIN_HEADER_BYTES ||
	    info->header_bytes > 1U << info->cluster_bits ||
	    info->header_bytes % 8)
		return image_fail(p->err, -EINVAL,
				  "%s: bad header length %u: it must be a multiple of 8 from %u to the cluster size",
				  p->path, info->header_bytes,
				  QCOW2_V3_MIN_HEADER_BYTES);
	if (info->header_bytes >
	    offsetof(struct qcow2_header, compression_type))
		info->compression = header->compression_type;
	return 0;
}

static int parse_fixed_fields(struct parser *p)
{
	struct qcow2_header_info *info = p->info;
	struct qcow2_header header = { 0 };
	uint32_t crypt_method;

	if (!qcow2_probe(p->bytes, p->length))
		return image_fail(p->err, -EINVAL, "%s: not a qcow2 image",
				  p->path);
	memcpy(&header, p->bytes,
	       p->length < sizeof(header) ? p->length : sizeof(header));
	info->version = be32toh(header.version);
	if (info->version > 3)
		return image_fail(p->err, -ENOTSUP,
				  "%s: qcow2 version %u is not supported, only 2 and 3 are",
				  p->path, info->version);
	if (!qcow2_header_cluster_bytes(p->bytes))
		return image_fail(p->err, -EINVAL,
				  "%s: bad cluster size of 2^%u bytes: 512 bytes to 2 MiB are supported",
				  p->path, be32toh(header.cluster_bits));
	info->cluster_bits = be32toh(header.cluster_bits);
	crypt_method = be32toh(header.crypt_method);
	if (crypt_method)
		return image_fail(p->err, -ENOTSUP,
				  "%s: the image is encrypted (%s), which is not supported; decrypt it with qemu-img convert first",
				  p->path,
				  crypt_method == QCOW2_CRYPT_AES ? "AES" :
				  crypt_method == QCOW2_CRYPT_LUKS ? "LUKS" :
				  "unknown method");
	info->size_bytes = be64toh(header.size);
	info->l1_entries = be32toh(header.l1_size);
	info->l1_offset = be64toh(header.l1_table_offset);
	info->refcount_table_offset = be64toh(header.refcount_table_offset);
	info->refcount_table_clusters = be32toh(header.refcount_table_clusters);
	info->nr_snapshots = be32toh(header.nb_snapshots);
	info->snapshots_offset = be64toh(header.snapshots_offset);
	info->backing_name_offset = be64toh(header.backing_file_offset);
	info->backing_name_bytes = be32toh(header.backing_file_size);
	info->refcount_order = 4;
	info->header_bytes = QCOW2_V2_HEADER_BYTES;
	info->compression = QCOW2_COMPRESSION_ZLIB;
	return info->version < 3 ? 0 : parse_version_3_fields(p, &header);
}

struct extension {
	uint32_t type;
	size_t offset;	/* of its payload */
	size_t length;
};

/* Bounds of the area that extensions may use, and of the backing file's name. */
static int find_extensions(struct parser *p)
{
	struct qcow2_header_info *info = p->info;
	size_t cluster_bytes = (size_t)1 << info->cluster_bits;
	uint64_t offset = info->backing_name_offset;

	p->extensions_end = cluster_bytes;
	if (offset) {
		if (offset < info->header_bytes || offset > cluster_bytes ||
		    info->backing_name_bytes > cluster_bytes - offset ||
		    info->backing_name_bytes > QCOW2_MAX_BACKING_NAME_BYTES)
			return image_fail(p->err, -EINVAL,
					  "%s: the backing file's name is out of bounds: %u bytes at %llu",
					  p->path, info->backing_name_bytes,
					  (unsigned long long)offset);
		p->extensions_end = offset;
	}
	/* Bytes of the cluster that the file does not have hold nothing. */
	if (p->extensions_end > p->length)
		p->extensions_end = p->length;
	return 0;
}

static int copy_name(struct parser *p, const char *what,
		     const struct extension *ext, size_t max, char **name)
{
	if (ext->length > max)
		return image_fail(p->err, -EINVAL,
				  "%s: the name of the %s is too long: %zu bytes",
				  p->path, what, ext->length);
	if (*name)
		return image_fail(p->err, -EINVAL,
				  "%s: the name of the %s is given twice",
				  p->path, what);
	if (!ext->length || !p->bytes[ext->offset])
		return 0;
	*name = strndup((const char *)p->bytes + ext->offset, ext->length);
	return *name ? 0 : image_fail_memory(p->err, p->path);
}

/* One that cannot be right is none: the data can be read without. */
static int copy_record(struct parser *p, const struct extension *ext)
{
	char **record = &p->info->backup_record;

	if (*record || !ext->length || ext->length > MAX_BACKUP_RECORD_BYTES)
		return 0;
	*record = strndup((const char *)p->bytes + ext->offset, ext->length);
	return *record ? 0 : image_fail_memory(p->err, p->path);
}

static int check_bitmaps(const struct parser *p, const struct extension *ext,
			 struct image_error *err)
{
	struct qcow2_header_info *info = p->info;
	struct qcow2_bitmaps_extension extension;

	if (ext->length != sizeof(extension) || info->has_bitmaps)
		return image_fail(err, -EINVAL,
				  "%s: bad bitmaps extension: %zu bytes or given twice",
				  p->path, ext->length);
	memcpy(&extension, p->bytes + ext->offset, sizeof(extension));
	info->has_bitmaps = true;
	info->nr_bitmaps = be32toh(extension.nb_bitmaps);
	info->bitmap_directory_bytes =
		be64toh(extension.bitmap_directory_size);
	info->bitmap_directory_offset =
		be64toh(extension.bitmap_directory_offset);
	if (extension.reserved || !info->nr_bitmaps ||
	    info->nr_bitmaps > QCOW2_MAX_BITMAPS)
		return image_fail(err, -EINVAL,
				  "%s: bad bitmaps extension: %u bitmaps", p->path,
				  info->nr_bitmaps);
	return qcow2_check_table(info, p->path, "bitmap directory",
				 info->bitmap_directory_offset,
				 info->bitmap_directory_bytes, 1,
				 QCOW2_MAX_BITMAP_DIRECTORY_BYTES, err);
}

/* Bitmaps that cannot be right are none: the data can be read without. */
static int parse_bitmaps(struct parser *p, const struct extension *ext)
{
	struct qcow2_header_info *info = p->info;
	struct image_error problem;

	/* Without the autoclear bit it is stale, and to be ignored. */
	if (ext->length == sizeof(struct qcow2_bitmaps_extension) &&
	    !(info->autoclear & QCOW2_AUTOCLEAR_BITMAPS))
		return 0;
	if (info->bitmaps_problem || !check_bitmaps(p, ext, &problem))
		return 0;
	info->has_bitmaps = false;
	info->nr_bitmaps = 0;
	info->bitmaps_problem = strdup(problem.message);
	return info->bitmaps_problem ? 0 : image_fail_memory(p->err, p->path);
}

/*
 * Step to the next extension; *at is where to look for it. Returns 1, or 0 at
 * the end, or -EINVAL.
 */
static int next_extension(const struct parser *p, size_t *at,
			  struct extension *ext)
{
	struct qcow2_extension raw;

	if (*at >= p->extensions_end)
		return 0;
	if (sizeof(raw) > p->extensions_end - *at)
		return -EINVAL;
	memcpy(&raw, p->bytes + *at, sizeof(raw));
	ext->type = be32toh(raw.type);
	ext->length = be32toh(raw.length);
	ext->offset = *at + sizeof(raw);
	if (ext->type == QCOW2_EXT_END)
		return 0;
	if (ext->length > p->extensions_end - ext->offset)
		return -EINVAL;
	*at = ext->offset + ((ext->length + 7) & ~(size_t)7);
	return 1;
}

static int parse_extension(struct parser *p, const struct extension *ext)
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
	size_t at = p->info->header_bytes;
	struct extension ext;
	int ret;

	while ((ret = next_extension(p, &at, &ext)) > 0) {
		ret = parse_extension(p, &ext);
		if (ret)
			return ret;
	}
	if (!ret)
		return 0;
	return image_fail(p->err, ret,
			  "%s: a header extension reaches beyond its area, at %zu",
			  p->path, at);
}

/* The image's own name for an incompatible feature, else its bit's number. */
static void describe_feature(const struct parser *p, unsigned int bit,
			     char *text, size_t room)
{
	size_t at = p->info->header_bytes;
	struct extension ext;
	struct qcow2_feature_name name;
	size_t i;

	while (next_extension(p, &at, &ext) > 0) {
		if (ext.type != QCOW2_EXT_FEATURE_NAMES)
			continue;
		for (i = 0; i < ext.length / sizeof(name); i++) {
			memcpy(&name, p->bytes + ext.offset + i * sizeof(name),
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
	bool says_other = qcow2_has(info, QCOW2_INCOMPAT_COMPRESSION);
	bool is_other = info->compression != QCOW2_COMPRESSION_ZLIB;

	if (unknown)
		return refuse_features(p, unknown);
	if (qcow2_has(info, QCOW2_INCOMPAT_CORRUPT) && !force)
		return image_fail(p->err, -EUCLEAN,
				  "%s: the image is marked corrupt; repair it with qemu-img check -r all, or use --force to read what is there",
				  p->path);
	if (info->compression > QCOW2_COMPRESSION_ZSTD)
		return image_fail(p->err, -ENOTSUP,
				  "%s: unknown compression type %u", p->path,
				  info->compression);
	if (says_other != is_other)
		return image_fail(p->err, -EINVAL,
				  "%s: the compression type contradicts the feature bits",
				  p->path);
	if (qcow2_has(info, QCOW2_INCOMPAT_EXTENDED_L2) &&
	    info->cluster_bits < QCOW2_EXTENDED_L2_MIN_CLUSTER_BITS)
		return image_fail(p->err, -EINVAL,
				  "%s: extended L2 entries need clusters of 16 KiB or more",
				  p->path);
	if (info->refcount_order > QCOW2_MAX_REFCOUNT_ORDER)
		return image_fail(p->err, -EINVAL,
				  "%s: refcounts of 2^%u bits are not possible",
				  p->path, info->refcount_order);
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
	struct extension name = {
		.offset = p->info->backing_name_offset,
		.length = p->info->backing_name_bytes,
	};

	if (!name.offset)
		return 0;
	if (name.offset + name.length > p->length)
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

	ret = parse_fixed_fields(p);
	if (ret)
		return ret;
	ret = find_extensions(p);
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
