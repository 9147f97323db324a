// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checks of a bitmap store, see qcow2-bitmaps.h.
 *
 * All sums are made so that they cannot overflow: an offset is compared with
 * what is left of the device, never added to a length first.
 */
#include "qcow2-bitmaps.h"

#define HEADER_FIELD(data, field) \
	((const u8 *)(data) + offsetof(struct qcow2_header, field))

static u16 be16_at(const void *data)
{
	__be16 value;

	memcpy(&value, data, sizeof(value));
	return be16_to_cpu(value);
}

static u32 be32_at(const void *data)
{
	__be32 value;

	memcpy(&value, data, sizeof(value));
	return be32_to_cpu(value);
}

static u64 be64_at(const void *data)
{
	__be64 value;

	memcpy(&value, data, sizeof(value));
	return be64_to_cpu(value);
}

#define refuse(error, ...) \
	(snprintf((error)->message, sizeof((error)->message), __VA_ARGS__), \
	 -EINVAL)

static u64 cluster_bytes(const struct qcow2_store_header *header)
{
	return 1ULL << header->cluster_bits;
}

/* A structure that starts at a cluster and lies within the device. */
static int check_extent(const struct qcow2_store_header *header, u64 offset,
			u64 bytes, const char *what,
			struct qcow2_store_error *error)
{
	if (offset & (cluster_bytes(header) - 1))
		return refuse(error, "%s is not aligned to a cluster (offset %llu)",
			      what, (unsigned long long)offset);
	if (!offset)
		return refuse(error, "%s lies on the header", what);
	if (offset > header->device_bytes ||
	    bytes > header->device_bytes - offset)
		return refuse(error, "%s lies outside of the device (offset %llu, %llu bytes)",
			      what, (unsigned long long)offset,
			      (unsigned long long)bytes);
	return 0;
}

u32 qcow2_store_probe_cluster_bits(const void *data, size_t bytes)
{
	u32 bits;

	if (bytes < QCOW2_V3_MIN_HEADER_BYTES ||
	    be32_at(HEADER_FIELD(data, magic)) != QCOW2_MAGIC ||
	    be32_at(HEADER_FIELD(data, version)) != 3)
		return 0;
	bits = be32_at(HEADER_FIELD(data, cluster_bits));
	if (bits < QCOW2_MIN_CLUSTER_BITS || bits > QCOW2_MAX_CLUSTER_BITS)
		return 0;
	return bits;
}

static int check_features(const void *data, struct qcow2_store_error *error)
{
	u64 features = be64_at(HEADER_FIELD(data, incompatible_features));

	if (features & QCOW2_INCOMPAT_CORRUPT)
		return refuse(error, "the image is marked corrupt");
	if (features & QCOW2_INCOMPAT_DIRTY)
		return refuse(error, "the image is marked dirty: run qemu-img check -r all");
	if (features & QCOW2_INCOMPAT_DATA_FILE)
		return refuse(error, "the image has an external data file");
	features &= ~(QCOW2_INCOMPAT_COMPRESSION | QCOW2_INCOMPAT_EXTENDED_L2);
	if (features)
		return refuse(error, "unknown incompatible features %#llx",
			      (unsigned long long)features);
	if (be32_at(HEADER_FIELD(data, crypt_method)))
		return refuse(error, "the image is encrypted");
	return 0;
}

static int check_bitmaps_extension(const void *payload, u32 bytes,
				   struct qcow2_store_header *header,
				   struct qcow2_store_error *error)
{
	const u8 *at = payload;

	if (bytes != sizeof(struct qcow2_bitmaps_extension))
		return refuse(error, "the bitmaps extension has %u bytes, not %zu",
			      bytes, sizeof(struct qcow2_bitmaps_extension));
	if (header->nr_bitmaps)
		return refuse(error, "there are two bitmaps extensions");
	if (be32_at(at + offsetof(struct qcow2_bitmaps_extension, reserved)))
		return refuse(error, "a reserved field of the bitmaps extension is not zero");

