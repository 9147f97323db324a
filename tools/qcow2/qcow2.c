// SPDX-License-Identifier: GPL-2.0-only
/*
 * A qcow2 image as a layer: from guest offset to L1 entry, L2 entry, and to what
 * the cluster or subcluster holds; and reading compressed clusters.
 *
 * The L1 table is kept in memory (QEMU's limit bounds it to 32 MiB), L2 tables
 * pass through a bounded cache in slices. Entries are checked whenever they are
 * used, never before: an image may be larger than one wants to scan.
 *
 * What a file may lack at its end: what no guest sees of the disk's last cluster
 * (old versions of QEMU did not write it), a subcluster that is not allocated, and
 * the rest of the sector in which a compressed cluster ends. Anything else means
 * that the file was truncated, and that is an error: it would read as zeros.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "block-cache.h"
#include "decompress.h"
#include "error.h"
#include "qcow2-layer.h"

/*
 * Runs are cut to this many units (clusters or subclusters, or L1 entries where there
 * is no L2 table): a caller that asks again after each piece must not cause the rest
 * to be examined again and again.
 */
#define MAX_RUN_UNITS 1024

/* A cluster or subcluster, as its L2 entry describes it. */
struct unit {
	enum run_kind kind;
	uint64_t file_offset;		/* RUN_DATA */
	uint64_t descriptor;		/* RUN_COMPRESSED */
};

static uint64_t cluster_bytes(const struct qcow2_layer *q)
{
	return q->layer.cluster_bytes;
}

