/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_HEADER_H
#define DM_LIVE_QCOW2_HEADER_H

/* The header of a qcow2 image, as plain numbers. */

#include "error.h"

/**
 * struct qcow2_fields - the header as native numbers
 *
 * Named as in struct qcow2_header, or as follows. Fields that version 2 lacks have
 * the values that version 3 has for such an image.
 * @header_bytes: where the extensions begin
 * @backing_offset: of the name of the backing file, 0: there is none
 * @backing_bytes: its length
 */
struct qcow2_fields {
	u32 version;
	u32 cluster_bits;
	u64 size_bytes;
	u32 l1_entries;
	u64 l1_offset;
	u64 refcount_table_offset;
	u32 refcount_table_clusters;
	u32 refcount_order;
	u32 nr_snapshots;
	u64 snapshots_offset;
	u64 incompatible;
	u64 compatible;
	u64 autoclear;
	u32 header_bytes;
	u8 compression;
	u64 backing_offset;
	u32 backing_bytes;
};

/** qcow2_is_image - do these bytes start a qcow2 image, of whatever version? */
bool qcow2_is_image(const void *data, size_t bytes);

/** qcow2_probe_cluster_bits - from the first 72 bytes; 0: not an image, or invalid */
u32 qcow2_probe_cluster_bits(const void *data, size_t bytes);

/**
 * qcow2_decode_fields - the header as numbers
 * @data: the start of the image
 * @bytes: how many of its bytes are there; missing bytes of the first cluster hold
 *	zeros
 *
 * Checks the version, the size of clusters, that the image is not encrypted, and that
 * the header and the name of the backing file lie within the first cluster.
 */
int qcow2_decode_fields(const void *data, size_t bytes,
			struct qcow2_fields *fields,
			struct qcow2_store_error *error);

/**
 * qcow2_encode_fields - make the header of a new image, of version 3
 * @data: room for struct qcow2_header
 * @fields: all but version and header_bytes: the extensions begin behind struct
 *	qcow2_header
 */
void qcow2_encode_fields(void *data, const struct qcow2_fields *fields);

/** qcow2_set_size - of the virtual disk, in bytes */
void qcow2_set_size(void *data, u64 bytes);

/** qcow2_set_l1 - the L1 table was copied elsewhere */
void qcow2_set_l1(void *data, u64 offset, u32 entries);

/**
 * qcow2_set_backing_offset - the name of the backing file was copied elsewhere
 * Return: where the eight bytes are that change.
 */
size_t qcow2_set_backing_offset(void *header_data, u64 offset);

/** qcow2_check_features - do known features and the other fields fit together? */
int qcow2_check_features(const struct qcow2_fields *fields,
			 struct qcow2_store_error *error);

/**
 * struct qcow2_bitmaps_info - what the bitmaps extension says
 * @nr: number of directory entries
 * @directory_offset: in bytes
 * @directory_bytes: size of it
 */
struct qcow2_bitmaps_info {
	u32 nr;
	u64 directory_offset;
	u64 directory_bytes;
};

/**
 * qcow2_decode_bitmaps_info - check the payload of a bitmaps extension
 * @bytes: of the payload
 * @image_bytes: where the image ends at the latest
 */
int qcow2_decode_bitmaps_info(const void *payload, u32 bytes, u32 cluster_bits,
			      u64 image_bytes, struct qcow2_bitmaps_info *info,
			      struct qcow2_store_error *error);

/** qcow2_encode_bitmaps_info - the payload, struct qcow2_bitmaps_extension */
void qcow2_encode_bitmaps_info(void *payload,
			       const struct qcow2_bitmaps_info *info);

/**
 * qcow2_check_extent - a structure that starts at a cluster and lies within the image
 * @what: "the L1 table", for the message
 */
int qcow2_check_extent(u32 cluster_bits, u64 image_bytes, u64 offset, u64 bytes,
		       const char *what, struct qcow2_store_error *error);

/**
 * qcow2_store_set_autoclear - set or clear autoclear bit 0 in the header
 *
 * Bits that are not known are cleared in any case.
 * Return: where the eight bytes are that change.
 */
size_t qcow2_store_set_autoclear(void *header_data, bool valid);

/**
 * qcow2_drop_unknown_autoclear - clear the autoclear bits that are not known
 * Return: where the eight bytes are that change; 0: none do.
 */
size_t qcow2_drop_unknown_autoclear(void *header_data);

/**
 * qcow2_store_set_closing - leave the number of a closing in the header
 * @closing: at most QCOW2_AUTOCLEAR_CLOSING_MAX; 0: none
 */
void qcow2_store_set_closing(void *header_data, u64 closing);

#endif /* DM_LIVE_QCOW2_HEADER_H */