	header->nr_bitmaps = be32_at(at);
	header->directory_bytes =
		be64_at(at + offsetof(struct qcow2_bitmaps_extension,
				      bitmap_directory_size));
	header->directory_offset =
		be64_at(at + offsetof(struct qcow2_bitmaps_extension,
				      bitmap_directory_offset));
	if (!header->nr_bitmaps || header->nr_bitmaps > QCOW2_MAX_BITMAPS)
		return refuse(error, "invalid number of bitmaps %u",
			      header->nr_bitmaps);
	if (header->directory_bytes > QCOW2_MAX_BITMAP_DIRECTORY_BYTES ||
	    header->directory_bytes / sizeof(struct qcow2_bitmap_entry) <
	    header->nr_bitmaps)
		return refuse(error, "the bitmap directory has an invalid size of %llu bytes",
			      (unsigned long long)header->directory_bytes);
	return check_extent(header, header->directory_offset,
			    header->directory_bytes, "the bitmap directory",
			    error);
}

static int check_state_extension(const void *payload, u32 bytes,
				 struct qcow2_store_header *header,
				 struct qcow2_store_error *error)
{
	u32 version;

	if (bytes != sizeof(struct qcow2_dmlive_state))
		return refuse(error, "the state extension has %u bytes, not %zu",
			      bytes, sizeof(struct qcow2_dmlive_state));
	if (header->state_offset)
		return refuse(error, "there are two state extensions");
	version = be32_at(payload);
	if (version != QCOW2_DMLIVE_STATE_VERSION)
		return refuse(error, "the state extension has version %u, not %u",
			      version, QCOW2_DMLIVE_STATE_VERSION);
	header->state_flags = be32_at((const u8 *)payload + 4);
	if (header->state_flags & QCOW2_DMLIVE_RESERVED_FLAGS)
		return refuse(error, "the state extension has unknown flags %#x",
			      header->state_flags);
	return 0;
}

/* The extensions from @at on, which must end before @end. */
static int check_extensions(const void *data, size_t at, size_t end,
			    struct qcow2_store_header *header,
			    struct qcow2_store_error *error)
{
	while (at < end) {
		const u8 *extension = (const u8 *)data + at;
		u32 type, bytes;
		int r = 0;

		if (end - at < sizeof(struct qcow2_extension))
			return refuse(error, "a header extension is cut off");
		type = be32_at(extension);
		bytes = be32_at(extension + 4);
		if (type == QCOW2_EXT_END)
			return 0;
		at += sizeof(struct qcow2_extension);
		if (bytes > end - at)
			return refuse(error, "header extension %#x reaches past its end",
				      type);
		extension += sizeof(struct qcow2_extension);
		if (type == QCOW2_EXT_BITMAPS) {
			r = check_bitmaps_extension(extension, bytes, header,
						    error);
		} else if (type == QCOW2_EXT_DMLIVE_STATE) {
			r = check_state_extension(extension, bytes, header,
						  error);
			header->state_offset = at +
				offsetof(struct qcow2_dmlive_state, flags);
		}
		if (r)
			return r;
		/* The padding of the last one may be cut off. */
		at += min_t(size_t, end - at, ((size_t)bytes + 7) & ~(size_t)7);
	}
	return 0;
}

/* The L1 and the refcount table: where they are, not what they say. */
static int check_tables(const void *data, struct qcow2_store_header *header,
			struct qcow2_store_error *error)
{
	int r;

	header->l1_offset = be64_at(HEADER_FIELD(data, l1_table_offset));
	header->l1_bytes = be32_at(HEADER_FIELD(data, l1_size)) * 8ULL;
	header->refcount_table_offset =
		be64_at(HEADER_FIELD(data, refcount_table_offset));
	header->refcount_table_bytes =
		(u64)be32_at(HEADER_FIELD(data, refcount_table_clusters)) <<
		header->cluster_bits;

