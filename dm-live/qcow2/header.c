// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checks of a bitmap store's header and of its extensions, see
 * directory.h.
 *
 * All sums are made so that they cannot overflow: an offset is compared with
 * what is left, never added to a length first.
 */
#include "bytes.h"

#define SECTOR_BYTES	512u

#define HEADER_FIELD(data, field) \
	((const u8 *)(data) + offsetof(struct qcow2_header, field))

/* A structure that starts at a cluster and lies within the device. */
static int check_extent(const struct qcow2_store_header *header, u64 offset,
			u64 bytes, const char *what,
			struct qcow2_store_error *error)
{
	if (!offset)
		return refuse(error, "%s lies on the header", what);
	if (!is_aligned(header, offset))
		return refuse(error, "%s is not aligned to a cluster (offset %llu)",
			      what, (unsigned long long)offset);
	if (!is_inside(header, offset, bytes))
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
		return refuse_unsupported(error, "the image has an external data file");
	features &= ~(QCOW2_INCOMPAT_COMPRESSION | QCOW2_INCOMPAT_EXTENDED_L2);
	if (features)
		return refuse_unsupported(error, "unknown incompatible features %#llx",
					  (unsigned long long)features);
	if (be32_at(HEADER_FIELD(data, crypt_method)))
		return refuse_unsupported(error, "the image is encrypted");
	return 0;
}

/* What can be said before the first cluster is known to be there. */
static int check_start(const void *data, size_t bytes,
		       struct qcow2_store_header *header,
		       struct qcow2_store_error *error)
{
	u32 version;

	if (bytes < QCOW2_V3_MIN_HEADER_BYTES ||
	    be32_at(HEADER_FIELD(data, magic)) != QCOW2_MAGIC)
		return refuse_unsupported(error, "not a qcow2 image");
	version = be32_at(HEADER_FIELD(data, version));
	if (version != 3)
		return refuse_unsupported(error, "qcow2 version %u, not 3",
					  version);
	header->cluster_bits = be32_at(HEADER_FIELD(data, cluster_bits));
	if (header->cluster_bits < QCOW2_MIN_CLUSTER_BITS ||
	    header->cluster_bits > QCOW2_MAX_CLUSTER_BITS)
		return refuse(error, "invalid cluster size: cluster_bits is %u",
			      header->cluster_bits);
	if (bytes < cluster_bytes(header) ||
	    header->device_bytes < cluster_bytes(header))
		return refuse(error, "the first cluster is cut off");
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
	    header->directory_bytes <
	    header->nr_bitmaps * (u64)sizeof(struct qcow2_bitmap_entry))
		return refuse(error, "the bitmap directory has an invalid size of %llu bytes",
			      (unsigned long long)header->directory_bytes);
	return check_extent(header, header->directory_offset,
			    header->directory_bytes, "the bitmap directory",
			    error);
}

/* @at: offset of the payload */
static int check_state_extension(const void *payload, u32 bytes, size_t at,
				 struct qcow2_store_header *header,
				 struct qcow2_store_error *error)
{
	const size_t flags = offsetof(struct qcow2_dmlive_state, flags);
	u32 version;

	if (bytes != sizeof(struct qcow2_dmlive_state))
		return refuse(error, "the state extension has %u bytes, not %zu",
			      bytes, sizeof(struct qcow2_dmlive_state));
	version = be32_at(payload);
	if (version != QCOW2_DMLIVE_STATE_VERSION)
		return refuse_unsupported(error, "the state extension has version %u, not %u",
					  version, QCOW2_DMLIVE_STATE_VERSION);
	header->state_flags = be32_at((const u8 *)payload + flags);
	if (header->state_flags & QCOW2_DMLIVE_RESERVED_FLAGS)
		return refuse_unsupported(error, "the state extension has unknown flags %#x",
					  header->state_flags);
	header->state_offset = at + flags;
	return 0;
}

/*
 * Generations and seal are the last sector of the payload. Where the state is not
 * first, QEMU has written a new header: then they say nothing any more.
 */
static int check_sector_extension(const char *name, u32 bytes, size_t at,
				  bool valid, u64 *sector_offset,
				  struct qcow2_store_error *error)
{
	if (!valid)
		return 0;
	if (bytes < SECTOR_BYTES || (at + bytes) % SECTOR_BYTES)
		return refuse(error, "the %s extension does not end with a sector",
			      name);
	*sector_offset = at + bytes - SECTOR_BYTES;
	return 0;
}

/*
 * @at: offset of the payload; @seen: which of the known ones there were;
 * @state_is_first: the first extension is the state, within the first sector
 */
