// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer: for any content of a metadata device, the checks of the bitmap store end, read
 * nothing outside of the buffers, and accept only stores with the properties that the
 * kernel relies on: every cluster of bits is on the device, is aligned, and belongs to one
 * bitmap only.
 *
 * Each buffer is a copy of exactly the bytes that a caller reads, so the address sanitizer
 * detects every access beyond them.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dm-live/qcow2/extensions.h"
#include "dm-live/qcow2/generations.h"
#include "dm-live/qcow2/seal.h"
#include "dm-live/qcow2/structures.h"
#include "libfuzzer.h"

/* The sizes in an input may be huge: no more than this is checked. */
#define MAX_BITMAPS	64
#define MAX_ROOM_BYTES	(1U << 20)

struct store {
	const unsigned char *data;
	size_t size;
	struct qcow2_store_header header;
	struct qcow2_store_structures structures;
	void *parts[QCOW2_STORE_NR_PARTS];
	struct qcow2_store_error error;
};

/* A refusal must have a message of printable characters. */
static bool refused(struct store *store, int r)
{
	const char *at;

	if (r > 0)
		abort();
	if (!r)
		return false;
	if ((r != -EINVAL && r != -EOPNOTSUPP) || !store->error.message[0])
		abort();
	for (at = store->error.message; *at; at++)
		if ((unsigned char)*at < 0x20)
			abort();
	store->error.message[0] = '\0';
	return true;
}

/* A search finds the same extensions as the check of the header. */
static void extensions_hold(const struct store *store, const void *first,
			    size_t bytes)
{
	const size_t end = 1UL << store->header.cluster_bits;
	size_t at, mark = qcow2_extensions_end_mark(first, bytes);
	u32 found = 0;

	if (mark && mark + sizeof(struct qcow2_extension) > end)
		abort();
	at = qcow2_extensions_find(first, bytes, QCOW2_EXT_DMLIVE_STATE, 0,
				   &found);
	if (!at != !store->header.state_offset ||
	    (at && found != sizeof(struct qcow2_dmlive_state)))
		abort();
	at = qcow2_extensions_find(first, bytes, QCOW2_EXT_BITMAPS, 0, &found);
	if (!at != !store->header.nr_bitmaps)
		abort();
}

static bool header_passes(struct store *store)
{
	size_t bytes = store->size;
	void *first;
	int r;

	if (bytes > 1U << QCOW2_MAX_CLUSTER_BITS)
		bytes = 1U << QCOW2_MAX_CLUSTER_BITS;
	first = malloc(bytes ? bytes : 1);
	if (!first)
		abort();
	memcpy(first, store->data, bytes);
	r = qcow2_store_check_header(first, bytes, store->size, &store->header,
				     &store->error);
	if (!r && qcow2_store_probe_cluster_bits(first, bytes) !=
		  store->header.cluster_bits)
		abort();
	if (!r)
		extensions_hold(store, first, bytes);
	free(first);
	return !refused(store, r) && store->header.nr_bitmaps &&
	       store->header.nr_bitmaps <= MAX_BITMAPS;
}

/* Only what the checks have found to lie on the device is read. */
static int read_part(void *context, u64 offset, void *to, u64 bytes)
{
	const struct store *store = context;

	if (offset > store->size || bytes > store->size - offset)
		abort();
	memcpy(to, store->data + offset, bytes);
	return 0;
}

static void *make_room(void *context, enum qcow2_store_part part, u64 bytes)
{
	struct store *store = context;

	if (bytes > MAX_ROOM_BYTES)
		return NULL;
	store->parts[part] = calloc(bytes ? bytes : 1, 1);
	if (!store->parts[part])
		abort();
	return store->parts[part];
}

static bool structures_pass(struct store *store, bool preallocated)
{
	const struct qcow2_store_reader reader = {
		.read = read_part,
		.room = make_room,
		.context = store,
		.preallocated = preallocated,
	};
	int r = qcow2_store_read(&reader, &store->header, &store->structures,
				 &store->error);

	return r != -ENOMEM && !refused(store, r);
}

/* A sector of the header that the kernel reads, and writes as a whole. */
static const unsigned char *sector_at(const struct store *store, u64 offset)
{
	if (!offset)
		return NULL;
	if (offset % 512 || offset < 512 ||
	    offset + 512 > 1ULL << store->header.cluster_bits)
		abort();
	return store->data + offset;
}

/* A seal is the same after it was decoded and encoded, whatever its content. */
static void seal_holds(struct store *store, const unsigned char *found)
{
	unsigned char *sector = malloc(QCOW2_DMLIVE_SEAL_BYTES);
	struct qcow2_seal seal, again;
	struct qcow2_store_error error;
	int r;

	if (!sector)
		abort();
	memcpy(sector, found, QCOW2_DMLIVE_SEAL_BYTES);
	r = qcow2_seal_decode(sector, &seal, &store->error);
	if (!refused(store, r)) {
		if (!*qcow2_seal_reason(seal.gap_reason))
			abort();
		qcow2_seal_encode(sector, &seal);
		if (qcow2_seal_decode(sector, &again, &error) ||
		    strcmp(seal.identity, again.identity) ||
		    seal.flags != again.flags)
			abort();
	}
	free(sector);
}

/*
 * Inputs rarely have a valid checksum, so it is corrected in some of them; not in all,
 * since that takes as long as all the rest.
 */
static void seal_with_checksum(struct store *store)
{
	const size_t at = offsetof(struct qcow2_dmlive_seal, crc32c);
	unsigned char sector[QCOW2_DMLIVE_SEAL_BYTES];
	__be32 crc;

	if (store->size < sizeof(sector) || store->size % 16)
		return;
	memcpy(sector, store->data + store->size - sizeof(sector),
	       sizeof(sector));
	memcpy(sector, "dmls\0\0\0\1\0\0\0", 11);
	crc = htobe32(qcow2_crc32c(sector, at));
	memcpy(sector + at, &crc, sizeof(crc));
	seal_holds(store, sector);
}

static void check_sectors(struct store *store)
{
	const unsigned char *sector;

	sector_at(store, store->header.generations_offset);
	sector = sector_at(store, store->header.seal_offset);
	if (sector)
		seal_holds(store, sector);
}

/* Areas that the kernel writes to must not overlap; checked by painting each cluster. */
static void verify(const struct store *store)
{
	const u64 cluster = 1ULL << store->header.cluster_bits;
	unsigned char *painted = calloc(store->size / cluster + 1, 1);
	const u64 *table = store->structures.tables;
	u32 i, j;

	if (!painted)
		abort();
	painted[0] = 1;
	painted[store->header.directory_offset / cluster] = 1;
	painted[store->header.refcount_table_offset / cluster] = 1;
	for (i = 0; i < store->header.nr_bitmaps; i++) {
		for (j = 0; j < store->structures.bitmaps[i].table_entries; j++) {
			u64 offset = qcow2_bitmap_table_offset(*table++);

			if (!offset)
				continue;
			if (offset % cluster || offset > store->size ||
			    cluster > store->size - offset ||
			    painted[offset / cluster]++)
				abort();
		}
	}
	free(painted);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct store store = { .data = data, .size = size };
	u32 i;

	seal_with_checksum(&store);
	if (header_passes(&store)) {
		check_sectors(&store);
		if (structures_pass(&store, size & 1))
			verify(&store);
	}
	for (i = 0; i < QCOW2_STORE_NR_PARTS; i++)
		free(store.parts[i]);
	return 0;
}
