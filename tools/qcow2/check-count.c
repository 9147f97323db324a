// SPDX-License-Identifier: GPL-2.0-only
/*
 * The counting half of a check: first the clusters of the header and of all
 * tables, where the L1 tables, the active one and the snapshots', yield the
 * list of L2 tables; then the clusters that each L2 table refers to, times the
 * L1 entries that refer to the table.
 *
 * Each table of the file is walked once, however many entries point to it, and a
 * table that overlaps what was counted before is reported and not walked: so the
 * time is bounded by the size of the file.
 */
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "../dm-live/qcow2/directory.h"
#include "../dm-live/qcow2/refcounts.h"
#include "check-internal.h"
#include "error.h"
#include "qcow2-bitmap.h"

void check_corruption(struct checker *c, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	c->check->result.corruptions++;
	if (c->check->finding)
		c->check->finding(c->check->context, true, text);
}

/* The file may lack the end of its last cluster, but not a whole one. */
static bool inside(struct checker *c, uint64_t offset, uint64_t length,
		   const char *what)
{
	uint64_t limit = host_file_size(c->file) + c->cluster_bytes - 1;

	if (offset <= limit && length <= limit - offset)
		return true;
	check_corruption(c, "%s at %#llx (%llu bytes) lies beyond the end of the file",
			 what, (ull)offset, (ull)length);
	return false;
}

static int count(struct checker *c, uint64_t offset, uint64_t length,
		 uint32_t times, const char *what)
{
	uint64_t cluster = offset >> c->info->cluster_bits, last;

	if (!length || !inside(c, offset, length, what))
		return 0;
	last = (offset + length - 1) >> c->info->cluster_bits;
	for (; cluster <= last; cluster++)
		if (counters_add(c->counted, cluster, times))
			return image_fail(c->err, -ENOMEM,
					  "%s: the check needs more memory than it may take; use qemu-img check",
					  host_file_path(c->file));
	return 0;
}

/*
 * Count a table that nothing else may share. *walk: whether to look into it,
 * which is so unless it is outside of the file or overlaps.
 */
static int count_table(struct checker *c, uint64_t offset, uint64_t length,
		       const char *what, bool *walk)
{
	uint64_t cluster = offset >> c->info->cluster_bits, end;

	*walk = false;
	if (!length || !inside(c, offset, length, what))
		return 0;
	if (!check_aligned(c, offset)) {
		check_corruption(c, "%s at %#llx is misaligned", what, (ull)offset);
		return 0;
	}
	end = (offset + length - 1) >> c->info->cluster_bits;
	for (; cluster <= end; cluster++) {
		if (!counters_get(c->counted, cluster))
			continue;
		check_corruption(c, "%s at %#llx overlaps other metadata", what,
				 (ull)offset);
		return 0;
	}
	*walk = true;
	return count(c, offset, length, 1, what);
}

int check_walk_table(struct checker *c, uint64_t offset, uint64_t entries,
		     entry_visitor visit, void *context)
{
	uint64_t done = 0, in_piece, i;
	int ret;

	for (; done < entries; done += in_piece) {
		in_piece = entries - done;
		if (in_piece > CHECK_PIECE_ENTRIES)
			in_piece = CHECK_PIECE_ENTRIES;
		ret = host_file_read(c->file, offset + done * sizeof(__be64),
				     c->piece, in_piece * sizeof(__be64),
				     c->err);
		for (i = 0; !ret && i < in_piece; i++)
			if (c->piece[i])
				ret = visit(c, done + i, be64toh(c->piece[i]),
					    context);
		if (ret)
			return ret;
	}
	return 0;
}

static int visit_l1_entry(struct checker *c, uint64_t index, uint64_t entry,
			  void *context)
{
	uint64_t offset = qcow2_l1_entry_offset(entry);

	(void)context;
	if (qcow2_l1_entry_is_reserved(entry))
		check_corruption(c, "L1 entry %llu has reserved bits set: %#llx",
				 (ull)index, (ull)entry);
	else if (!offset)
		check_corruption(c, "L1 entry %llu has a flag, but no L2 table", (ull)index);
	if (!offset)
		return 0;
	if (!check_aligned(c, offset)) {
		check_corruption(c, "L1 entry %llu: L2 table at %#llx is misaligned",
				 (ull)index, (ull)offset);
		return 0;
	}
	if (offset < host_file_size(c->file) &&
	    l2_list_add(&c->l2_tables, offset))
		return image_fail_memory(c->err, host_file_path(c->file));
	return count(c, offset, c->cluster_bytes, 1, "L2 table");
}