	if (header->l1_bytes > QCOW2_MAX_L1_BYTES)
		return refuse(error, "the L1 table is too large");
	if (header->l1_bytes) {
		r = check_extent(header, header->l1_offset, header->l1_bytes,
				 "the L1 table", error);
		if (r)
			return r;
	}
	if (!header->refcount_table_bytes ||
	    header->refcount_table_bytes > QCOW2_MAX_REFCOUNT_TABLE_BYTES)
		return refuse(error, "the refcount table has an invalid size");
	return check_extent(header, header->refcount_table_offset,
			    header->refcount_table_bytes, "the refcount table",
			    error);
}

int qcow2_store_check_header(const void *data, size_t bytes, u64 device_bytes,
			     struct qcow2_store_header *header,
			     struct qcow2_store_error *error)
{
	u64 backing_offset;
	u32 header_bytes;
	size_t end;
	int r;

	memset(header, 0, sizeof(*header));
	header->device_bytes = device_bytes;
	if (bytes < QCOW2_V3_MIN_HEADER_BYTES ||
	    be32_at(HEADER_FIELD(data, magic)) != QCOW2_MAGIC)
		return refuse(error, "not a qcow2 image");
	if (be32_at(HEADER_FIELD(data, version)) != 3)
		return refuse(error, "qcow2 version %u, not 3",
			      be32_at(HEADER_FIELD(data, version)));
	header->cluster_bits = be32_at(HEADER_FIELD(data, cluster_bits));
	if (header->cluster_bits < QCOW2_MIN_CLUSTER_BITS ||
	    header->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
		return refuse(error, "invalid cluster size: cluster_bits is %u",
			      header->cluster_bits);
	if (bytes < min_t(u64, cluster_bytes(header), device_bytes))
		return refuse(error, "the first cluster is cut off");
	header->size_bytes = be64_at(HEADER_FIELD(data, size));
	header_bytes = be32_at(HEADER_FIELD(data, header_length));
	end = min_t(u64, bytes, cluster_bytes(header));
	if (header_bytes < QCOW2_V3_MIN_HEADER_BYTES || header_bytes % 8 ||
	    header_bytes > end)
		return refuse(error, "invalid header length %u", header_bytes);
	if (be32_at(HEADER_FIELD(data, refcount_order)) >
	    QCOW2_MAX_REFCOUNT_ORDER)
		return refuse(error, "invalid refcount order %u",
			      be32_at(HEADER_FIELD(data, refcount_order)));

	r = check_features(data, error);
	if (r)
		return r;

	/* The extensions end where the backing file's name begins. */
	backing_offset = be64_at(HEADER_FIELD(data, backing_file_offset));
	if (backing_offset) {
		u32 name_bytes = be32_at(HEADER_FIELD(data, backing_file_size));

		if (name_bytes > QCOW2_MAX_BACKING_NAME_BYTES ||
		    backing_offset < header_bytes || backing_offset > end ||
		    name_bytes > end - backing_offset)
			return refuse(error, "the name of the backing file lies outside of the first cluster");
		end = backing_offset;
	}
	r = check_extensions(data, header_bytes, end, header, error);
	if (r)
		return r;
	header->bitmaps_valid = header->nr_bitmaps &&
		((be64_at(HEADER_FIELD(data, autoclear_features)) &
		  QCOW2_AUTOCLEAR_BITMAPS) ||
		 (header->state_flags & QCOW2_DMLIVE_UPDATING));
	return check_tables(data, header, error);
}

u64 qcow2_store_bitmap_bytes(const struct qcow2_store_header *header,
			     const struct qcow2_store_bitmap *bitmap)
{
	u64 size = header->size_bytes;
	u64 bits;

	if (!size)
		return 0;
	bits = ((size - 1) >> bitmap->granularity_bits) + 1;
	return ((bits - 1) >> 3) + 1;
}

bool qcow2_store_name_is(const struct qcow2_store_bitmap *bitmap,
			 const char *name)
{
	return strlen(name) == bitmap->name_bytes &&
	       !memcmp(name, bitmap->name, bitmap->name_bytes);
}

/* As refuse(), with the name of the bitmap (cut, if it is long) in front. */
#define refuse_bitmap(error, bitmap, format, ...) \
	refuse(error, "bitmap '%.*s': " format, name_width(bitmap), \
	       (bitmap)->name, ##__VA_ARGS__)

static int name_width(const struct qcow2_store_bitmap *bitmap)
{
	return min_t(int, bitmap->name_bytes, 64);
}

/*
 * Extra data would tell something about the bitmap that is not known here. It
 * may be ignored when the flag says so, but then it could not be kept right, so
 * it is refused all the same.
 */
static int check_entry(const struct qcow2_store_header *header,
		       const struct qcow2_store_bitmap *bitmap, u8 type,
		       u32 extra_bytes, struct qcow2_store_error *error)
{
	u64 clusters;

	if (!bitmap->name_bytes ||
	    bitmap->name_bytes > QCOW2_MAX_BITMAP_NAME_BYTES)
		return refuse(error, "a bitmap has a name of %u bytes, not 1 to %u",
			      bitmap->name_bytes, QCOW2_MAX_BITMAP_NAME_BYTES);
	if (memchr(bitmap->name, 0, bitmap->name_bytes))
		return refuse_bitmap(error, bitmap,
				     "there is a zero byte in the name");
	if (type != QCOW2_BITMAP_TYPE_DIRTY)
		return refuse_bitmap(error, bitmap,
				     "unknown type %u",
				     type);
	if (bitmap->flags & QCOW2_BITMAP_RESERVED_FLAGS)
		return refuse_bitmap(error, bitmap,
				     "unknown flags %#x",
				     bitmap->flags);
	if (extra_bytes)
		return refuse_bitmap(error, bitmap,
				     "there is extra data%s",
				     bitmap->flags & QCOW2_BITMAP_EXTRA_COMPATIBLE ? "" : " that must be known");
	if (bitmap->granularity_bits < QCOW2_MIN_BITMAP_GRANULARITY_BITS ||
	    bitmap->granularity_bits > QCOW2_MAX_BITMAP_GRANULARITY_BITS)
		return refuse_bitmap(error, bitmap,
				     "invalid granularity: 2 to the power of %u",
				     bitmap->granularity_bits);

	clusters = (qcow2_store_bitmap_bytes(header, bitmap) +
		    cluster_bytes(header) - 1) >> header->cluster_bits;
	if (bitmap->table_entries != clusters ||
	    bitmap->table_entries > QCOW2_MAX_BITMAP_TABLE_ENTRIES)
		return refuse_bitmap(error, bitmap,
				     "the table has %u entries, not %llu",
				     bitmap->table_entries, (unsigned long long)clusters);
	if (!clusters)
		return 0;
	if (check_extent(header, bitmap->table_offset,
			 bitmap->table_entries * 8ULL, "the table", error))
		return refuse_bitmap(error, bitmap,
				     "the table is not aligned or outside of the device (offset %llu)",
				     (unsigned long long)bitmap->table_offset);
	return 0;
}

static int check_unique(const struct qcow2_store_bitmap *bitmaps, u32 nr,
			struct qcow2_store_error *error)
{
	const struct qcow2_store_bitmap *last = &bitmaps[nr];
	u32 i;

	for (i = 0; i < nr; i++)
		if (bitmaps[i].name_bytes == last->name_bytes &&
		    !memcmp(bitmaps[i].name, last->name, last->name_bytes))
			return refuse_bitmap(error, last,
					     "there are two of that name");
	return 0;
}

int qcow2_store_check_directory(const struct qcow2_store_header *header,
				const void *data,
				struct qcow2_store_bitmap *bitmaps,
				struct qcow2_store_error *error)
{
	const size_t fixed = sizeof(struct qcow2_bitmap_entry);
	u64 at = 0, left, entry_bytes;
	u32 i, extra_bytes;
	u8 type;
	int r;

	for (i = 0; i < header->nr_bitmaps; i++) {
		struct qcow2_store_bitmap *bitmap = &bitmaps[i];
		const u8 *entry = (const u8 *)data + at;

		left = header->directory_bytes - at;
		if (left < fixed)
			return refuse(error, "the bitmap directory is cut off at entry %u",
				      i);
		extra_bytes = be32_at(entry +
			offsetof(struct qcow2_bitmap_entry, extra_data_size));
		bitmap->name_bytes = be16_at(entry +
			offsetof(struct qcow2_bitmap_entry, name_size));
		entry_bytes = (fixed + extra_bytes + bitmap->name_bytes + 7ULL) &
			      ~7ULL;
		if (entry_bytes > left)
			return refuse(error, "entry %u of the bitmap directory reaches past its end",
				      i);
		bitmap->name = (const char *)entry + fixed + extra_bytes;
		bitmap->table_offset = be64_at(entry);
		bitmap->table_entries = be32_at(entry +
			offsetof(struct qcow2_bitmap_entry, bitmap_table_size));
		bitmap->flags_offset = at +
			offsetof(struct qcow2_bitmap_entry, flags);
		bitmap->flags = be32_at((const u8 *)data +
					bitmap->flags_offset);
		bitmap->granularity_bits =
			*(entry + offsetof(struct qcow2_bitmap_entry,
					   granularity_bits));
		type = *(entry + offsetof(struct qcow2_bitmap_entry, type));
		r = check_entry(header, bitmap, type, extra_bytes, error);
		if (!r)
			r = check_unique(bitmaps, i, error);
		if (r)
			return r;
		at += entry_bytes;
	}
	if (at != header->directory_bytes)
		return refuse(error, "the bitmap directory is larger than its entries");
	return 0;
}

u64 qcow2_store_table_cluster(__be64 entry)
{
	return be64_to_cpu(entry) & QCOW2_BITMAP_TABLE_OFFSET_MASK;
}

int qcow2_store_check_table(const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    const __be64 *table, bool preallocated,
			    struct qcow2_store_error *error)
{
	u32 i;

	for (i = 0; i < bitmap->table_entries; i++) {
		u64 entry = be64_to_cpu(table[i]);
		u64 offset = entry & QCOW2_BITMAP_TABLE_OFFSET_MASK;

		if (entry & QCOW2_BITMAP_TABLE_RESERVED_MASK ||
		    (offset && (entry & QCOW2_BITMAP_TABLE_ALL_ONES)))
			return refuse_bitmap(error, bitmap,
					     "reserved bits are set in entry %u of the table",
					     i);
		if (!offset && !preallocated)
			continue;
		if (!offset)
			return refuse_bitmap(error, bitmap,
					     "its clusters are not allocated");
		if (offset & (cluster_bytes(header) - 1))
			return refuse_bitmap(error, bitmap,
					     "entry %u of the table is not aligned to a cluster",
					     i);
		if (offset > header->device_bytes ||
		    cluster_bytes(header) > header->device_bytes - offset)
			return refuse_bitmap(error, bitmap,
					     "entry %u of the table lies outside of the device",
					     i);
	}
	return 0;
}

static int compare_extents(const void *a, const void *b)
{
	const struct qcow2_store_extent *x = a;
	const struct qcow2_store_extent *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

int qcow2_store_check_overlaps(struct qcow2_store_extent *extents, size_t nr,
			       struct qcow2_store_error *error)
{
	size_t i;

	shim_sort(extents, nr, sizeof(*extents), compare_extents);
	for (i = 1; i < nr; i++)
		if (extents[i].offset - extents[i - 1].offset <
		    extents[i - 1].bytes)
			return refuse(error, "%s and %s overlap at offset %llu",
				      extents[i - 1].what, extents[i].what,
				      (unsigned long long)extents[i].offset);
	return 0;
}

void qcow2_store_set_autoclear(void *header_data, bool valid)
{
	u8 *at = (u8 *)header_data +
		 offsetof(struct qcow2_header, autoclear_features);
	u64 features = be64_at(at);
	__be64 value;

	if (valid)
		features |= QCOW2_AUTOCLEAR_BITMAPS;
	else
		features &= ~QCOW2_AUTOCLEAR_BITMAPS;
	value = cpu_to_be64(features);
	memcpy(at, &value, sizeof(value));
}

void qcow2_store_set_flags(void *flags_data, u32 flags)
{
	__be32 value = cpu_to_be32(flags);

	memcpy(flags_data, &value, sizeof(value));
}
