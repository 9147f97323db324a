/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_BYTES_H
#define DM_LIVE_QCOW2_BYTES_H

/*
 * What the files of the codec share: numbers in buffers of any alignment, and how
 * something is refused. Not for other files.
 */

#include "directory.h"

#define HEADER_FIELD(data, field) \
	((const u8 *)(data) + offsetof(struct qcow2_header, field))
#define HEADER_PLACE(data, field) \
	((u8 *)(data) + offsetof(struct qcow2_header, field))

/*
 * Sums are made so that they cannot overflow: an offset is compared with what is left,
 * never added to a length first.
 */

static inline u16 be16_at(const void *data)
{
	__be16 value;

	memcpy(&value, data, sizeof(value));
	return be16_to_cpu(value);
}

static inline u32 be32_at(const void *data)
{
	__be32 value;

	memcpy(&value, data, sizeof(value));
	return be32_to_cpu(value);
}

static inline u64 be64_at(const void *data)
{
	__be64 value;

	memcpy(&value, data, sizeof(value));
	return be64_to_cpu(value);
}

static inline void put_be16(void *data, u16 number)
{
	__be16 value = cpu_to_be16(number);

	memcpy(data, &value, sizeof(value));
}

static inline void put_be32(void *data, u32 number)
{
	__be32 value = cpu_to_be32(number);

	memcpy(data, &value, sizeof(value));
}

static inline void put_be64(void *data, u64 number)
{
	__be64 value = cpu_to_be64(number);

	memcpy(data, &value, sizeof(value));
}

/* Names come from the device: their control characters must not get into a log. */
static inline int refused(struct qcow2_store_error *error, int code)
{
	char *at;

	for (at = error->message; *at; at++)
		if ((u8)*at < 0x20 || *at == 0x7f)
			*at = '?';
	return code;
}

#define refuse(error, ...) \
	(snprintf((error)->message, sizeof((error)->message), __VA_ARGS__), \
	 refused(error, -EINVAL))

/* What is valid by the specification, but not supported here. */
#define refuse_unsupported(error, ...) \
	(snprintf((error)->message, sizeof((error)->message), __VA_ARGS__), \
	 refused(error, -EOPNOTSUPP))

/* As refuse(), with the name of the bitmap (cut, if it is long) in front. */
#define refuse_bitmap(error, bitmap, format, ...) \
	refuse(error, "bitmap '%.*s': " format, name_width(bitmap), \
	       (bitmap)->name, ##__VA_ARGS__)

static inline int name_width(const struct qcow2_store_bitmap *bitmap)
{
	return min_t(int, bitmap->name_bytes, 64);
}

static inline u64 cluster_bytes(const struct qcow2_store_header *header)
{
	return 1ULL << header->cluster_bits;
}

/* Does it start at a cluster other than the first, and lie within the device? */
static inline bool is_aligned(const struct qcow2_store_header *header,
			      u64 offset)
{
	return offset && !(offset & (cluster_bytes(header) - 1));
}

static inline bool is_inside(const struct qcow2_store_header *header,
			     u64 offset, u64 bytes)
{
	return offset <= header->device_bytes &&
	       bytes <= header->device_bytes - offset;
}

#endif /* DM_LIVE_QCOW2_BYTES_H */