static int check_l1(struct checker *c, uint64_t offset, uint64_t entries,
		    const char *what)
{
	bool walk;
	int ret;

	ret = count_table(c, offset, entries * sizeof(__be64), what, &walk);
	if (ret || !walk)
		return ret;
	return check_walk_table(c, offset, entries, visit_l1_entry, NULL);
}

static int check_snapshots(struct checker *c)
{
	unsigned int i;
	bool walk;
	int ret;

	ret = count_table(c, c->info->snapshots_offset, c->snapshots->bytes,
			  "snapshot table", &walk);
	for (i = 0; !ret && i < c->snapshots->nr; i++) {
		const struct qcow2_snapshot *s = &c->snapshots->snapshots[i];

		if (s->l1_entries > QCOW2_MAX_L1_BYTES / sizeof(__be64))
			check_corruption(c, "L1 table of snapshot %u is too large", i);
		else
			ret = check_l1(c, s->l1_offset, s->l1_entries,
				       "L1 table of a snapshot");
	}
	return ret;
}

static int visit_bitmap_entry(struct checker *c, uint64_t index,
			      uint64_t entry, void *context)
{
	uint64_t offset = qcow2_bitmap_table_offset(entry);

	(void)context;
	if (qcow2_bitmap_table_is_reserved(entry) ||
	    !check_aligned(c, offset)) {
		check_corruption(c, "entry %llu of a bitmap table is invalid: %#llx",
				 (ull)index, (ull)entry);
		return 0;
	}
	return offset ? count(c, offset, c->cluster_bytes, 1, "bitmap cluster") :
			0;
}

static int check_bitmap_tables(struct checker *c,
			       const struct qcow2_bitmap_directory *directory)
{
	unsigned int i;
	bool walk;
	int ret = 0;

	for (i = 0; !ret && i < directory->nr; i++) {
		const struct qcow2_bitmap *b = &directory->bitmaps[i];

		ret = count_table(c, b->table_offset,
				  (uint64_t)b->table_entries * sizeof(__be64),
				  "bitmap table", &walk);
		if (!ret && walk)
			ret = check_walk_table(c, b->table_offset, b->table_entries,
					       visit_bitmap_entry, NULL);
	}
	return ret;
}

static int check_bitmaps(struct checker *c)
{
	struct qcow2_bitmap_directory directory;
	struct image_error reason;
	bool walk;
	int ret;

	if (c->info->bitmaps_problem)
		check_corruption(c, "%s", c->info->bitmaps_problem);
	if (!c->info->has_bitmaps)
		return 0;
	ret = count_table(c, c->info->bitmap_directory_offset,
			  c->info->bitmap_directory_bytes, "bitmap directory",
			  &walk);
	if (ret || !walk)
		return ret;
	ret = qcow2_bitmaps_read(c->file, c->info, &directory, &reason);
	if (ret == -EINVAL) {
		check_corruption(c, "%s", reason.message);
		c->is_bitmaps_unknown = true;
		return 0;
	}
	if (ret)
		return image_fail(c->err, ret, "%s", reason.message);
	ret = check_bitmap_tables(c, &directory);
	qcow2_bitmaps_release(&directory);
	return ret;
}

static int check_refcount_blocks(struct checker *c)
{
	uint64_t nr = stored_refcounts_blocks(c->stored), i, entry, offset;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++) {
		entry = stored_refcounts_block(c->stored, i);
		offset = qcow2_refcount_block(entry);
		if (!qcow2_refcount_block_is_valid(entry,
						   c->info->cluster_bits))
			check_corruption(c, "refcount table entry %llu is invalid: %#llx",
					 (ull)i, (ull)entry);
		else if (offset)
			ret = count(c, offset, c->cluster_bytes, 1,
				    "refcount block");
	}
	return ret;
}

