/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_FLEECE_MAP_H
#define DM_CBW_FLEECE_MAP_H

/*
 * The map from blocks to slots, see fleece-map.c. Callers serialize their calls. Only
 * the first two functions sleep.
 */

#include <linux/types.h>

struct cbw_fleece_map;

/** cbw_fleece_map_create - GFP_KERNEL. Return: the map, or NULL: too little memory. */
struct cbw_fleece_map *cbw_fleece_map_create(u64 nr_blocks, u64 nr_slots);

/** cbw_fleece_map_destroy - NULL is ignored */
void cbw_fleece_map_destroy(struct cbw_fleece_map *map);

/** cbw_fleece_map_set - map a block without a slot to a slot without a block */
void cbw_fleece_map_set(struct cbw_fleece_map *map, u64 block, u32 slot);

/** cbw_fleece_map_get - the slot of a block, or CBW_SLOT_NONE */
u32 cbw_fleece_map_get(const struct cbw_fleece_map *map, u64 block);

/** cbw_fleece_map_take - remove a block. Return: its slot, or CBW_SLOT_NONE. */
u32 cbw_fleece_map_take(struct cbw_fleece_map *map, u64 block);

#endif /* DM_CBW_FLEECE_MAP_H */
