// SPDX-License-Identifier: GPL-2.0-only
/*
 * The header of a bitmap store and what its extensions say, see store-header.h.
 */
#include "bytes.h"
#include "extensions.h"
#include "tables.h"

static int check_extent(const struct qcow2_store_header *header, u64 offset,
			u64 bytes, const char *what,
			struct qcow2_store_error *error)
{
	return qcow2_check_extent(header->cluster_bits, header->device_bytes,
				  offset, bytes, what, error);
}

u32 qcow2_store_probe_cluster_bits(const void *data, size_t bytes)
{
	if (bytes < QCOW2_V3_MIN_HEADER_BYTES || !qcow2_is_image(data, bytes) ||
	    be32_at(HEADER_FIELD(data, version)) != 3)
		return 0;
	return qcow2_probe_cluster_bits(data, bytes);
}

static int check_store_features(const struct qcow2_fields *fields,
				struct qcow2_store_error *error)
{
	u64 features = fields->incompatible;

	if (features & QCOW2_INCOMPAT_CORRUPT)
		return refuse(error, "the image is marked corrupt");
	if (features & QCOW2_INCOMPAT_DIRTY)
		return refuse(error, "the image is marked dirty: run qemu-img check -r all");
	if (features & QCOW2_INCOMPAT_DATA_FILE)
		return refuse_unsupported(error, "the image has an external data file");
	features &= ~QCOW2_INCOMPAT_KNOWN;
	if (features)
		return refuse_unsupported(error, "unknown incompatible features %#llx",
					  (unsigned long long)features);
	return qcow2_check_features(fields, error);
}

/* For a store: all of the first cluster must be there. */
static int decode_store_fields(const void *data, size_t bytes,
			       u64 device_bytes, struct qcow2_fields *fields,
			       struct qcow2_store_error *error)
{
	u32 version;
	int r;

	if (!qcow2_is_image(data, bytes))
		return refuse_unsupported(error, "not a qcow2 image");
	version = be32_at(HEADER_FIELD(data, version));
	if (version != 3)
		return refuse_unsupported(error, "qcow2 version %u, not 3",
					  version);
	r = qcow2_decode_fields(data, bytes, fields, error);
	if (r)
		return r;
	if (bytes < 1U << fields->cluster_bits ||
	    device_bytes < 1U << fields->cluster_bits)
		return refuse(error, "the first cluster is cut off");
	return check_store_features(fields, error);
}

static int check_bitmaps_extension(const void *payload, u32 bytes,
				   struct qcow2_store_header *header,
				   struct qcow2_store_error *error)
{
	struct qcow2_bitmaps_info info;
	int r;