static int count_compressed(struct checker *c, uint64_t entry, uint32_t times)
{
	const struct qcow2_compressed compressed =
		qcow2_decode_compressed(entry, c->info->cluster_bits);

	if (qcow2_has(c->info, QCOW2_INCOMPAT_DATA_FILE)) {
		check_corruption(c, "compressed cluster in spite of a data file");
		return 0;
	}
	if (entry & QCOW2_OFLAG_COPIED)
		check_corruption(c, "compressed cluster at %#llx has the flag of an unshared one",
				 (ull)compressed.offset);
	return count(c, compressed.offset, compressed.bytes, times,
		     "compressed cluster");
}

static int count_standard(struct checker *c, uint64_t entry, uint32_t times)
{
	uint64_t offset = qcow2_l2_entry_offset(entry);

	if (qcow2_l2_entry_is_reserved(entry) ||
	    (entry & QCOW2_OFLAG_ZERO &&
	     !qcow2_has_zero_flag(c->info->version, c->info->incompatible)))
		check_corruption(c, "L2 entry has reserved bits set: %#llx",
				 (ull)entry);
	if (!check_aligned(c, offset)) {
		check_corruption(c, "cluster at %#llx is misaligned", (ull)offset);
		return 0;
	}
	if (!offset || qcow2_has(c->info, QCOW2_INCOMPAT_DATA_FILE))
		return 0;
	return count(c, offset, c->cluster_bytes, times, "cluster");
}

/* The walk of one L2 table. */
struct l2_walk {
	uint32_t times;
	uint64_t previous;	/* extended entries: the descriptor */
	uint64_t previous_index;
};

static void check_subclusters(struct checker *c, uint64_t descriptor,
			      uint64_t bitmap)
{
	uint32_t allocated = bitmap, zeros = bitmap >> 32;

	if (descriptor & QCOW2_OFLAG_COMPRESSED)
		return;
	if ((allocated & zeros) ||
	    (allocated && !qcow2_l2_entry_offset(descriptor) &&
	     !qcow2_has(c->info, QCOW2_INCOMPAT_DATA_FILE)))
		check_corruption(c, "subcluster bitmap %#llx of L2 entry %#llx is contradictory",
				 (ull)bitmap, (ull)descriptor);
}

static int visit_l2_entry(struct checker *c, uint64_t index, uint64_t entry,
			  void *context)
{
	struct l2_walk *walk = context;

	if (qcow2_has(c->info, QCOW2_INCOMPAT_EXTENDED_L2)) {
		if (index % 2) {
			check_subclusters(c, walk->previous_index == index - 1 ?
					  walk->previous : 0, entry);
			return 0;
		}
		walk->previous = entry;
		walk->previous_index = index;
	}
	if (entry & QCOW2_OFLAG_COMPRESSED)
		return count_compressed(c, entry, walk->times);
	return count_standard(c, entry, walk->times);
}

static int check_l2_tables(struct checker *c)
{
	size_t i;
	int ret = 0;

	l2_list_join(&c->l2_tables);
	for (i = 0; !ret && i < c->l2_tables.nr; i++) {
		struct l2_walk walk = {
			.times = c->l2_tables.references[i].times,
			.previous_index = UINT64_MAX,
		};

		ret = check_walk_table(c, c->l2_tables.references[i].offset,
				       c->cluster_bytes / sizeof(__be64),
				       visit_l2_entry, &walk);
	}
	return ret;
}

int check_count(struct checker *c)
{
	const struct qcow2_header_info *info = c->info;
	bool walk;
	int ret;

	ret = count_table(c, 0, c->cluster_bytes, "header", &walk);
	if (!ret)
		ret = count_table(c, info->refcount_table_offset,
				  (uint64_t)info->refcount_table_clusters <<
				  info->cluster_bits, "refcount table", &walk);
	if (!ret)
		ret = check_l1(c, info->l1_offset, info->l1_entries,
			       "L1 table");
	if (!ret)
		ret = check_snapshots(c);
	if (!ret)
		ret = check_bitmaps(c);
	if (!ret)
		ret = check_refcount_blocks(c);
	return ret ?: check_l2_tables(c);
}
