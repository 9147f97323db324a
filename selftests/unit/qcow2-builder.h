/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QCOW2_BUILDER_H
#define QCOW2_BUILDER_H

/*
 * Small qcow2 images made by hand, in an anonymous file that has a path. A new one is
 * valid and empty:
 *
 *	cluster 0 header, 1 refcount table, 2 refcount block, 3 L1 table,
 *	4 the first L2 table, 5 the end
 *
 * A test overwrites the parts that it is about.
 */

#include <endian.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "qcow2-format.h"
#include "qcow2/image.h"

struct builder {
	int fd;
	char path[32];
	unsigned int cluster_bits;
};

static inline uint64_t builder_cluster(const struct builder *b, uint64_t index)
{
	return index << b->cluster_bits;
}

static inline void put_bytes(struct builder *b, uint64_t offset,
			     const void *bytes, size_t length)
{
	assert_int_equal(pwrite(b->fd, bytes, length, offset), length);
}

static inline void put8(struct builder *b, uint64_t offset, uint8_t value)
{
	put_bytes(b, offset, &value, sizeof(value));
}

static inline void put16(struct builder *b, uint64_t offset, uint16_t value)
{
	value = htobe16(value);
	put_bytes(b, offset, &value, sizeof(value));
}

static inline void put32(struct builder *b, uint64_t offset, uint32_t value)
{
	value = htobe32(value);
	put_bytes(b, offset, &value, sizeof(value));
}

static inline void put64(struct builder *b, uint64_t offset, uint64_t value)
{
	value = htobe64(value);
	put_bytes(b, offset, &value, sizeof(value));
}

#define HEADER_FIELD(field) offsetof(struct qcow2_header, field)

/* Entries of the tables that a fresh image has. */
static inline void put_l1(struct builder *b, unsigned int index, uint64_t entry)
{
	put64(b, builder_cluster(b, 3) + 8 * index, entry);
}

static inline void put_l2(struct builder *b, unsigned int index, uint64_t entry)
{
	put64(b, builder_cluster(b, 4) + 8 * index, entry);
}

static inline void put_refcount(struct builder *b, unsigned int cluster,
				uint16_t refcount)
{
	put16(b, builder_cluster(b, 2) + 2 * cluster, refcount);
}

/* A cluster full of @byte. */
static inline void put_cluster(struct builder *b, uint64_t index, uint8_t byte)
{
	uint8_t bytes[512];
	uint64_t done;

	memset(bytes, byte, sizeof(bytes));
	for (done = 0; done < builder_cluster(b, 1); done += sizeof(bytes))
		put_bytes(b, builder_cluster(b, index) + done, bytes,
			  sizeof(bytes));
}

static inline void builder_truncate(struct builder *b, uint64_t bytes)
{
	assert_int_equal(ftruncate(b->fd, bytes), 0);
}

static inline void builder_create(struct builder *b, unsigned int version,
				  unsigned int cluster_bits, uint64_t size)
{
	unsigned int i;

	b->cluster_bits = cluster_bits;
	b->fd = memfd_create("qcow2", MFD_CLOEXEC);
	assert_true(b->fd >= 0);
	snprintf(b->path, sizeof(b->path), "/proc/self/fd/%d", b->fd);
	builder_truncate(b, builder_cluster(b, 5));
	put32(b, HEADER_FIELD(magic), QCOW2_MAGIC);
	put32(b, HEADER_FIELD(version), version);
	put32(b, HEADER_FIELD(cluster_bits), cluster_bits);
	put64(b, HEADER_FIELD(size), size);
	put32(b, HEADER_FIELD(l1_size), 1);
	put64(b, HEADER_FIELD(l1_table_offset), builder_cluster(b, 3));
	put64(b, HEADER_FIELD(refcount_table_offset), builder_cluster(b, 1));
	put32(b, HEADER_FIELD(refcount_table_clusters), 1);
	if (version >= 3) {
		put32(b, HEADER_FIELD(refcount_order), 4);
		put32(b, HEADER_FIELD(header_length), 112);
	}
	put64(b, builder_cluster(b, 1), builder_cluster(b, 2));
	put_l1(b, 0, builder_cluster(b, 4) | QCOW2_OFLAG_COPIED);
	for (i = 0; i < 5; i++)
		put_refcount(b, i, 1);
}

static inline void builder_destroy(struct builder *b)
{
	close(b->fd);
}

static inline struct image *builder_open(struct builder *b)
{
	struct image_error err = { "" };
	struct image *image = NULL;

	if (image_open(b->path, NULL, &image, &err))
		fail_msg("%s", err.message);
	return image;
}

/* Opening must fail with a message that contains @reason. */
static inline void assert_refused(struct builder *b, const char *reason)
{
	struct image_error err = { "" };
	struct image *image = NULL;

	if (!image_open(b->path, NULL, &image, &err))
		fail_msg("opened in spite of: %s", reason);
	if (!strstr(err.message, reason))
		fail_msg("'%s' does not say '%s'", err.message, reason);
}

/* Opening succeeds; reading the byte at @offset fails with @reason. */
static inline void assert_unreadable(struct builder *b, uint64_t offset,
				     const char *reason)
{
	struct image *image = builder_open(b);
	struct image_error err = { "" };
	struct image_extent extent;
	uint8_t byte;

	assert_int_not_equal(image_read(image, offset, &byte, 1, &err), 0);
	if (!strstr(err.message, reason))
		fail_msg("'%s' does not say '%s'", err.message, reason);
	/* Mapping alone must find a bad cluster, unless it is compressed. */
	if (!image_map(image, offset, 1, &extent, &err))
		assert_int_equal(extent.kind, IMAGE_EXTENT_COMPRESSED);
	image_close(image);
}

/* The @length bytes at @offset are all @byte. */
static inline void assert_reads(struct image *image, uint64_t offset,
				size_t length, uint8_t byte)
{
	struct image_error err = { "" };
	uint8_t *buffer = test_malloc(length);
	size_t i;

	memset(buffer, ~byte, length);
	if (image_read(image, offset, buffer, length, &err))
		fail_msg("%s", err.message);
	for (i = 0; i < length; i++)
		if (buffer[i] != byte)
			fail_msg("at %llu: %#x instead of %#x",
				 (unsigned long long)offset + i, buffer[i],
				 byte);
	test_free(buffer);
}

#endif /* QCOW2_BUILDER_H */
