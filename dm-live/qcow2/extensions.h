/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_EXTENSIONS_H
#define DM_LIVE_QCOW2_EXTENSIONS_H

/*
 * The header extensions of an image: each a type, a length and the payload, padded to
 * a multiple of 8. They begin behind the header and end with a mark, or where the name
 * of the backing file begins, or with the first cluster.
 */

#include "header.h"

/**
 * struct qcow2_extension_walk - a walk over the extensions
 * @data: the first cluster
 * @at: where the next extension starts
 * @end: where they end at the latest
 */
struct qcow2_extension_walk {
	const u8 *data;
	size_t at;
	size_t end;
};

/**
 * struct qcow2_extension_info - an extension that a walk has come to
 * @type: QCOW2_EXT_*, or one that is not known
 * @at: offset of the payload
 * @bytes: of the payload; all are there
 */
struct qcow2_extension_info {
	u32 type;
	size_t at;
	u32 bytes;
};

/**
 * qcow2_extensions_start - start a walk
 * @data: the first cluster; kept by reference
 * @bytes: how many of its bytes are there
 * @fields: decoded from it
 */
void qcow2_extensions_start(struct qcow2_extension_walk *walk, const void *data,
			    size_t bytes, const struct qcow2_fields *fields);

/**
 * qcow2_extensions_next - step to the next extension
 * Return: 1; or 0 after the last one; or -EINVAL, with a message.
 */
int qcow2_extensions_next(struct qcow2_extension_walk *walk,
			  struct qcow2_extension_info *extension,
			  struct qcow2_store_error *error);

/**
 * qcow2_extensions_find - the first extension of a type
 * @data: the first cluster
 * @bytes: how many of its bytes are there
 * @least: bytes that its payload must have at least
 * @found_bytes: set to the bytes that it has
 * Return: offset of the payload; 0: there is none.
 */
size_t qcow2_extensions_find(const void *data, size_t bytes, u32 type,
			     u32 least, u32 *found_bytes);

/** qcow2_extension_is_standard - is it one of qcow2's own, or the mark of the end? */
bool qcow2_extension_is_standard(u32 type);

/** qcow2_extension_bytes - size of an extension with this much payload */
static inline u64 qcow2_extension_bytes(u32 bytes)
{
	return sizeof(struct qcow2_extension) + (((u64)bytes + 7) & ~7ULL);
}

/**
 * qcow2_sector_extension_bytes - payload whose last 512 bytes are a sector of the image
 * @at: offset of the payload
 */
static inline u32 qcow2_sector_extension_bytes(size_t at)
{
	return -at % QCOW2_DMLIVE_SECTOR_BYTES + QCOW2_DMLIVE_SECTOR_BYTES;
}

/**
 * qcow2_pad_sector - make the payload of such an extension
 * @payload: zeros, room for two sectors
 * @at: offset of the payload
 * Return: its bytes.
 */
u32 qcow2_pad_sector(u8 *payload, size_t at, const void *sector);

/**
 * qcow2_put_extension - write an extension
 * @data: the first cluster; zeros where the extension comes
 * @room: bytes of @data
 * @at: where it starts, 0: there was no room for one before
 * @payload: NULL: the extension is written, its payload is left to the caller
 * Return: where the next one starts; 0: there is no room.
 */
size_t qcow2_put_extension(void *data, size_t room, size_t at, u32 type,
			   const void *payload, u32 bytes);

/** qcow2_put_end_mark - the same for the mark of the end */
size_t qcow2_put_end_mark(void *data, size_t room, size_t at);

/**
 * qcow2_set_extension_type - of the extension whose payload is at @at
 * Return: where the four bytes are that change.
 */
size_t qcow2_set_extension_type(void *data, size_t at, u32 type);

/** qcow2_extensions_end_mark - offset of the mark of the end; 0: there is none */
size_t qcow2_extensions_end_mark(const void *data, size_t bytes);

#endif /* DM_LIVE_QCOW2_EXTENSIONS_H */
