// SPDX-License-Identifier: GPL-2.0-only
/* Structured mutation of qcow2 images. */
#include <endian.h>
#include <string.h>

#include "qcow2-format.h"
#include "qcow2-mutate.h"

struct image {
	uint8_t *bytes;
	size_t size;
	uint64_t cluster_bytes;
	uint64_t *random;
};

/* A place in the file that has fields of one width. */
struct area {
	const char *structure;
	uint64_t offset;
	uint64_t length;
	unsigned int width;
};

static uint64_t next(struct image *image)
{
	uint64_t x = *image->random ?: 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*image->random = x;
	return x * 0x2545f4914f6cdd1dULL >> 16;
}

static uint64_t get(const struct image *image, uint64_t offset,
		    unsigned int width)
{
	uint64_t value = 0;
	unsigned int i;

	for (i = 0; i < width; i++)
		value = value << 8 | image->bytes[offset + i];
	return value;
}

static uint64_t get_field(const struct image *image, uint64_t offset)
{
	return offset <= image->size && image->size - offset >= 8 ?
	       get(image, offset, 8) : 0;
}

static const struct header_field {
	unsigned int offset;
	unsigned int width;
} header_fields[] = {
	{ offsetof(struct qcow2_header, version), 4 },
	{ offsetof(struct qcow2_header, backing_file_offset), 8 },
	{ offsetof(struct qcow2_header, backing_file_size), 4 },
	{ offsetof(struct qcow2_header, cluster_bits), 4 },
	{ offsetof(struct qcow2_header, size), 8 },
	{ offsetof(struct qcow2_header, crypt_method), 4 },
	{ offsetof(struct qcow2_header, l1_size), 4 },
	{ offsetof(struct qcow2_header, l1_table_offset), 8 },
	{ offsetof(struct qcow2_header, refcount_table_offset), 8 },
	{ offsetof(struct qcow2_header, refcount_table_clusters), 4 },
	{ offsetof(struct qcow2_header, nb_snapshots), 4 },
	{ offsetof(struct qcow2_header, snapshots_offset), 8 },
	{ offsetof(struct qcow2_header, incompatible_features), 8 },
	{ offsetof(struct qcow2_header, compatible_features), 8 },
	{ offsetof(struct qcow2_header, autoclear_features), 8 },
	{ offsetof(struct qcow2_header, refcount_order), 4 },
	{ offsetof(struct qcow2_header, header_length), 4 },
	{ offsetof(struct qcow2_header, compression_type), 1 },
};

#define NR_FIELDS (sizeof(header_fields) / sizeof(header_fields[0]))

static uint64_t header_value(const struct image *image, size_t field)
{
	return get(image, field, 8);
}

#define HEADER(image, field) \
	header_value(image, offsetof(struct qcow2_header, field))

/* The cluster that an entry of the table at @table refers to. */
static uint64_t follow(struct image *image, uint64_t table, uint64_t entries)
{
	uint64_t entry;
	int tries;

	for (tries = 0; tries < 20; tries++) {
		entry = get_field(image, table + next(image) % (entries + 1) * 8);
		entry &= QCOW2_L2E_OFFSET_MASK;
		if (entry && entry < image->size)
			return entry;
	}
	return 0;
}

static struct area choose_area(struct image *image)
{
	uint64_t l1 = HEADER(image, l1_table_offset);
	uint64_t l1_entries = get(image, offsetof(struct qcow2_header, l1_size), 4);
	uint64_t refcounts = HEADER(image, refcount_table_offset);
	uint64_t cluster = image->cluster_bytes;
	uint64_t l2 = follow(image, l1, l1_entries);
	const struct header_field *field;

	switch (next(image) % 12) {
	case 0:
	case 1:
		field = &header_fields[next(image) % NR_FIELDS];
		return (struct area) { "header", field->offset, field->width,
				       field->width };
	case 2:
		return (struct area) { "header extensions", 104, 400, 4 };
	case 3:
		return (struct area) { "L1 table", l1, l1_entries * 8, 8 };
	case 4:
		return (struct area) { "refcount table", refcounts, 64, 8 };
	case 5:
		return (struct area) { "refcount block",
				       follow(image, refcounts, 8), 64, 2 };
	case 6:
		return (struct area) { "snapshot table",
				       HEADER(image, snapshots_offset), 128, 4 };
	case 7:
		return (struct area) { "data", follow(image, l2, cluster / 8),
				       cluster, 1 };
	default:
		/* Mostly the used entries, at the start. */
		return (struct area) { "L2 table", l2, next(image) % 2 ? 64 :
				       cluster, 8 };
	}
}

static uint64_t interesting(struct image *image)
{
	const uint64_t values[] = {
		0, ~0ULL, 1, 512, image->cluster_bytes, image->size,
		image->size - image->size % image->cluster_bytes,
		QCOW2_OFLAG_COPIED, QCOW2_OFLAG_COMPRESSED, 1ULL << 62, 0x7fffffff,
		0x80000000, 0x7fffffffffffffff, 0x00fffffffffffe00,
		HEADER(image, l1_table_offset),
		HEADER(image, refcount_table_offset),
	};

	return values[next(image) % (sizeof(values) / sizeof(values[0]))];
}

static uint64_t change(struct image *image, uint64_t value)
{
	switch (next(image) % 8) {
	case 0:
		return interesting(image);
	case 1:
		return value + image->cluster_bytes;
	case 2:
		return value - image->cluster_bytes;
	case 3:
		return value ^ interesting(image);
	case 4:
		return value + (next(image) % 2 ? 1 : -1);
	case 5:
		return next(image) % (image->size + 1) /
		       image->cluster_bytes * image->cluster_bytes |
		       (value & QCOW2_OFLAG_COPIED);
	default:
		return value ^ 1ULL << next(image) % 64;
	}
}

void qcow2_mutate(uint8_t *bytes, size_t size, uint64_t *random,
		  struct qcow2_mutation *mutation)
{
	struct image image = { .bytes = bytes, .size = size, .random = random };
	uint64_t offset, value;
	struct area area;
	unsigned int i, bits;

	memset(mutation, 0, sizeof(*mutation));
	if (size < sizeof(struct qcow2_header))
		return;
	bits = get(&image, offsetof(struct qcow2_header, cluster_bits), 4);
	image.cluster_bytes = 1ULL << (bits >= 9 && bits <= 21 ? bits : 9);
	area = choose_area(&image);
	if (area.length < area.width || area.offset > size ||
	    size - area.offset < area.length)
		return;
	offset = area.offset +
		 next(&image) % (area.length / area.width) * area.width;
	value = get(&image, offset, area.width);
	mutation->structure = area.structure;
	mutation->offset = offset;
	mutation->bytes = area.width;
	mutation->before = value;
	value = change(&image, value);
	if (area.width < 8)
		value &= (1ULL << 8 * area.width) - 1;
	mutation->after = value;
	for (i = area.width; i--; value >>= 8)
		bytes[offset + i] = value;
}