static uint64_t into_cluster(const struct qcow2_layer *q, uint64_t offset)
{
	return offset & (cluster_bytes(q) - 1);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool has_data_file(const struct qcow2_layer *q)
{
	return qcow2_has(&q->info, QCOW2_INCOMPAT_DATA_FILE);
}

/* Where plain clusters are; NULL if the image was opened without it. */
static const struct host_file *cluster_file(const struct qcow2_layer *q)
{
	return has_data_file(q) ? q->data_file : q->layer.file;
}

static int fail_at(const struct qcow2_layer *q, uint64_t guest_offset,
		   struct image_error *err, const char *reason, uint64_t value)
{
	return image_fail(err, -EINVAL,
			  "%s: corrupt: %s (%#llx) for guest offset %#llx; qemu-img check tells more",
			  qcow2_path(q), reason, (unsigned long long)value,
			  (unsigned long long)guest_offset);
}

/* An L1 entry: the L2 table's offset, or 0 in *l2_offset for none. */
static int check_l1_entry(const struct qcow2_layer *q, uint64_t guest_offset,
			  uint64_t entry, uint64_t *l2_offset,
			  struct image_error *err)
{
	if (qcow2_l1_entry_is_reserved(entry))
		return fail_at(q, guest_offset, err,
			       "reserved bits set in L1 entry", entry);
	*l2_offset = qcow2_l1_entry_offset(entry);
	if (into_cluster(q, *l2_offset))
		return fail_at(q, guest_offset, err, "misaligned L2 table",
			       *l2_offset);
	if (*l2_offset &&
	    *l2_offset + cluster_bytes(q) > host_file_size(q->layer.file))
		return fail_at(q, guest_offset, err,
			       "L2 table beyond the end of the file, which was truncated",
			       *l2_offset);
	return 0;
}

static int check_compressed(const struct qcow2_layer *q, uint64_t guest_offset,
			    uint64_t entry, struct image_error *err)
{
	uint64_t offset = qcow2_decode_compressed(entry,
						  q->info.cluster_bits).offset;

	if (has_data_file(q))
		return fail_at(q, guest_offset, err,
			       "compressed cluster in spite of an external data file",
			       entry);
	if (offset >= QCOW2_COMPRESSED_OFFSET_LIMIT)
		return fail_at(q, guest_offset, err,
			       "reserved bits set in compressed cluster's offset",
			       offset);
	if (offset >= host_file_size(q->layer.file))
		return fail_at(q, guest_offset, err,
			       "compressed cluster beyond the end of the file, which was truncated",
			       offset);
	return 0;
}

/*
 * The end of what has to be in the file of the unit at @guest_offset, whose
 * cluster is at @offset.
 */
static uint64_t needed_end(const struct qcow2_layer *q, uint64_t guest_offset,
			   uint64_t offset)
{
	uint64_t unit_bytes = 1ULL << q->unit_shift;
	uint64_t start = guest_offset & ~(unit_bytes - 1);

	return offset + into_cluster(q, start) +
	       min_u64(unit_bytes, q->layer.size_bytes - start);
}

static int check_data(const struct qcow2_layer *q, uint64_t guest_offset,
		      uint64_t offset, struct image_error *err)
{
	const struct host_file *file = cluster_file(q);

	if (!file)
		return image_fail(err, -EINVAL,
				  "%s: was opened without its data file",
				  qcow2_path(q));
	if (has_data_file(q) &&
	    offset != guest_offset - into_cluster(q, guest_offset))
		return fail_at(q, guest_offset, err,
			       "data file offset differs from guest offset",
			       offset);
	if (needed_end(q, guest_offset, offset) > host_file_size(file))
		return fail_at(q, guest_offset, err, has_data_file(q) ?
			       "cluster beyond the end of the data file, which was truncated" :
			       "cluster beyond the end of the file, which was truncated",
			       offset);
	return 0;
}

/* Kind of a standard cluster or, with extended entries, of one subcluster. */
static int standard_kind(const struct qcow2_layer *q, uint64_t guest_offset,
			 uint64_t entry, uint64_t bitmap, enum run_kind *kind,
			 struct image_error *err)
{
	bool extended = qcow2_has(&q->info, QCOW2_INCOMPAT_EXTENDED_L2);
	bool zero_flag = entry & QCOW2_OFLAG_ZERO;
	bool has_place = qcow2_l2_entry_offset(entry);
	uint32_t allocated = bitmap, zeros = bitmap >> 32;
	uint32_t mask;

	/* In a data file the first cluster's place is offset 0. */
	if (has_data_file(q) && (entry & QCOW2_OFLAG_COPIED))
		has_place = true;
	if (zero_flag &&
	    !qcow2_has_zero_flag(q->info.version, q->info.incompatible))
		return fail_at(q, guest_offset, err,
			       "zero flag where the format has none", entry);
	if (!extended) {
		*kind = zero_flag ? RUN_ZERO :
			has_place ? RUN_DATA : RUN_UNALLOCATED;
		return 0;
	}
	if ((allocated & zeros) || (allocated && !has_place))
		return fail_at(q, guest_offset, err,
			       "contradictory subcluster bitmap", bitmap);
	mask = 1U << (into_cluster(q, guest_offset) >> q->unit_shift);
	*kind = zeros & mask ? RUN_ZERO :
		allocated & mask ? RUN_DATA : RUN_UNALLOCATED;
	return 0;
}

static int classify(const struct qcow2_layer *q, uint64_t guest_offset,
		    uint64_t entry, uint64_t bitmap, struct unit *unit,
		    struct image_error *err)
{
	uint64_t offset = qcow2_l2_entry_offset(entry);
	int ret;

	if (entry & QCOW2_OFLAG_COMPRESSED) {
		unit->kind = RUN_COMPRESSED;
		unit->descriptor = entry & ~QCOW2_OFLAG_COPIED;
		return check_compressed(q, guest_offset, entry, err);
	}
	if (qcow2_l2_entry_is_reserved(entry))
		return fail_at(q, guest_offset, err,
			       "reserved bits set in L2 entry", entry);
	if (into_cluster(q, offset))
		return fail_at(q, guest_offset, err, "misaligned cluster",
			       offset);
	ret = standard_kind(q, guest_offset, entry, bitmap, &unit->kind, err);
	if (ret || unit->kind != RUN_DATA)
		return ret;
	unit->file_offset = offset + into_cluster(q, guest_offset);
	return check_data(q, guest_offset, offset, err);
}

/* The unit at @guest_offset, of which @slice holds the L2 entry. */
static int classify_in_slice(const struct qcow2_layer *q, const void *slice,
			     uint64_t guest_offset, struct unit *unit,
			     struct image_error *err)
{
	unsigned int per_slice = q->slice_bytes >> q->entry_shift;
	uint64_t index = (guest_offset >> q->info.cluster_bits) &
			 (per_slice - 1);
	const struct qcow2_extended_l2_entry *extended = slice;
	const __be64 *plain = slice;

	if (qcow2_has(&q->info, QCOW2_INCOMPAT_EXTENDED_L2))
		return classify(q, guest_offset,
				be64toh(extended[index].descriptor),
				be64toh(extended[index].bitmap), unit, err);
	return classify(q, guest_offset, be64toh(plain[index]), 0, unit, err);
}

static bool continues(const struct unit *first, const struct unit *next,
		      uint64_t distance)
{
	if (next->kind != first->kind || first->kind == RUN_COMPRESSED)
		return false;
	return first->kind != RUN_DATA ||
	       next->file_offset == first->file_offset + distance;
}

/* The run at @offset; @length does not leave the slice. */
static int run_in_slice(const struct qcow2_layer *q, const void *slice,
			uint64_t offset, uint64_t length,
			struct layer_run *run, struct image_error *err)
{
	uint64_t unit_bytes = 1ULL << q->unit_shift;
	uint64_t done = unit_bytes - (offset & (unit_bytes - 1));
	struct unit first = { 0 }, next = { 0 };
	unsigned int units = 1;
	int ret;

	ret = classify_in_slice(q, slice, offset, &first, err);
	if (ret)
		return ret;
	if (first.kind == RUN_COMPRESSED)
		done = cluster_bytes(q) - into_cluster(q, offset);
	/* What is wrong with a later unit is reported when its turn comes. */
	for (; done < length && units < MAX_RUN_UNITS; units++) {
		if (classify_in_slice(q, slice, offset + done, &next, NULL) ||
		    !continues(&first, &next, done))
			break;
		done += unit_bytes;
	}
	run->kind = first.kind;
	run->length = min_u64(done, length);
	run->file = cluster_file(q);
	run->file_offset = first.file_offset;
	run->descriptor = first.descriptor;
	return 0;
}

/* A run for which the L1 table names no L2 table. */
static void run_without_l2(const struct qcow2_layer *q, uint64_t l1_index,
			   uint64_t offset, uint64_t length,
			   struct layer_run *run)
{
	unsigned int l1_shift = q->info.cluster_bits + qcow2_l2_bits(&q->info);
	uint64_t span = 1ULL << l1_shift;
	uint64_t done = span - (offset & (span - 1));
	unsigned int units;

	for (units = 1; done < length && units < MAX_RUN_UNITS; units++) {
		if (l1_index + units < q->l1_entries &&
		    q->l1[l1_index + units])
			break;
		done += span;
	}
	run->kind = RUN_UNALLOCATED;
	run->length = min_u64(done, length);
}

static int fill_slice(void *context, uint64_t key, void *data,
		      struct image_error *err)
{
	const struct qcow2_layer *q = context;

	return host_file_read(q->layer.file, key, data, q->slice_bytes, err);
}

int qcow2_lookup(struct layer *layer, uint64_t offset, uint64_t length,
		 struct layer_run *run, struct image_error *err)
{
	struct qcow2_layer *q = to_qcow2(layer);
	unsigned int l2_bits = qcow2_l2_bits(&q->info);
	uint64_t cluster = offset >> q->info.cluster_bits;
	uint64_t l1_index = cluster >> l2_bits;
	uint64_t l2_index = cluster & ((1ULL << l2_bits) - 1);
	uint64_t slice_span, slice_offset, l2_offset = 0;
	struct cached_block *block;
	int ret;

	if (l1_index >= q->l1_entries || !q->l1[l1_index]) {
		run_without_l2(q, l1_index, offset, length, run);
		return 0;
	}
	ret = check_l1_entry(q, offset, q->l1[l1_index], &l2_offset, err);
	if (ret)
		return ret;
	slice_span = cluster_bytes(q) * (q->slice_bytes >> q->entry_shift);
	length = min_u64(length, slice_span - (offset & (slice_span - 1)));
	if (!l2_offset) {
		run->kind = RUN_UNALLOCATED;
		run->length = length;
		return 0;
	}
	slice_offset = (l2_index << q->entry_shift) &
		       ~((uint64_t)q->slice_bytes - 1);
	ret = block_cache_get(q->l2_slices, l2_offset + slice_offset,
			      fill_slice, q, &block, err);
	if (ret)
		return ret;
	ret = run_in_slice(q, cached_block_data(block), offset, length, run,
			   err);
	block_cache_put(block);
	return ret;
}

static int decompress_with(struct qcow2_layer *q, struct decompressor *d,
			   uint64_t descriptor, void *cluster,
			   struct image_error *err)
{
	const struct qcow2_compressed compressed =
		qcow2_decode_compressed(descriptor, q->info.cluster_bits);
	const uint64_t offset = compressed.offset;
	size_t length = compressed.bytes;
	uint64_t present = host_file_size(q->layer.file) - offset;
	bool is_cut = length > present;
	int ret;

	/* Do not read zeros behind the end, which could decompress to anything. */
	if (is_cut)
		length = present;
	ret = host_file_read(q->layer.file, offset, decompressor_input(d),
			     length, err);
	if (ret)
		return ret;
	if (decompressor_run(d, length, cluster))
		return image_fail(err, -EINVAL,
				  "%s: corrupt: the compressed cluster at %#llx (up to %zu bytes) does not decompress%s",
				  qcow2_path(q), (unsigned long long)offset,
				  length, is_cut ?
				  ": it reaches beyond the end of the file, which was truncated" :
				  "");
	return 0;
}

static int decompress(void *context, uint64_t descriptor, void *cluster,
		      struct image_error *err)
{
	struct qcow2_layer *q = context;
	struct decompressor *d = decompressor_get(q->decompressors);
	int ret;

	if (!d)
		return image_fail_memory(err, qcow2_path(q));
	ret = decompress_with(q, d, descriptor, cluster, err);
	decompressor_put(q->decompressors, d);
	return ret;
}

bool qcow2_compressed_is_inside(const struct qcow2_layer *q, uint64_t entry)
{
	const struct qcow2_compressed compressed =
		qcow2_decode_compressed(entry, q->info.cluster_bits);

	return !q->data_file && compressed.offset + compressed.bytes <=
				host_file_size(q->layer.file);
}

int qcow2_read_compressed(struct layer *layer, uint64_t descriptor,
			  uint64_t offset, void *buffer, size_t length,
			  struct image_error *err)
{
	struct qcow2_layer *q = to_qcow2(layer);
	struct cached_block *block;
	int ret;

	/* A whole cluster goes straight to where it is wanted. */
	if (length == cluster_bytes(q))
		return decompress(q, descriptor, buffer, err);
	ret = block_cache_get(q->clusters, descriptor, decompress, q, &block,
			      err);
	if (ret)
		return ret;
	memcpy(buffer,
	       (const char *)cached_block_data(block) + into_cluster(q, offset),
	       length);
	block_cache_put(block);
	return 0;
}
