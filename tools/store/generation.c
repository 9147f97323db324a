// SPDX-License-Identifier: GPL-2.0-only
/* Generations of the bitmaps of a store, see generation.h. */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>

#include "../dm-live/qcow2/generations.h"
#include "base/log.h"
#include "store/generation.h"

/* Programs that keep numbers as double must not round it. */
#define GENERATION_BITS	53

/* The sector of generations, NULL if there is no valid one: then no bitmap has one. */
static uint8_t *sector_of(const struct meta_store *store)
{
	uint8_t *sector = store->first_cluster +
			  store->header.generations_offset;
	struct qcow2_store_error ignored;

	if (!store->header.generations_offset ||
	    qcow2_generations_check(sector, &ignored))
		return NULL;
	return sector;
}

uint64_t meta_generation(const struct meta_store *store,
			 const struct meta_store_bitmap *bitmap)
{
	const uint8_t *sector = sector_of(store);

	return sector ? qcow2_generations_get(sector, bitmap->entry.name_hash) :
			0;
}

const char *meta_uuid(const struct meta_store *store,
		      char text[META_UUID_BYTES])
{
	const uint8_t *sector = sector_of(store);
	uint8_t uuid[QCOW2_DMLIVE_UUID_BYTES];
	char *at = text;
	size_t i;

	*text = 0;
	if (!sector)
		return text;
	qcow2_generations_uuid(sector, uuid);
	for (i = 0; i < sizeof(uuid); i++)
		at += sprintf(at, "%s%02x",
			      i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			      uuid[i]);
	return text;
}

int meta_new_generation(uint64_t *generation)
{
	do {
		if (getrandom(generation, sizeof(*generation), 0) !=
		    sizeof(*generation)) {
			error_errno(errno, "no random number is to be had");
			return -EIO;
		}
		*generation >>= 64 - GENERATION_BITS;
	} while (!*generation);
	return 0;
}

int meta_set_generation(struct meta_writer *writer,
			const struct meta_store_bitmap *bitmap,
			uint64_t generation)
{
	uint8_t *sector = sector_of(&writer->store);

	if (!sector || qcow2_generations_set(sector, bitmap->entry.name_hash,
					     generation)) {
		error("%s has no place for the generation of a bitmap: see dmlive meta format --track",
		      writer->store.path);
		return -EINVAL;
	}
	return meta_write_sync(writer, writer->store.header.generations_offset,
			       sector, QCOW2_DMLIVE_GENERATIONS_BYTES);
}

int meta_drop_generation(struct meta_writer *writer,
			 const struct meta_store_bitmap *bitmap)
{
	uint8_t *sector = sector_of(&writer->store);

	if (!sector ||
	    !qcow2_generations_get(sector, bitmap->entry.name_hash))
		return 0;
	qcow2_generations_set(sector, bitmap->entry.name_hash, 0);
	return meta_write_sync(writer, writer->store.header.generations_offset,
			       sector, QCOW2_DMLIVE_GENERATIONS_BYTES);
}
