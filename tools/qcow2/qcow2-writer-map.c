// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's clusters of a qcow2 file that is being written: the L1 table and
 * those L2 tables that are not complete yet. One that is complete is written and
 * forgotten.
 *
 * While a table is in memory every entry that is final is not 0: a zero cluster has
 * the ZERO flag there. Without a backing file a cluster that is not allocated is zero
 * anyway, and its flag is dropped when the table is written; a table with nothing
 * else in it is not written.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../dm-live/qcow2/tables.h"
#include "error.h"
#include "qcow2-writer.h"

static unsigned int l2_bits(const struct qcow2_map *map)
{
	return qcow2_l2_table_bits(map->cluster_bits, 0);
}

static uint64_t cluster_bytes(const struct qcow2_map *map)
{
	return 1ULL << map->cluster_bits;
}

static const char *path(const struct qcow2_map *map)
{
	return output_path(map->space->output);
}

static uint64_t divide_up(uint64_t value, unsigned int bits)
{
	return (value >> bits) + !!(value & ((1ULL << bits) - 1));
}

static uint64_t l1_clusters(const struct qcow2_map *map)
{
	return divide_up(map->nr_l1 * sizeof(*map->l1), map->cluster_bits);
}

int map_init(struct qcow2_map *map, struct qcow2_space *space,
	     uint64_t size_bytes, bool has_backing, struct image_error *err)
{
	uint64_t nr_l1;

	*map = (struct qcow2_map) {
		.space = space,
		.cluster_bits = space->cluster_bits,
		.has_backing = has_backing,
		.nr_clusters = divide_up(size_bytes, space->cluster_bits),
	};
	nr_l1 = divide_up(map->nr_clusters, l2_bits(map));
	if (nr_l1 > QCOW2_MAX_L1_BYTES / sizeof(*map->l1))
		return image_fail(err, -EFBIG,
				  "%s: a disk of %llu bytes is too large for clusters of %llu bytes; choose larger ones",
				  path(map), (unsigned long long)size_bytes,
				  (unsigned long long)cluster_bytes(map));
	map->nr_l1 = nr_l1 ?: 1;
	map->l1 = calloc(l1_clusters(map), cluster_bytes(map));
	map->l2 = calloc(map->nr_l1, sizeof(*map->l2));
	return map->l1 && map->l2 ? 0 : image_fail_memory(err, path(map));
}

void map_release(struct qcow2_map *map)
{
	uint32_t i;

	for (i = 0; map->l2 && i < map->nr_l1; i++)
		free(map->l2[i].entries);
	free(map->l2);
	free(map->l1);
}

/* Clusters that the table @index describes. */
static uint32_t table_clusters(const struct qcow2_map *map, uint32_t index)
{
	uint64_t first = (uint64_t)index << l2_bits(map);
	uint64_t left = map->nr_clusters - first;

	return left < 1ULL << l2_bits(map) ? left : 1ULL << l2_bits(map);
}

static int write_table(struct qcow2_map *map, uint32_t index,
		       struct image_error *err)
{
	uint64_t *entries = map->l2[index].entries;
	uint64_t offset, i;
	int ret;

	for (i = 0; i < 1ULL << l2_bits(map); i++)
		entries[i] = !map->has_backing &&
			     entries[i] == QCOW2_OFLAG_ZERO ?
			     0 : htobe64(entries[i]);
	ret = space_clusters(map->space, 1, &offset, err);
	if (!ret)
		ret = output_write(map->space->output, offset, entries,
				   cluster_bytes(map), err);
	if (!ret)
		map->l1[index] = htobe64(offset | QCOW2_OFLAG_COPIED);
	return ret;
}

/* Write the table, if there is something in it, and forget its entries. */
static int retire_table(struct qcow2_map *map, uint32_t index,
			struct image_error *err)
{
	struct qcow2_l2 *l2 = &map->l2[index];
	int ret = l2->has_content ? write_table(map, index, err) : 0;

	free(l2->entries);
	l2->entries = NULL;
	return ret;
}

static int fail_twice(const struct qcow2_map *map, uint64_t cluster,
		      struct image_error *err)
{
	return image_fail(err, -EINVAL,
			  "%s: the cluster at %" PRIu64 " is written twice",
			  path(map), cluster << map->cluster_bits);
}

static int set_entry(struct qcow2_map *map, uint64_t cluster, uint64_t entry,
		     struct image_error *err)
{
	uint32_t index = cluster >> l2_bits(map);
	struct qcow2_l2 *l2 = &map->l2[index];
	uint64_t *place;

	if (!l2->entries && l2->settled)
		return fail_twice(map, cluster, err);
	if (!l2->entries)
		l2->entries = calloc(1, cluster_bytes(map));
	if (!l2->entries)
		return image_fail_memory(err, path(map));
	place = &l2->entries[cluster & ((1ULL << l2_bits(map)) - 1)];
	if (*place)
		return fail_twice(map, cluster, err);
	*place = entry;
	if (entry != QCOW2_OFLAG_ZERO || map->has_backing)
		l2->has_content = true;
	if (++l2->settled == table_clusters(map, index))
		return retire_table(map, index, err);
	return 0;
}

int map_set_data(struct qcow2_map *map, uint64_t cluster, uint64_t count,
		 uint64_t offset, struct image_error *err)
{
	int ret = 0;

	for (; !ret && count; count--) {
		ret = set_entry(map, cluster++, offset | QCOW2_OFLAG_COPIED,
				err);
		offset += cluster_bytes(map);
	}
	return ret;
}

int map_set_compressed(struct qcow2_map *map, uint64_t cluster,
		       uint64_t offset, uint32_t bytes, struct image_error *err)
{
	return set_entry(map, cluster,
			 qcow2_encode_compressed(offset, bytes,
						 map->cluster_bits), err);
}

int map_set_zero(struct qcow2_map *map, uint64_t cluster, uint64_t count,
		 struct image_error *err)
{
	int ret = 0;

	while (!ret && count) {
		uint32_t index = cluster >> l2_bits(map);
		uint32_t whole = table_clusters(map, index);

		/* A whole table that need not exist: settle its entries at once. */
		if (!map->has_backing && !map->l2[index].settled &&
		    !(cluster & ((1ULL << l2_bits(map)) - 1)) &&
		    count >= whole) {
			map->l2[index].settled = whole;
			cluster += whole;
			count -= whole;
			continue;
		}
		ret = set_entry(map, cluster++, QCOW2_OFLAG_ZERO, err);
		count--;
	}
	return ret;
}

int map_finish(struct qcow2_map *map, struct image_error *err)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < map->nr_l1; i++)
		if (map->l2[i].entries)
			ret = retire_table(map, i, err);
	if (!ret)
		ret = space_clusters(map->space, l1_clusters(map),
				     &map->l1_offset, err);
	if (!ret)
		ret = output_write(map->space->output, map->l1_offset, map->l1,
				   l1_clusters(map) << map->cluster_bits, err);
	return ret;
}
