// SPDX-License-Identifier: GPL-2.0-only
/* The walk over header extensions, see extensions.h. */
#include "bytes.h"
#include "extensions.h"

void qcow2_extensions_start(struct qcow2_extension_walk *walk, const void *data,
			    size_t bytes, const struct qcow2_fields *fields)
{
	u64 end = fields->backing_offset ?: 1ULL << fields->cluster_bits;

	walk->data = data;
	walk->at = fields->header_bytes;
	/* Bytes that are missing hold zeros: the mark of the end. */
	walk->end = min_t(u64, end, bytes);
}

int qcow2_extensions_next(struct qcow2_extension_walk *walk,
			  struct qcow2_extension_info *extension,
			  struct qcow2_store_error *error)
{
	const u8 *start = walk->data + walk->at;
	size_t left;

	if (walk->at >= walk->end)
		return 0;
	left = walk->end - walk->at;
	if (left < sizeof(struct qcow2_extension))
		return refuse(error, "a header extension is cut off, at %zu",
			      walk->at);
	extension->type = be32_at(start);
	if (extension->type == QCOW2_EXT_END)
		return 0;
	extension->bytes = be32_at(start +
				   offsetof(struct qcow2_extension, length));
	extension->at = walk->at + sizeof(struct qcow2_extension);
	left -= sizeof(struct qcow2_extension);
	if (extension->bytes > left)
		return refuse(error, "header extension %#x reaches past its end, at %zu",
			      extension->type, walk->at);
	/* The padding of the last one may be cut off. */
	walk->at = extension->at +
		   min_t(u64, left, ((u64)extension->bytes + 7) & ~7ULL);
	return 1;
}

bool qcow2_extension_is_standard(u32 type)
{
	switch (type) {
	case QCOW2_EXT_END:
	case QCOW2_EXT_BACKING_FORMAT:
	case QCOW2_EXT_FEATURE_NAMES:
	case QCOW2_EXT_BITMAPS:
	case QCOW2_EXT_CRYPTO_HEADER:
	case QCOW2_EXT_DATA_FILE:
		return true;
	}
	return false;
}

static bool start(struct qcow2_extension_walk *walk, const void *data,
		  size_t bytes)
{
	struct qcow2_store_error ignored;
	struct qcow2_fields fields;

	if (qcow2_decode_fields(data, bytes, &fields, &ignored))
		return false;
	qcow2_extensions_start(walk, data, bytes, &fields);
	return true;
}

size_t qcow2_extensions_find(const void *data, size_t bytes, u32 type,
			     u32 least, u32 *found_bytes)
{
	struct qcow2_extension_info extension;
	struct qcow2_extension_walk walk;
	struct qcow2_store_error ignored;

	if (!start(&walk, data, bytes))
		return 0;
	while (qcow2_extensions_next(&walk, &extension, &ignored) > 0) {
		if (extension.type != type || extension.bytes < least)
			continue;
		*found_bytes = extension.bytes;
		return extension.at;
	}
	return 0;
}

size_t qcow2_extensions_end_mark(const void *data, size_t bytes)
{
	struct qcow2_extension_info extension;
	struct qcow2_extension_walk walk;
	struct qcow2_store_error ignored;
	int r;

	if (!start(&walk, data, bytes))
		return 0;
	do {
		r = qcow2_extensions_next(&walk, &extension, &ignored);
	} while (r > 0);
	return !r && walk.at < walk.end ? walk.at : 0;
}

u32 qcow2_pad_sector(u8 *payload, size_t at, const void *sector)
{
	u32 bytes = qcow2_sector_extension_bytes(at);

	memcpy(payload + bytes - QCOW2_DMLIVE_SECTOR_BYTES, sector,
	       QCOW2_DMLIVE_SECTOR_BYTES);
	return bytes;
}

size_t qcow2_put_extension(void *data, size_t room, size_t at, u32 type,
			   const void *payload, u32 bytes)
{
	u8 *start = (u8 *)data + at;

	if (!at || at > room || qcow2_extension_bytes(bytes) > room - at)
		return 0;
	put_be32(start, type);
	put_be32(start + offsetof(struct qcow2_extension, length), bytes);
	if (payload && bytes)
		memcpy(start + sizeof(struct qcow2_extension), payload, bytes);
	return at + qcow2_extension_bytes(bytes);
}

size_t qcow2_put_end_mark(void *data, size_t room, size_t at)
{
	return qcow2_put_extension(data, room, at, QCOW2_EXT_END, NULL, 0);
}

size_t qcow2_set_extension_type(void *data, size_t at, u32 type)
{
	at -= sizeof(struct qcow2_extension);
	put_be32((u8 *)data + at, type);
	return at;
}
