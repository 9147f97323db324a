// SPDX-License-Identifier: GPL-2.0-only
/* The checks of the bitmap directory and of the tables, see directory.h. */
#include "bytes.h"

#define ENTRY_FIELD(field) (entry + offsetof(struct qcow2_bitmap_entry, field))

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

u64 qcow2_bitmap_entry_start(const struct qcow2_store_bitmap *bitmap)
{
	return bitmap->flags_offset - offsetof(struct qcow2_bitmap_entry, flags);
}

u64 qcow2_bitmap_entry_bytes(u32 extra_bytes, u32 name_bytes)
{
	return (sizeof(struct qcow2_bitmap_entry) + (u64)extra_bytes +
		name_bytes + 7) & ~7ULL;
}

/* The size of the table follows from that of the image. */
static int check_table_size(const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    bool may_be_stale, struct qcow2_store_error *error)
{
	u64 bytes = qcow2_store_bitmap_bytes(header, bitmap);
	u64 clusters = (bytes + cluster_bytes(header) - 1) >>
		       header->cluster_bits;

	if (bitmap->table_entries != clusters &&
	    !(may_be_stale && bitmap->flags & QCOW2_BITMAP_IN_USE))
		return refuse_bitmap(error, bitmap,
				     "its table has %u entries, a device of %llu bytes needs %llu",
				     bitmap->table_entries,
				     (unsigned long long)header->size_bytes,
				     (unsigned long long)clusters);
	if ((u64)bitmap->table_entries << header->cluster_bits >
	    QCOW2_MAX_BITMAP_BYTES)
		return refuse_bitmap(error, bitmap,
				     "it is larger than 512 MiB, which QEMU does not read");
	return 0;
}

static int check_entry_table(const struct qcow2_store_header *header,
			     const struct qcow2_store_bitmap *bitmap,
			     bool may_be_stale, struct qcow2_store_error *error)
{
	int r = check_table_size(header, bitmap, may_be_stale, error);

	if (r)
		return r;
	if (!bitmap->table_entries)
		return header->size_bytes ?
		       refuse_bitmap(error, bitmap, "it has no table") : 0;
	if (!is_aligned(header, bitmap->table_offset))
		return refuse_bitmap(error, bitmap,
				     "its table is not aligned to a cluster (offset %llu)",
				     (unsigned long long)bitmap->table_offset);
	if (!is_inside(header, bitmap->table_offset,
		       bitmap->table_entries * 8ULL))
		return refuse_bitmap(error, bitmap,
				     "its table lies outside of the device (offset %llu)",
				     (unsigned long long)bitmap->table_offset);
	return 0;
}

/*
 * Extra data say something about the bitmap that this code does not know. The
 * flag says whether it may be used all the same; the data are left as they are.
 */
static int check_entry(const struct qcow2_store_header *header,
		       const struct qcow2_store_bitmap *bitmap, u8 type,
		       u32 extra_bytes, bool may_be_stale,
		       struct qcow2_store_error *error)
{
	if (!bitmap->name_bytes ||
	    bitmap->name_bytes > QCOW2_MAX_BITMAP_NAME_BYTES)
		return refuse(error, "a bitmap has a name of %u bytes, not 1 to %u",
			      bitmap->name_bytes, QCOW2_MAX_BITMAP_NAME_BYTES);
	if (memchr(bitmap->name, 0, bitmap->name_bytes))
		return refuse_bitmap(error, bitmap,
				     "there is a zero byte in the name");
	if (type != QCOW2_BITMAP_TYPE_DIRTY)
		return refuse_bitmap(error, bitmap, "unknown type %u", type);
	if (bitmap->flags & QCOW2_BITMAP_RESERVED_FLAGS)
		return refuse_bitmap(error, bitmap, "unknown flags %#x",
				     bitmap->flags);
	if (extra_bytes && !(bitmap->flags & QCOW2_BITMAP_EXTRA_COMPATIBLE))
		return refuse_unsupported(error, "bitmap '%.*s': it has %u bytes of extra data that must be understood to use it",
					  name_width(bitmap), bitmap->name,
					  extra_bytes);
	if (bitmap->granularity_bits < QCOW2_MIN_BITMAP_GRANULARITY_BITS ||
	    bitmap->granularity_bits > QCOW2_MAX_BITMAP_GRANULARITY_BITS)
		return refuse_bitmap(error, bitmap,
				     "invalid granularity: 2 to the power of %u",
				     bitmap->granularity_bits);
	return check_entry_table(header, bitmap, may_be_stale, error);
}

