// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checking a qcow2 image. When everything that is reachable has been counted,
 * the counts are compared with the refcounts in the file; and in the active
 * tables each flag that says "refcount is exactly one" with the refcount.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check-internal.h"
#include "error.h"
#include "image-internal.h"

static void leak(struct checker *c, const char *text)
{
	if (c->is_bitmaps_unknown)
		return;
	c->check->result.leaks++;
	if (c->check->finding)
		c->check->finding(c->check->context, false, text);
}

static void compare_cluster(struct checker *c, uint64_t cluster,
			    uint64_t stored, uint64_t counted)
{
	char text[128];

	if (stored || counted)
		c->check->result.image_end_offset =
			(cluster + 1) * c->cluster_bytes;
	if (stored == counted)
		return;
	snprintf(text, sizeof(text), "cluster %llu: refcount %llu, references %llu",
		 (ull)cluster, (ull)stored, (ull)counted);
	if (stored > counted)
		leak(c, text);
	else
		check_corruption(c, "%s", text);
}

/* The first cluster from @cluster on for which a refcount block exists. */
static uint64_t next_stored(const struct checker *c, uint64_t cluster)
{
	uint64_t per_block = stored_refcounts_per_block(c->stored);
	uint64_t nr = stored_refcounts_blocks(c->stored);
	uint64_t index = cluster / per_block;

	while (index < nr && !stored_refcounts_block(c->stored, index))
		cluster = ++index * per_block;
	return index < nr ? cluster : c->nr_clusters;
}

static int compare_all(struct checker *c)
{
	uint64_t cluster = 0, counted, stored;
	int ret;

	while (cluster < c->nr_clusters) {
		counted = counters_get(c->counted, cluster);
		ret = stored_refcounts_get(c->stored, cluster, &stored, c->err);
		if (ret)
			return ret;
		compare_cluster(c, cluster, stored, counted);
		cluster++;
		if (stored || counted)
			continue;
		stored = next_stored(c, cluster);
		counted = counters_next(c->counted, cluster);
		cluster = stored < counted ? stored : counted;
	}
	return 0;
}

static int check_flag(struct checker *c, uint64_t entry, uint64_t offset,
		      const char *what)
{
	bool flagged = entry & QCOW2_OFLAG_COPIED, unshared;
	uint64_t refcount;
	int ret;

	ret = stored_refcounts_get(c->stored, offset >> c->info->cluster_bits,
				   &refcount, c->err);
	if (ret)
		return ret;
	unshared = refcount == 1;
	if (flagged == unshared)
		return 0;
	check_corruption(c, "%s at %#llx: refcount %llu, but its flag says %s", what, (ull)offset,
			 (ull)refcount, flagged ? "exactly one" : "not exactly one");
	return 0;
}

/* The walk of one active L2 table. */
struct active_walk {
	uint64_t guest_cluster;		/* of the table's first entry */
};

static int visit_active_entry(struct checker *c, uint64_t index,
			      uint64_t entry, void *context)
{
	bool extended = qcow2_has(c->info, QCOW2_INCOMPAT_EXTENDED_L2);
	struct check_result *result = &c->check->result;
	uint64_t offset = qcow2_l2_entry_offset(entry);
	struct active_walk *walk = context;
	uint64_t guest;

	if (extended && index % 2)
		return 0;
	if (entry & QCOW2_OFLAG_COMPRESSED) {
		result->allocated_clusters++;
		result->compressed_clusters++;
		return 0;
	}
	if (qcow2_has(c->info, QCOW2_INCOMPAT_DATA_FILE)) {
		guest = (walk->guest_cluster + (extended ? index / 2 : index)) <<
			c->info->cluster_bits;
		if (!offset && !(entry & QCOW2_OFLAG_COPIED))
			return 0;
		result->allocated_clusters++;
		if (offset != guest)
			check_corruption(c, "guest offset %#llx: at %#llx in the data file",
					 (ull)guest, (ull)offset);
		return 0;
	}
	if (!offset || !check_aligned(c, offset))
		return 0;
	result->allocated_clusters++;
	return check_flag(c, entry, offset, "cluster");
}

static int check_active_l2(struct checker *c, uint64_t l1_index, uint64_t entry)
{
	uint64_t offset = qcow2_l1_entry_offset(entry);
	struct active_walk walk = {
		.guest_cluster = l1_index << qcow2_l2_bits(c->info),
	};
	struct l2_reference *reference;
	int ret;

	/* What is not in the list was misplaced, and has been reported. */
	reference = l2_list_find(&c->l2_tables, offset);
	if (!reference || reference->visited)
		return 0;
	reference->visited = true;
	ret = check_flag(c, entry, offset, "L2 table");
	if (ret)
		return ret;
	return check_walk_table(c, offset, c->cluster_bytes / sizeof(__be64),
				visit_active_entry, &walk);
}

static int check_active(struct checker *c, const struct layer *layer)
{
	const uint64_t *l1 = layer_qcow2_l1(layer);
	unsigned int i;
	int ret = 0;

	for (i = 0; !ret && i < c->info->l1_entries; i++)
		ret = check_active_l2(c, i, l1[i]);
	return ret;
}

static int prepare(struct checker *c, struct layer *layer)
{
	c->file = layer->file;
	c->info = layer_qcow2_header(layer);
	if (!c->info)
		return image_fail(c->err, -ENOTSUP,
				  "%s: a raw image has nothing to check",
				  host_file_path(c->file));
	c->snapshots = layer_qcow2_snapshots(layer);
	c->cluster_bytes = 1ULL << c->info->cluster_bits;
	c->nr_clusters = (host_file_size(c->file) + c->cluster_bytes - 1) >>
			 c->info->cluster_bits;
	c->check->result.total_clusters =
		(layer->size_bytes + c->cluster_bytes - 1) >>
		c->info->cluster_bits;
	/* One more: a compressed cluster may end a little beyond the file. */
	c->counted = counters_create(c->nr_clusters + 1);
	if (!c->counted)
		return image_fail(c->err, -EFBIG,
				  "%s: the file has too many clusters for this check; use qemu-img check",
				  host_file_path(c->file));
	return stored_refcounts_open(c->file, c->info, &c->stored, c->err);
}

int image_check(struct image *image, struct check *check,
		struct image_error *err)
{
	struct checker *c = calloc(1, sizeof(*c));
	struct layer *layer = image->layers[0];
	int ret;

	if (!c)
		return image_fail_memory(err, host_file_path(layer->file));
	c->check = check;
	c->err = err;
	memset(&check->result, 0, sizeof(check->result));
	ret = check->force ? 0 : host_file_lock(layer->file, err);
	if (!ret)
		ret = prepare(c, layer);
	if (!ret)
		ret = check_count(c);
	if (!ret)
		ret = compare_all(c);
	if (!ret)
		ret = check_active(c, layer);
	counters_destroy(c->counted);
	stored_refcounts_close(c->stored);
	l2_list_release(&c->l2_tables);
	free(c);
	return ret;
}
