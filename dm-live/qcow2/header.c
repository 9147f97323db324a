// SPDX-License-Identifier: GPL-2.0-only
/* The header of an image, see header.h. */
#include "bytes.h"

bool qcow2_is_image(const void *data, size_t bytes)
{
	return bytes >= QCOW2_V2_HEADER_BYTES &&
	       be32_at(HEADER_FIELD(data, magic)) == QCOW2_MAGIC &&
	       be32_at(HEADER_FIELD(data, version)) >= 2;
}

u32 qcow2_probe_cluster_bits(const void *data, size_t bytes)
{
	u32 bits;

	if (!qcow2_is_image(data, bytes))
		return 0;
	bits = be32_at(HEADER_FIELD(data, cluster_bits));
	if (bits < QCOW2_MIN_CLUSTER_BITS || bits > QCOW2_MAX_CLUSTER_BITS)
		return 0;
	return bits;
}

static void decode_version_2(const void *data, struct qcow2_fields *fields)
{
	fields->version = be32_at(HEADER_FIELD(data, version));
	fields->cluster_bits = be32_at(HEADER_FIELD(data, cluster_bits));
	fields->size_bytes = be64_at(HEADER_FIELD(data, size));
	fields->l1_entries = be32_at(HEADER_FIELD(data, l1_size));
	fields->l1_offset = be64_at(HEADER_FIELD(data, l1_table_offset));
	fields->refcount_table_offset =
		be64_at(HEADER_FIELD(data, refcount_table_offset));
	fields->refcount_table_clusters =
		be32_at(HEADER_FIELD(data, refcount_table_clusters));
	fields->nr_snapshots = be32_at(HEADER_FIELD(data, nb_snapshots));
	fields->snapshots_offset =
		be64_at(HEADER_FIELD(data, snapshots_offset));
	fields->backing_offset =
		be64_at(HEADER_FIELD(data, backing_file_offset));
	fields->backing_bytes = be32_at(HEADER_FIELD(data, backing_file_size));
	fields->refcount_order = 4;
	fields->header_bytes = QCOW2_V2_HEADER_BYTES;
	fields->compression = QCOW2_COMPRESSION_ZLIB;
}

static int decode_version_3(const void *data, size_t bytes,
			    struct qcow2_fields *fields,
			    struct qcow2_store_error *error)
{
	const size_t compression = offsetof(struct qcow2_header,
					    compression_type);

	if (bytes < QCOW2_V3_MIN_HEADER_BYTES)
		return refuse(error, "the header is cut off: invalid header length");
	fields->incompatible =
		be64_at(HEADER_FIELD(data, incompatible_features));
	fields->compatible = be64_at(HEADER_FIELD(data, compatible_features));
	fields->autoclear = be64_at(HEADER_FIELD(data, autoclear_features));
	fields->refcount_order = be32_at(HEADER_FIELD(data, refcount_order));
	fields->header_bytes = be32_at(HEADER_FIELD(data, header_length));
	if (fields->header_bytes < QCOW2_V3_MIN_HEADER_BYTES ||
	    fields->header_bytes % 8 ||
	    fields->header_bytes > 1U << fields->cluster_bits)
		return refuse(error, "invalid header length %u: it must be a multiple of 8 from %u to the cluster size",
			      fields->header_bytes, QCOW2_V3_MIN_HEADER_BYTES);
	if (fields->header_bytes > compression && bytes > compression)
		fields->compression = *HEADER_FIELD(data, compression_type);
	return 0;
}

/* Where the extensions end: where the backing file's name begins, if any. */
static int check_backing(const struct qcow2_fields *fields,
			 struct qcow2_store_error *error)
{
	const u64 end = 1ULL << fields->cluster_bits;
	u64 offset = fields->backing_offset;
	u32 bytes = fields->backing_bytes;

	if (offset && (bytes > QCOW2_MAX_BACKING_NAME_BYTES ||
		       offset < fields->header_bytes || offset > end ||
		       bytes > end - offset))
		return refuse(error, "the name of the backing file is out of bounds: %u bytes at %llu",
			      bytes, (unsigned long long)offset);
	return 0;
}

static const char *crypt_name(u32 method)
{
	return method == QCOW2_CRYPT_AES ? "AES" :
	       method == QCOW2_CRYPT_LUKS ? "LUKS" : "unknown method";
}