static int check_extension(const void *data, size_t at, u32 type, u32 bytes,
			   bool state_is_first,
			   struct qcow2_store_header *header, u32 *seen,
			   struct qcow2_store_error *error)
{
	static const struct {
		u32 type;
		const char *name;
	} known[] = {
		{ QCOW2_EXT_BITMAPS, "bitmaps" },
		{ QCOW2_EXT_DMLIVE_STATE, "state" },
		{ QCOW2_EXT_DMLIVE_GENERATIONS, "generations" },
		{ QCOW2_EXT_DMLIVE_RESTORE, "restore" },
		{ QCOW2_EXT_DMLIVE_SEAL, "seal" },
	};
	const u8 *payload = (const u8 *)data + at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (type != known[i].type)
			continue;
		if (*seen & 1U << i)
			return refuse(error, "there are two %s extensions",
				      known[i].name);
		*seen |= 1U << i;
	}
	switch (type) {
	case QCOW2_EXT_BITMAPS:
		return check_bitmaps_extension(payload, bytes, header, error);
	case QCOW2_EXT_DMLIVE_STATE:
		return check_state_extension(payload, bytes, at, header, error);
	case QCOW2_EXT_DMLIVE_GENERATIONS:
		return check_sector_extension("generations", bytes, at,
					      state_is_first,
					      &header->generations_offset,
					      error);
	case QCOW2_EXT_DMLIVE_SEAL:
		return check_sector_extension("seal", bytes, at, state_is_first,
					      &header->seal_offset, error);
	case QCOW2_EXT_CRYPTO_HEADER:
		return refuse_unsupported(error, "the image is encrypted");
	}
	return 0;
}

/* The extensions from @start on, which must end before @end. */
static int check_extensions(const void *data, size_t start, size_t end,
			    struct qcow2_store_header *header,
			    struct qcow2_store_error *error)
{
	bool state_is_first = false;
	size_t at = start;
	u32 seen = 0;

	while (at < end) {
		const u8 *extension = (const u8 *)data + at;
		u32 type, bytes;
		int r;

		if (end - at < sizeof(struct qcow2_extension))
			return refuse(error, "a header extension is cut off");
		type = be32_at(extension);
		bytes = be32_at(extension +
				offsetof(struct qcow2_extension, length));
		if (type == QCOW2_EXT_END)
			return 0;
		at += sizeof(struct qcow2_extension);
		if (bytes > end - at)
			return refuse(error, "header extension %#x reaches past its end",
				      type);
		if (at == start + sizeof(struct qcow2_extension))
			state_is_first = type == QCOW2_EXT_DMLIVE_STATE &&
					 at + bytes <= SECTOR_BYTES;
		r = check_extension(data, at, type, bytes, state_is_first,
				    header, &seen, error);
		if (r)
			return r;
		/* The padding of the last one may be cut off. */
		at += min_t(size_t, end - at, ((size_t)bytes + 7) & ~(size_t)7);
	}
	return 0;
}

/* An L1 table must be there for all of the image, even if it is empty. */
static int check_l1(const void *data, struct qcow2_store_header *header,
		    struct qcow2_store_error *error)
{
	u64 features = be64_at(HEADER_FIELD(data, incompatible_features));
	u32 entries = be32_at(HEADER_FIELD(data, l1_size));
	u32 entry_bits = features & QCOW2_INCOMPAT_EXTENDED_L2 ? 4 : 3;
	u32 shift = 2 * header->cluster_bits - entry_bits;
	u64 needed = 0;

	if (header->size_bytes)
		needed = ((header->size_bytes - 1) >> shift) + 1;
	if (entries < needed)
		return refuse(error, "the L1 table has %u entries, the image's size needs %llu",
			      entries, (unsigned long long)needed);
	header->l1_offset = be64_at(HEADER_FIELD(data, l1_table_offset));
	header->l1_bytes = entries * 8ULL;
	if (header->l1_bytes > QCOW2_MAX_L1_BYTES)
		return refuse(error, "the L1 table is too large");
	if (!header->l1_bytes)
		return 0;
	return check_extent(header, header->l1_offset, header->l1_bytes,
			    "the L1 table", error);
}

static int check_snapshots(const void *data, struct qcow2_store_header *header,
			   struct qcow2_store_error *error)
{
	u32 nr = be32_at(HEADER_FIELD(data, nb_snapshots));

	if (!nr)
		return 0;
	if (nr > QCOW2_MAX_SNAPSHOTS)
		return refuse(error, "invalid number of snapshots %u", nr);
	header->snapshots_offset = be64_at(HEADER_FIELD(data, snapshots_offset));
	/* Names make it longer; how much stands in it only. */
	header->snapshots_bytes =
		nr * (u64)sizeof(struct qcow2_snapshot_entry);
	return check_extent(header, header->snapshots_offset,
			    header->snapshots_bytes, "the snapshot table",
			    error);
}