/* It makes the search for duplicate names fast. */
u64 qcow2_store_name_hash(const char *name, size_t bytes)
{
	u64 hash = 0xcbf29ce484222325ULL;
	size_t i;

	for (i = 0; i < bytes; i++)
		hash = (hash ^ (u8)name[i]) * 0x100000001b3ULL;
	return hash;
}

static bool is_same_name(const struct qcow2_store_bitmap *a,
			 const struct qcow2_store_bitmap *b)
{
	return a->name_hash == b->name_hash && a->name_bytes == b->name_bytes &&
	       !memcmp(a->name, b->name, a->name_bytes);
}

/* By chance no bucket has a tenth of that. */
#define MAX_IN_BUCKET	100

/*
 * The entries are a hash table, too: as many buckets as bitmaps, each a list of
 * indices, plus one. Put the name of @index into it. Names that were chosen to fall
 * into one bucket would take hours to compare.
 */
static int check_unique(struct qcow2_store_bitmap *bitmaps, u32 nr, u32 index,
			struct qcow2_store_error *error)
{
	struct qcow2_store_bitmap *bitmap = &bitmaps[index];
	u32 *first = &bitmaps[(bitmap->name_hash >> 32) * nr >> 32].first_of_bucket;
	u32 i, nr_compared = 0;

	for (i = *first; i; i = bitmaps[i - 1].next_in_bucket) {
		if (is_same_name(&bitmaps[i - 1], bitmap))
			return refuse_bitmap(error, bitmap,
					     "there are two of that name");
		if (++nr_compared == MAX_IN_BUCKET)
			return refuse(error, "the names of the bitmaps were chosen to make a search for duplicates slow");
	}
	bitmap->next_in_bucket = *first;
	*first = index + 1;
	return 0;
}

/*
 * Parse the entry at @at. Returns its bytes, or 0 with a message if it does not
 * fit into the directory.
 */
static u64 parse_entry(const struct qcow2_store_header *header,
		       const void *data, u64 at, u32 index,
		       struct qcow2_store_bitmap *bitmap, u32 *extra_bytes,
		       struct qcow2_store_error *error)
{
	const size_t fixed = sizeof(struct qcow2_bitmap_entry);
	const u8 *entry = (const u8 *)data + at;
	u64 left = header->directory_bytes - at;
	u64 bytes;

	if (left < fixed) {
		refuse(error, "the bitmap directory is cut off at entry %u",
		       index);
		return 0;
	}
	*extra_bytes = be32_at(ENTRY_FIELD(extra_data_size));
	bitmap->name_bytes = be16_at(ENTRY_FIELD(name_size));
	bytes = qcow2_bitmap_entry_bytes(*extra_bytes, bitmap->name_bytes);
	if (bytes > left) {
		refuse(error, "entry %u of the bitmap directory reaches past its end",
		       index);
		return 0;
	}
	bitmap->name = (const char *)entry + fixed + *extra_bytes;
	bitmap->name_hash = qcow2_store_name_hash(bitmap->name,
						  bitmap->name_bytes);
	bitmap->flags = be32_at(ENTRY_FIELD(flags));
	bitmap->flags_offset = at + offsetof(struct qcow2_bitmap_entry, flags);
	bitmap->granularity_bits = *ENTRY_FIELD(granularity_bits);
	bitmap->table_offset = be64_at(ENTRY_FIELD(bitmap_table_offset));
	bitmap->table_entries = be32_at(ENTRY_FIELD(bitmap_table_size));
	return bytes;
}

int qcow2_check_directory(const struct qcow2_store_header *header,
			  const void *data, bool may_be_stale,
			  struct qcow2_store_bitmap *bitmaps,
			  struct qcow2_store_error *error)
{
	u64 at = 0, bytes;
	u32 i, extra_bytes;
	u8 type;
	int r;

