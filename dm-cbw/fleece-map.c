// SPDX-License-Identifier: GPL-2.0-only
/*
 * The map from blocks to slots of a fleece device. It takes the smaller of two forms: an
 * array with a slot for each block (4 bytes a block), or a hash table of the slots (12 to
 * 16 bytes a slot). All memory is allocated when the session is created; nothing is
 * written to any device.
 *
 * The hash table: a slot in use is in the chain of one bucket, and has the upper bits of
 * its block's number as its key. The lower bits follow from the bucket: they are the
 * bucket's number, XORed with a hash of the upper bits. So adjacent blocks are in adjacent
 * buckets.
 *
 * Slots are stored plus one; 0 means none. Callers hold the fleece device's lock.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/slab.h>

#include "fleece-map.h"
#include "fleece.h"
#include "dm-live/core/memory.h"

/**
 * struct cbw_fleece_map - both forms
 * @heads: array: the slot of each block; hash table: the first slot of each bucket
 * @next: hash table: the next slot in the chain of each slot; array: NULL
 * @keys: hash table: the upper bits of the block in each slot
 * @bucket_bits: log2 of the number of buckets: the number of lower bits, not in @keys
 */
struct cbw_fleece_map {
	u32 *heads;
	u32 *next;
	u32 *keys;
	unsigned int bucket_bits;
};

static unsigned int choose_bucket_bits(u64 nr_blocks, u64 nr_slots)
{
	unsigned int bits = order_base_2(nr_slots);

	/* A key has 32 bits. */
	while ((nr_blocks - 1) >> bits > U32_MAX)
		bits++;
	return bits;
}

struct cbw_fleece_map *cbw_fleece_map_create(u64 nr_blocks, u64 nr_slots)
{
	struct cbw_fleece_map *map = kzalloc(sizeof(*map), GFP_KERNEL);
	unsigned int bits = choose_bucket_bits(nr_blocks, nr_slots);
	u64 nr_heads = min(nr_blocks, (1ULL << bits) + 2 * nr_slots);
	bool is_hash = nr_heads < nr_blocks;

	if (!map)
		return NULL;
	if (is_hash) {
		map->bucket_bits = bits;
		nr_heads = 1ULL << bits;
		map->next = dm_live_zalloc_large(nr_slots * sizeof(u32));
		map->keys = dm_live_zalloc_large(nr_slots * sizeof(u32));
	}
	map->heads = dm_live_zalloc_large(nr_heads * sizeof(u32));
	if (!map->heads || (is_hash && (!map->next || !map->keys))) {
		cbw_fleece_map_destroy(map);
		return NULL;
	}
	return map;
}

void cbw_fleece_map_destroy(struct cbw_fleece_map *map)
{
	if (!map)
		return;
	kvfree(map->heads);
	kvfree(map->next);
	kvfree(map->keys);
	kfree(map);
}

static u32 key_of(const struct cbw_fleece_map *map, u64 block)
{
	return block >> map->bucket_bits;
}

static size_t bucket_of(const struct cbw_fleece_map *map, u64 block)
{
	u64 mixed = block ^ hash_32(key_of(map, block), 32);

	return mixed & ((1ULL << map->bucket_bits) - 1);
}

/* The link that refers to the block's slot, or the 0 at the end of its chain. */
static u32 *find(const struct cbw_fleece_map *map, u64 block)
{
	u32 *link;

	if (!map->next)
		return &map->heads[(size_t)block];
	link = &map->heads[bucket_of(map, block)];
	while (*link && map->keys[*link - 1] != key_of(map, block))
		link = &map->next[*link - 1];
	return link;
}

void cbw_fleece_map_set(struct cbw_fleece_map *map, u64 block, u32 slot)
{
	u32 *head;

	if (!map->next) {
		map->heads[(size_t)block] = slot + 1;
		return;
	}
	head = &map->heads[bucket_of(map, block)];
	map->keys[slot] = key_of(map, block);
	map->next[slot] = *head;
	*head = slot + 1;
}

u32 cbw_fleece_map_get(const struct cbw_fleece_map *map, u64 block)
{
	u32 found = *find(map, block);

	return found ? found - 1 : CBW_SLOT_NONE;
}

u32 cbw_fleece_map_take(struct cbw_fleece_map *map, u64 block)
{
	u32 *link = find(map, block);
	u32 found = *link;

	if (!found)
		return CBW_SLOT_NONE;
	*link = map->next ? map->next[found - 1] : 0;
	return found - 1;
}