int qcow2_decode_fields(const void *data, size_t bytes,
			struct qcow2_fields *fields,
			struct qcow2_store_error *error)
{
	u32 crypt_method;
	int r;

	memset(fields, 0, sizeof(*fields));
	if (!qcow2_is_image(data, bytes))
		return refuse_unsupported(error, "not a qcow2 image");
	decode_version_2(data, fields);
	if (fields->version > 3)
		return refuse_unsupported(error, "qcow2 version %u is not supported, only 2 and 3 are",
					  fields->version);
	if (!qcow2_probe_cluster_bits(data, bytes))
		return refuse(error, "invalid cluster size: cluster_bits is %u, not %u to %u (512 bytes to 2 MiB)",
			      fields->cluster_bits, QCOW2_MIN_CLUSTER_BITS,
			      QCOW2_MAX_CLUSTER_BITS);
	crypt_method = be32_at(HEADER_FIELD(data, crypt_method));
	if (crypt_method)
		return refuse_unsupported(error, "the image is encrypted (%s), which is not supported; decrypt it with qemu-img convert first",
					  crypt_name(crypt_method));
	r = fields->version < 3 ? 0 :
	    decode_version_3(data, bytes, fields, error);
	return r ?: check_backing(fields, error);
}

void qcow2_set_size(void *data, u64 bytes)
{
	put_be64(HEADER_PLACE(data, size), bytes);
}

void qcow2_set_l1(void *data, u64 offset, u32 entries)
{
	put_be64(HEADER_PLACE(data, l1_table_offset), offset);
	put_be32(HEADER_PLACE(data, l1_size), entries);
}

void qcow2_encode_fields(void *data, const struct qcow2_fields *fields)
{
	memset(data, 0, sizeof(struct qcow2_header));
	put_be32(HEADER_PLACE(data, magic), QCOW2_MAGIC);
	put_be32(HEADER_PLACE(data, version), 3);
	put_be64(HEADER_PLACE(data, backing_file_offset),
		 fields->backing_offset);
	put_be32(HEADER_PLACE(data, backing_file_size), fields->backing_bytes);
	put_be32(HEADER_PLACE(data, cluster_bits), fields->cluster_bits);
	put_be64(HEADER_PLACE(data, size), fields->size_bytes);
	put_be32(HEADER_PLACE(data, l1_size), fields->l1_entries);
	put_be64(HEADER_PLACE(data, l1_table_offset), fields->l1_offset);
	put_be64(HEADER_PLACE(data, refcount_table_offset),
		 fields->refcount_table_offset);
	put_be32(HEADER_PLACE(data, refcount_table_clusters),
		 fields->refcount_table_clusters);
	put_be32(HEADER_PLACE(data, nb_snapshots), fields->nr_snapshots);
	put_be64(HEADER_PLACE(data, snapshots_offset),
		 fields->snapshots_offset);
	put_be64(HEADER_PLACE(data, incompatible_features),
		 fields->incompatible);
	put_be64(HEADER_PLACE(data, compatible_features), fields->compatible);
	put_be64(HEADER_PLACE(data, autoclear_features), fields->autoclear);
	put_be32(HEADER_PLACE(data, refcount_order), fields->refcount_order);
	put_be32(HEADER_PLACE(data, header_length),
		 sizeof(struct qcow2_header));
	*HEADER_PLACE(data, compression_type) = fields->compression;
}

size_t qcow2_set_backing_offset(void *header_data, u64 offset)
{
	put_be64(HEADER_PLACE(header_data, backing_file_offset), offset);
	return offsetof(struct qcow2_header, backing_file_offset);
}

int qcow2_check_features(const struct qcow2_fields *fields,
			 struct qcow2_store_error *error)
{
	bool says_other = fields->incompatible & QCOW2_INCOMPAT_COMPRESSION;
	bool is_other = fields->compression != QCOW2_COMPRESSION_ZLIB;

	if (fields->compression > QCOW2_COMPRESSION_ZSTD)
		return refuse_unsupported(error, "unknown compression type %u",
					  fields->compression);
	if (says_other != is_other)
		return refuse(error, "the compression type contradicts the feature bits");
	if (fields->incompatible & QCOW2_INCOMPAT_EXTENDED_L2 &&
	    fields->cluster_bits < QCOW2_EXTENDED_L2_MIN_CLUSTER_BITS)
		return refuse(error, "extended L2 entries need clusters of 16 KiB or more");
	if (fields->refcount_order > QCOW2_MAX_REFCOUNT_ORDER)
		return refuse(error, "invalid refcount order %u: refcounts of 2^%u bits are not possible",
			      fields->refcount_order, fields->refcount_order);
	return 0;
}

