// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generations of a store's bitmaps, see generations.h.
 */
#include "bytes.h"
#include "generations.h"

#define FIELD(sector, field) \
	((u8 *)(sector) + offsetof(struct qcow2_dmlive_generations, field))

static u8 *entry_at(const void *sector, u32 index)
{
	return FIELD(sector, entries) +
	       index * sizeof(struct qcow2_dmlive_generation);
}

static u64 hash_at(const void *sector, u32 index)
{
	return be64_at(entry_at(sector, index) +
		       offsetof(struct qcow2_dmlive_generation, name_hash));
}

static u64 generation_at(const void *sector, u32 index)
{
	return be64_at(entry_at(sector, index) +
		       offsetof(struct qcow2_dmlive_generation, generation));
}

/* Bit by bit: fast enough for one sector now and then. */
u32 qcow2_crc32c(const void *data, size_t bytes)
{
	const u8 *at = data;
	u32 crc = ~0U;
	int bit;

	for (; bytes; bytes--) {
		crc ^= *at++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78U : 0);
	}
	return ~crc;
}

static u32 sum(const void *sector)
{
	return qcow2_crc32c(sector, offsetof(struct qcow2_dmlive_generations,
					     crc32c));
}

static void seal(void *sector)
{
	put_be32(FIELD(sector, crc32c), sum(sector));
}

void qcow2_generations_init(void *sector,
			    const u8 uuid[QCOW2_DMLIVE_UUID_BYTES])
{
	memset(sector, 0, QCOW2_DMLIVE_GENERATIONS_BYTES);
	put_be32(FIELD(sector, magic), QCOW2_EXT_DMLIVE_GENERATIONS);
	put_be32(FIELD(sector, version), QCOW2_DMLIVE_GENERATIONS_VERSION);
	memcpy(FIELD(sector, store_uuid), uuid, QCOW2_DMLIVE_UUID_BYTES);
	seal(sector);
}

static int check_entries(const void *sector, struct qcow2_store_error *error)
{
	u32 nr = be32_at(FIELD(sector, nr));
	u32 i, j;

	if (nr > QCOW2_DMLIVE_MAX_GENERATIONS)
		return refuse(error, "invalid number of generations %u", nr);
	for (i = 0; i < nr; i++) {
		if (!generation_at(sector, i))
			return refuse(error, "generation %u is 0", i);
		for (j = 0; j < i; j++)
			if (hash_at(sector, i) == hash_at(sector, j))
				return refuse(error, "there are two generations of one bitmap");
	}
	for (; i < QCOW2_DMLIVE_MAX_GENERATIONS; i++)
		if (hash_at(sector, i) || generation_at(sector, i))
			return refuse(error, "generation %u is not in use, and not 0",
				      i);
	return 0;
}

int qcow2_generations_check(const void *sector,
			    struct qcow2_store_error *error)
{
	const u8 *padding = FIELD(sector, padding);
	u32 version = be32_at(FIELD(sector, version));
	size_t i;

	if (be32_at(FIELD(sector, magic)) != QCOW2_EXT_DMLIVE_GENERATIONS)
		return refuse(error, "the sector of the generations does not begin with its mark");
	if (be32_at(FIELD(sector, crc32c)) != sum(sector))
		return refuse(error, "the checksum of the generations is wrong");
	if (version != QCOW2_DMLIVE_GENERATIONS_VERSION)
		return refuse_unsupported(error, "the generations have version %u, not %u",
					  version,
					  QCOW2_DMLIVE_GENERATIONS_VERSION);
	if (be32_at(FIELD(sector, reserved)))
		return refuse(error, "a reserved field of the generations is not zero");
	for (i = 0; i < sizeof(((struct qcow2_dmlive_generations *)0)->padding);
	     i++)
		if (padding[i])
			return refuse(error, "the padding of the generations is not zero");
	return check_entries(sector, error);
}

void qcow2_generations_uuid(const void *sector,
			    u8 uuid[QCOW2_DMLIVE_UUID_BYTES])
{
	memcpy(uuid, FIELD(sector, store_uuid), QCOW2_DMLIVE_UUID_BYTES);
}

/* The entry of the bitmap, or the number of entries. */
static u32 find(const void *sector, u64 name_hash)
{
	u32 i, nr = be32_at(FIELD(sector, nr));

	for (i = 0; i < nr; i++)
		if (hash_at(sector, i) == name_hash)
			break;
	return i;
}

u64 qcow2_generations_get(const void *sector, u64 name_hash)
{
	u32 i = find(sector, name_hash);

	return i < be32_at(FIELD(sector, nr)) ? generation_at(sector, i) : 0;
}

/* The last entry takes the place of the removed one. */
static void remove_entry(void *sector, u32 index)
{
	const size_t bytes = sizeof(struct qcow2_dmlive_generation);
	u32 last = be32_at(FIELD(sector, nr)) - 1;

	memmove(entry_at(sector, index), entry_at(sector, last), bytes);
	memset(entry_at(sector, last), 0, bytes);
	put_be32(FIELD(sector, nr), last);
}

int qcow2_generations_set(void *sector, u64 name_hash, u64 generation)
{
	u32 nr = be32_at(FIELD(sector, nr));
	u32 i = find(sector, name_hash);
	u8 *entry = entry_at(sector, i);

	if (generation) {
		if (i == QCOW2_DMLIVE_MAX_GENERATIONS)
			return -ENOSPC;
		put_be64(entry + offsetof(struct qcow2_dmlive_generation,
					  name_hash), name_hash);
		put_be64(entry + offsetof(struct qcow2_dmlive_generation,
					  generation), generation);
		put_be32(FIELD(sector, nr), i < nr ? nr : nr + 1);
	} else if (i < nr) {
		remove_entry(sector, i);
	}
	seal(sector);
	return 0;
}