/* Tables that the header tells of: where they are, not what they say. */
static int check_tables(const void *data, struct qcow2_store_header *header,
			struct qcow2_store_error *error)
{
	u32 refcount_order = be32_at(HEADER_FIELD(data, refcount_order));
	int r;

	if (refcount_order > QCOW2_MAX_REFCOUNT_ORDER)
		return refuse(error, "invalid refcount order %u",
			      refcount_order);
	header->refcount_table_offset =
		be64_at(HEADER_FIELD(data, refcount_table_offset));
	header->refcount_table_bytes =
		(u64)be32_at(HEADER_FIELD(data, refcount_table_clusters)) <<
		header->cluster_bits;
	if (!header->refcount_table_bytes ||
	    header->refcount_table_bytes > QCOW2_MAX_REFCOUNT_TABLE_BYTES)
		return refuse(error, "the refcount table has an invalid size of %llu bytes",
			      (unsigned long long)header->refcount_table_bytes);
	r = check_extent(header, header->refcount_table_offset,
			 header->refcount_table_bytes, "the refcount table",
			 error);
	if (!r)
		r = check_l1(data, header, error);
	if (!r)
		r = check_snapshots(data, header, error);
	return r;
}

/* Where the extensions end: where the backing file's name begins, if any. */
static int check_backing(const void *data, u32 header_bytes, size_t *end,
			 struct qcow2_store_error *error)
{
	u64 offset = be64_at(HEADER_FIELD(data, backing_file_offset));
	u32 bytes = be32_at(HEADER_FIELD(data, backing_file_size));

	if (!offset)
		return 0;
	if (bytes > QCOW2_MAX_BACKING_NAME_BYTES || offset < header_bytes ||
	    offset > *end || bytes > *end - offset)
		return refuse(error, "the name of the backing file is too long or lies outside of the first cluster");
	*end = offset;
	return 0;
}

int qcow2_store_check_header(const void *data, size_t bytes, u64 device_bytes,
			     struct qcow2_store_header *header,
			     struct qcow2_store_error *error)
{
	u32 header_bytes;
	u64 autoclear;
	size_t end;
	int r;

	memset(header, 0, sizeof(*header));
	header->device_bytes = device_bytes;
	r = check_start(data, bytes, header, error);
	if (!r)
		r = check_features(data, error);
	if (r)
		return r;
	end = cluster_bytes(header);
	header->size_bytes = be64_at(HEADER_FIELD(data, size));
	header_bytes = be32_at(HEADER_FIELD(data, header_length));
	if (header_bytes < QCOW2_V3_MIN_HEADER_BYTES || header_bytes % 8 ||
	    header_bytes > end)
		return refuse(error, "invalid header length %u", header_bytes);
	r = check_backing(data, header_bytes, &end, error);
	if (!r)
		r = check_extensions(data, header_bytes, end, header, error);
	if (!r)
		r = check_tables(data, header, error);
	if (r)
		return r;
	autoclear = be64_at(HEADER_FIELD(data, autoclear_features));
	header->bitmaps_valid = header->nr_bitmaps &&
		((autoclear & QCOW2_AUTOCLEAR_BITMAPS) ||
		 (header->state_flags & QCOW2_DMLIVE_UPDATING));
	header->closing = autoclear >> QCOW2_AUTOCLEAR_CLOSING_SHIFT &
			  QCOW2_AUTOCLEAR_CLOSING_MAX;
	return 0;
}

void qcow2_store_set_autoclear(void *header_data, bool valid)
{
	u8 *at = (u8 *)header_data +
		 offsetof(struct qcow2_header, autoclear_features);
	u64 features = be64_at(at) & QCOW2_AUTOCLEAR_KNOWN;

	if (valid)
		features |= QCOW2_AUTOCLEAR_BITMAPS;
	else
		features &= ~QCOW2_AUTOCLEAR_BITMAPS;
	put_be64(at, features);
}

void qcow2_store_set_closing(void *header_data, u64 closing)
{
	u8 *at = (u8 *)header_data +
		 offsetof(struct qcow2_header, autoclear_features);
	u64 features = be64_at(at);

	features &= ~(QCOW2_AUTOCLEAR_CLOSING_MAX <<
		      QCOW2_AUTOCLEAR_CLOSING_SHIFT);
	put_be64(at, features | closing << QCOW2_AUTOCLEAR_CLOSING_SHIFT);
}

void qcow2_store_set_flags(void *flags_data, u32 flags)
{
	put_be32(flags_data, flags);
}