int qcow2_check_extent(u32 cluster_bits, u64 image_bytes, u64 offset, u64 bytes,
		       const char *what, struct qcow2_store_error *error)
{
	if (!offset)
		return refuse(error, "%s lies on the header", what);
	if (offset & ((1ULL << cluster_bits) - 1))
		return refuse(error, "%s is not aligned to a cluster (offset %llu)",
			      what, (unsigned long long)offset);
	if (offset > image_bytes || bytes > image_bytes - offset)
		return refuse(error, "%s lies outside of the device (offset %llu, %llu bytes)",
			      what, (unsigned long long)offset,
			      (unsigned long long)bytes);
	return 0;
}

#define INFO_FIELD(field) \
	(at + offsetof(struct qcow2_bitmaps_extension, field))

int qcow2_decode_bitmaps_info(const void *payload, u32 bytes, u32 cluster_bits,
			      u64 image_bytes, struct qcow2_bitmaps_info *info,
			      struct qcow2_store_error *error)
{
	const u8 *at = payload;

	if (bytes != sizeof(struct qcow2_bitmaps_extension))
		return refuse(error, "the bitmaps extension has %u bytes, not %zu",
			      bytes, sizeof(struct qcow2_bitmaps_extension));
	if (be32_at(INFO_FIELD(reserved)))
		return refuse(error, "a reserved field of the bitmaps extension is not zero");

	info->nr = be32_at(INFO_FIELD(nb_bitmaps));
	info->directory_bytes = be64_at(INFO_FIELD(bitmap_directory_size));
	info->directory_offset = be64_at(INFO_FIELD(bitmap_directory_offset));
	if (!info->nr || info->nr > QCOW2_MAX_BITMAPS)
		return refuse(error, "invalid number of bitmaps %u",
			      info->nr);
	if (info->directory_bytes > QCOW2_MAX_BITMAP_DIRECTORY_BYTES ||
	    info->directory_bytes <
	    info->nr * (u64)sizeof(struct qcow2_bitmap_entry))
		return refuse(error, "the bitmap directory has an invalid size of %llu bytes",
			      (unsigned long long)info->directory_bytes);
	return qcow2_check_extent(cluster_bits, image_bytes,
				  info->directory_offset, info->directory_bytes,
				  "the bitmap directory", error);
}

void qcow2_encode_bitmaps_info(void *payload,
			       const struct qcow2_bitmaps_info *info)
{
	u8 *at = payload;

	put_be32(INFO_FIELD(nb_bitmaps), info->nr);
	put_be32(INFO_FIELD(reserved), 0);
	put_be64(INFO_FIELD(bitmap_directory_size), info->directory_bytes);
	put_be64(INFO_FIELD(bitmap_directory_offset), info->directory_offset);
}

static size_t set_autoclear(void *header_data, u64 features)
{
	put_be64(HEADER_PLACE(header_data, autoclear_features), features);
	return offsetof(struct qcow2_header, autoclear_features);
}

size_t qcow2_store_set_autoclear(void *header_data, bool valid)
{
	u64 features = be64_at(HEADER_FIELD(header_data, autoclear_features)) &
		       QCOW2_AUTOCLEAR_KNOWN & ~QCOW2_AUTOCLEAR_BITMAPS;

	return set_autoclear(header_data, valid ?
			     features | QCOW2_AUTOCLEAR_BITMAPS : features);
}

size_t qcow2_drop_unknown_autoclear(void *header_data)
{
	u64 features = be64_at(HEADER_FIELD(header_data, autoclear_features));

	return features & ~QCOW2_AUTOCLEAR_KNOWN ?
	       set_autoclear(header_data, features & QCOW2_AUTOCLEAR_KNOWN) : 0;
}

void qcow2_store_set_closing(void *header_data, u64 closing)
{
	u64 features = be64_at(HEADER_FIELD(header_data, autoclear_features));

	features &= ~(QCOW2_AUTOCLEAR_CLOSING_MAX <<
		      QCOW2_AUTOCLEAR_CLOSING_SHIFT);
	set_autoclear(header_data,
		      features | closing << QCOW2_AUTOCLEAR_CLOSING_SHIFT);
}