	for (i = 0; i < header->nr_bitmaps; i++)
		bitmaps[i].first_of_bucket = 0;
	for (i = 0; i < header->nr_bitmaps; i++) {
		bytes = parse_entry(header, data, at, i, &bitmaps[i],
				    &extra_bytes, error);
		if (!bytes)
			return -EINVAL;
		type = *((const u8 *)data + at +
			 offsetof(struct qcow2_bitmap_entry, type));
		r = check_entry(header, &bitmaps[i], type, extra_bytes,
				may_be_stale, error);
		if (!r)
			r = check_unique(bitmaps, header->nr_bitmaps, i, error);
		if (r)
			return r;
		at += bytes;
	}
	if (at != header->directory_bytes)
		return refuse(error, "the bitmap directory is larger than its entries");
	return 0;
}

int qcow2_store_check_directory(const struct qcow2_store_header *header,
				const void *data,
				struct qcow2_store_bitmap *bitmaps,
				struct qcow2_store_error *error)
{
	return qcow2_check_directory(header, data, false, bitmaps, error);
}

void qcow2_encode_bitmap_entry(void *at,
			       const struct qcow2_store_bitmap *bitmap)
{
	u8 *entry = at;

	put_be64(ENTRY_FIELD(bitmap_table_offset), bitmap->table_offset);
	put_be32(ENTRY_FIELD(bitmap_table_size), bitmap->table_entries);
	put_be32(ENTRY_FIELD(flags), bitmap->flags);
	*ENTRY_FIELD(type) = QCOW2_BITMAP_TYPE_DIRTY;
	*ENTRY_FIELD(granularity_bits) = bitmap->granularity_bits;
	put_be16(ENTRY_FIELD(name_size), bitmap->name_bytes);
	memcpy(entry + sizeof(struct qcow2_bitmap_entry), bitmap->name,
	       bitmap->name_bytes);
}

static int check_table_entry(const struct qcow2_store_header *header,
			     const struct qcow2_store_bitmap *bitmap, u32 index,
			     u64 entry, bool preallocated,
			     struct qcow2_store_error *error)
{
	u64 offset = qcow2_bitmap_table_offset(entry);

	if (qcow2_bitmap_table_is_reserved(entry))
		return refuse_bitmap(error, bitmap,
				     "reserved bits are set in entry %u of its table",
				     index);
	if (!offset && preallocated)
		return refuse_bitmap(error, bitmap,
				     "its clusters are not allocated: run dmlive meta prepare");
	if (!offset)
		return 0;
	if (!is_aligned(header, offset))
		return refuse_bitmap(error, bitmap,
				     "entry %u of its table is not aligned to a cluster (offset %llu)",
				     index, (unsigned long long)offset);
	if (!is_inside(header, offset, cluster_bytes(header)))
		return refuse_bitmap(error, bitmap,
				     "entry %u of its table lies outside of the device (offset %llu)",
				     index, (unsigned long long)offset);
	return 0;
}

int qcow2_store_check_table(const struct qcow2_store_header *header,
			    const struct qcow2_store_bitmap *bitmap,
			    const __be64 *table, bool preallocated,
			    struct qcow2_store_error *error)
{
	u32 i;
	int r = 0;

	for (i = 0; !r && i < bitmap->table_entries; i++)
		r = check_table_entry(header, bitmap, i, be64_to_cpu(table[i]),
				      preallocated, error);
	return r;
}

void qcow2_set_bitmap_table(void *directory,
			    const struct qcow2_store_bitmap *bitmap,
			    u64 offset, u32 entries)
{
	struct qcow2_bitmap_entry *entry =
		directory + qcow2_bitmap_entry_start(bitmap);

	entry->bitmap_table_offset = cpu_to_be64(offset);
	entry->bitmap_table_size = cpu_to_be32(entries);
}

void qcow2_store_set_flags(void *flags_data, u32 flags)
{
	put_be32(flags_data, flags);
}

void qcow2_encode_state(struct qcow2_dmlive_state *state)
{
	state->version = cpu_to_be32(QCOW2_DMLIVE_STATE_VERSION);
	state->flags = 0;
}