	r = qcow2_decode_bitmaps_info(payload, bytes, header->cluster_bits,
				      header->device_bytes, &info, error);
	if (r)
		return r;
	header->nr_bitmaps = info.nr;
	header->directory_bytes = info.directory_bytes;
	header->directory_offset = info.directory_offset;
	return 0;
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
 * first, QEMU has written a new header, and they are no longer valid.
 */
static int check_sector_extension(const char *name, u32 bytes, size_t at,
				  bool valid, u64 *sector_offset,
				  struct qcow2_store_error *error)
{
	if (!valid)
		return 0;
	if (bytes < QCOW2_DMLIVE_SECTOR_BYTES ||
	    (at + bytes) % QCOW2_DMLIVE_SECTOR_BYTES)
		return refuse(error, "the %s extension does not end with a sector",
			      name);
	*sector_offset = at + bytes - QCOW2_DMLIVE_SECTOR_BYTES;
	return 0;
}

/*
 * @seen: which of the known ones were found; @state_is_first: the first extension is
 * the state, within the first sector
 */
static int check_extension(const void *data,
			   const struct qcow2_extension_info *extension,
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
	const u8 *payload = (const u8 *)data + extension->at;
	const u32 bytes = extension->bytes;
	const size_t at = extension->at;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(known); i++) {
		if (extension->type != known[i].type)
			continue;
		if (*seen & 1U << i)
			return refuse(error, "there are two %s extensions",
				      known[i].name);
		*seen |= 1U << i;
	}
	switch (extension->type) {
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

static int check_extensions(const void *data, size_t bytes,
			    const struct qcow2_fields *fields,
			    struct qcow2_store_header *header,
			    struct qcow2_store_error *error)
{
	const size_t first = fields->header_bytes +
			     sizeof(struct qcow2_extension);
	struct qcow2_extension_info extension;
	struct qcow2_extension_walk walk;
	bool state_is_first = false;
	u32 seen = 0;
	int r;

	qcow2_extensions_start(&walk, data, bytes, fields);
	while ((r = qcow2_extensions_next(&walk, &extension, error)) > 0) {
		if (extension.at == first)
			state_is_first =
				extension.type == QCOW2_EXT_DMLIVE_STATE &&
				extension.at + extension.bytes <=
				QCOW2_DMLIVE_SECTOR_BYTES;
		r = check_extension(data, &extension, state_is_first, header,
				    &seen, error);
		if (r)
			return r;
	}
	return r;
}

/* An L1 table must be there for all of the image, even if it is empty. */
static int check_l1(const struct qcow2_fields *fields,
		    struct qcow2_store_header *header,
		    struct qcow2_store_error *error)
{
	u64 needed = qcow2_l1_entries_needed(fields->cluster_bits,
					     fields->incompatible,
					     fields->size_bytes);

	if (fields->l1_entries < needed)
		return refuse(error, "the L1 table has %u entries, the image's size needs %llu",
			      fields->l1_entries, (unsigned long long)needed);
	header->l1_offset = fields->l1_offset;
	header->l1_bytes = fields->l1_entries * 8ULL;
	if (header->l1_bytes > QCOW2_MAX_L1_BYTES)
		return refuse(error, "the L1 table is too large");
	if (!header->l1_bytes)
		return 0;
	return check_extent(header, header->l1_offset, header->l1_bytes,
			    "the L1 table", error);
}

static int check_snapshots(const struct qcow2_fields *fields,
			   struct qcow2_store_header *header,
			   struct qcow2_store_error *error)
{
	if (!fields->nr_snapshots)
		return 0;
	if (fields->nr_snapshots > QCOW2_MAX_SNAPSHOTS)
		return refuse(error, "invalid number of snapshots %u",
			      fields->nr_snapshots);
	header->snapshots_offset = fields->snapshots_offset;
	/* Names make it longer; only the table itself says by how much. */
	header->snapshots_bytes =
		fields->nr_snapshots * (u64)sizeof(struct qcow2_snapshot_entry);
	return check_extent(header, header->snapshots_offset,
			    header->snapshots_bytes, "the snapshot table",
			    error);
}

/* The tables that the header points to: checks where they are, not their content. */
static int check_tables(const struct qcow2_fields *fields,
			struct qcow2_store_header *header,
			struct qcow2_store_error *error)
{
	int r;

	header->refcount_order = fields->refcount_order;
	header->refcount_table_offset = fields->refcount_table_offset;
	header->refcount_table_bytes = (u64)fields->refcount_table_clusters <<
				       fields->cluster_bits;
	if (!header->refcount_table_bytes ||
	    header->refcount_table_bytes > QCOW2_MAX_REFCOUNT_TABLE_BYTES)
		return refuse(error, "the refcount table has an invalid size of %llu bytes",
			      (unsigned long long)header->refcount_table_bytes);
	r = check_extent(header, header->refcount_table_offset,
			 header->refcount_table_bytes, "the refcount table",
			 error);
	if (!r)
		r = check_l1(fields, header, error);
	if (!r)
		r = check_snapshots(fields, header, error);
	return r;
}

int qcow2_store_check_header(const void *data, size_t bytes, u64 device_bytes,
			     struct qcow2_store_header *header,
			     struct qcow2_store_error *error)
{
	struct qcow2_fields fields;
	int r;

	memset(header, 0, sizeof(*header));
	r = decode_store_fields(data, bytes, device_bytes, &fields, error);
	if (r)
		return r;
	header->device_bytes = device_bytes;
	header->cluster_bits = fields.cluster_bits;
	header->size_bytes = fields.size_bytes;
	header->backing_offset = fields.backing_offset;
	header->backing_bytes = fields.backing_bytes;
	r = check_extensions(data, bytes, &fields, header, error);
	if (!r)
		r = check_tables(&fields, header, error);
	if (r)
		return r;
	header->bitmaps_valid = header->nr_bitmaps &&
		((fields.autoclear & QCOW2_AUTOCLEAR_BITMAPS) ||
		 (header->state_flags & QCOW2_DMLIVE_UPDATING));
	header->closing = fields.autoclear >> QCOW2_AUTOCLEAR_CLOSING_SHIFT &
			  QCOW2_AUTOCLEAR_CLOSING_MAX;
	return 0;
}
