// SPDX-License-Identifier: GPL-2.0-only
/*
 * The check of an image's tables, see preflight.h.
 *
 * The L2 tables of a layer are taken in the order of the file, each once however many
 * L1 entries name it, so that the time is bounded by the size of the file; tables that
 * adjoin are read together. An entry that is obviously valid costs a few comparisons.
 * All others are looked up as in reading: so nothing is refused here that can be read,
 * say because a layer above hides it, and the messages are the same.
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "image-internal.h"
#include "preflight.h"
#include "qcow2-layer.h"

#define BATCH_BYTES (1U << 20)	/* at least one table: at most 2 MiB */
/* More than there are processors: a disk needs several requests at a time. */
#define MIN_THREADS 4
#define MAX_THREADS 16
#define TICK_NS 100000000LL

struct table {
	uint64_t offset;
	uint64_t l1_index;
};

struct walk {
	struct image *image;
	unsigned int depth;
	struct qcow2_layer *q;		/* the layer there */
	const struct preflight *preflight;
	uint64_t visible_bytes;
	uint64_t cluster_bytes;
	uint64_t entries_per_table;
	bool extended;
	uint64_t data_bytes;		/* size of the file with plain clusters */
	struct table *tables;
	size_t nr_tables;
	uint64_t total_bytes;		/* of all layers */
	_Atomic uint64_t *done_bytes;
	_Atomic bool stop;
	pthread_mutex_t lock;		/* protects what follows */
	size_t next;
	int result;
	struct image_error *err;
};

static uint64_t clusters_of(const struct walk *w, uint64_t bytes)
{
	return (bytes + w->cluster_bytes - 1) / w->cluster_bytes;
}

static void give_up(struct walk *w, int ret, const struct image_error *err)
{
	pthread_mutex_lock(&w->lock);
	if (!w->result) {
		w->result = ret;
		if (w->err)
			*w->err = *err;
	}
	pthread_mutex_unlock(&w->lock);
	atomic_store(&w->stop, true);
}

/* The error from reading @nr clusters, as far as they come from this layer. */
static int ask_image(struct walk *w, uint64_t cluster, uint64_t nr,
		     struct image_error *err)
{
	uint64_t offset = cluster * w->cluster_bytes;
	uint64_t end = offset + nr * w->cluster_bytes;
	struct image_extent extent = { 0 };
	char sector[512];
	int ret = 0;

	if (end > w->visible_bytes)
		end = w->visible_bytes;
	for (; !ret && offset < end; offset += extent.length) {
		ret = image_map(w->image, offset, end - offset, &extent, err);
		if (!ret && extent.kind == IMAGE_EXTENT_COMPRESSED &&
		    extent.depth == w->depth)
			/* A part will do: it fills the cache, and many may be alike. */
			ret = image_read(w->image, offset, sector,
					 sizeof(sector), err);
	}
	return ret;
}

static bool is_plainly_right(const struct walk *w, uint64_t cluster,
			     uint64_t entry, uint64_t bitmap)
{
	uint64_t offset = qcow2_l2_entry_offset(entry);

	if (entry & QCOW2_OFLAG_COMPRESSED)
		return qcow2_compressed_is_inside(w->q, entry);
	if (qcow2_l2_entry_is_reserved(entry) ||
	    offset & (w->cluster_bytes - 1))
		return false;
	/* It may have a place in the file, but nothing is read there. */
	if (entry & QCOW2_OFLAG_ZERO)
		return qcow2_has_zero_flag(w->q->info.version,
					   w->q->info.incompatible);
	if (w->extended && !(uint32_t)bitmap)
		return true;
	if (w->extended && ((uint32_t)bitmap & (bitmap >> 32) ||
			    (!offset && !w->q->data_file)))
		return false;
	if (w->q->data_file && offset != cluster * w->cluster_bytes)
		return false;
	return offset + w->cluster_bytes <= w->data_bytes;
}

static int check_table(struct walk *w, const __be64 *entries,
		       const struct table *table, struct image_error *err)
{
	uint64_t first = table->l1_index * w->entries_per_table;
	uint64_t nr = clusters_of(w, w->visible_bytes) - first, i;
	unsigned int words = w->extended ? 2 : 1;
	int ret = 0;

	if (nr > w->entries_per_table)
		nr = w->entries_per_table;
	for (i = 0; !ret && i < nr; i++, entries += words) {
		if (!entries[0] && !(w->extended && entries[1]))
			continue;
		if (!is_plainly_right(w, first + i, be64toh(entries[0]),
				      w->extended ? be64toh(entries[1]) : 0))
			ret = ask_image(w, first + i, 1, err);
	}
	return ret;
}

/* Some tables that adjoin in the file; 0: none is left. */
static size_t take_batch(struct walk *w, const struct table **first)
{
	size_t nr = 0, most = BATCH_BYTES / w->cluster_bytes;

	pthread_mutex_lock(&w->lock);
	*first = w->tables + w->next;
	if (w->next < w->nr_tables)
		nr = 1;
	while (nr && nr < most && w->next + nr < w->nr_tables &&
	       (*first)[nr].offset ==
	       (*first)->offset + nr * w->cluster_bytes)
		nr++;
	w->next += nr;
	pthread_mutex_unlock(&w->lock);
	return nr;
}

static int check_batch(struct walk *w, const struct table *first, size_t nr,
		       char *buffer, struct image_error *err)
{
	size_t i;
	int ret;

	ret = host_file_read(w->q->layer.file, first->offset, buffer,
			     nr * w->cluster_bytes, err);
	for (i = 0; !ret && i < nr; i++)
		ret = check_table(w, (const __be64 *)(buffer +
				  i * w->cluster_bytes), first + i, err);
	atomic_fetch_add(w->done_bytes, nr * w->cluster_bytes);
	return ret;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static void tick(struct walk *w, uint64_t *last_ns)
{
	const struct preflight *preflight = w->preflight;
	struct image_error err;
	uint64_t now = now_ns();

	if (!preflight || !preflight->tick || now - *last_ns < TICK_NS)
		return;
	*last_ns = now;
	if (preflight->tick(preflight->context, atomic_load(w->done_bytes),
			    w->total_bytes))
		give_up(w, image_fail(&err, -ECANCELED, "%s: interrupted",
				      qcow2_path(w->q)), &err);
}

static void work(struct walk *w, bool is_caller)
{
	size_t bytes = w->cluster_bytes > BATCH_BYTES ? w->cluster_bytes :
							BATCH_BYTES;
	char *buffer = malloc(bytes);
	const struct table *first;
	uint64_t last_ns = now_ns();
	struct image_error err;
	size_t nr;
	int ret = 0;

	if (!buffer)
		ret = image_fail_memory(&err, qcow2_path(w->q));
	while (!ret && !atomic_load(&w->stop) && (nr = take_batch(w, &first))) {
		ret = check_batch(w, first, nr, buffer, &err);
		if (is_caller)
			tick(w, &last_ns);
	}
	if (ret)
		give_up(w, ret, &err);
	free(buffer);
}

static void *help(void *context)
{
	work(context, false);
	return NULL;
}

static unsigned int count_threads(const struct walk *w)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t batches = w->nr_tables * w->cluster_bytes / BATCH_BYTES + 1;
	uint64_t threads = processors > 0 ? processors : 1;

	if (threads < MIN_THREADS)
		threads = MIN_THREADS;
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	return threads < batches ? threads : batches;
}

static void check_tables(struct walk *w)
{
	unsigned int wanted = count_threads(w), started = 0;
	pthread_t threads[MAX_THREADS];

	/* One that cannot start does no harm. */
	while (started + 1 < wanted &&
	       !pthread_create(&threads[started], NULL, help, w))
		started++;
	work(w, true);
	while (started)
		pthread_join(threads[--started], NULL);
}

/* By place in the file; of those with one place, the first in the disk comes first. */
static int compare(const void *a, const void *b)
{
	const struct table *left = a, *right = b;

	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return left->l1_index < right->l1_index ? -1 :
	       left->l1_index > right->l1_index;
}

/*
 * Where several L1 entries name one table, the first stands for all: the end of the
 * disk hides a part of the last table, which the others show.
 */
static void sort_tables(struct walk *w)
{
	size_t from, to = 0;

	if (!w->nr_tables)
		return;
	qsort(w->tables, w->nr_tables, sizeof(*w->tables), compare);
	for (from = 1; from < w->nr_tables; from++)
		if (w->tables[from].offset != w->tables[to].offset)
			w->tables[++to] = w->tables[from];
	w->nr_tables = to + 1;
}

static uint64_t count_l1(const struct walk *w)
{
	uint64_t needed = clusters_of(w, w->visible_bytes);

	needed = (needed + w->entries_per_table - 1) / w->entries_per_table;
	return needed < w->q->l1_entries ? needed : w->q->l1_entries;
}

static bool l1_entry_is_right(const struct walk *w, uint64_t entry)
{
	uint64_t offset = qcow2_l1_entry_offset(entry);

	return offset && !qcow2_l1_entry_is_reserved(entry) &&
	       !(offset & (w->cluster_bytes - 1)) &&
	       offset + w->cluster_bytes <= host_file_size(w->q->layer.file);
}

static int collect_tables(struct walk *w, struct image_error *err)
{
	uint64_t nr = count_l1(w), i;
	int ret = 0;

	w->tables = calloc(nr ?: 1, sizeof(*w->tables));
	if (!w->tables)
		return image_fail_memory(err, qcow2_path(w->q));
	for (i = 0; !ret && i < nr; i++) {
		uint64_t entry = w->q->l1[i];

		if (!entry)
			continue;
		if (l1_entry_is_right(w, entry))
			w->tables[w->nr_tables++] = (struct table) {
				.offset = qcow2_l1_entry_offset(entry),
				.l1_index = i,
			};
		else
			ret = ask_image(w, i * w->entries_per_table,
					w->entries_per_table, err);
	}
	sort_tables(w);
	return ret;
}

static int check_layer(struct walk *w, struct image_error *err)
{
	int ret = collect_tables(w, err);

	if (!ret) {
		check_tables(w);
		ret = w->result;
	}
	free(w->tables);
	return ret;
}

static void describe_layer(struct walk *w, uint64_t visible_bytes)
{
	struct layer *layer = w->image->layers[w->depth];

	w->q = to_qcow2(layer);
	w->visible_bytes = visible_bytes;
	w->cluster_bytes = layer->cluster_bytes;
	w->extended = qcow2_has(&w->q->info, QCOW2_INCOMPAT_EXTENDED_L2);
	w->entries_per_table = 1ULL << qcow2_l2_bits(&w->q->info);
	w->data_bytes = host_file_size(w->q->data_file ?: layer->file);
}

static uint64_t bytes_of_tables(struct layer *layer)
{
	struct qcow2_layer *q = to_qcow2(layer);
	uint64_t bytes = 0;
	unsigned int i;

	if (!layer_qcow2_header(layer))
		return 0;
	for (i = 0; i < q->l1_entries; i++)
		if (q->l1[i])
			bytes += layer->cluster_bytes;
	return bytes;
}

int image_preflight(struct image *image, const struct preflight *preflight,
		    struct image_error *err)
{
	uint64_t visible = image_size(image), total = 0;
	_Atomic uint64_t done = 0;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < image->nr_layers; i++)
		total += bytes_of_tables(image->layers[i]);
	for (i = 0; !ret && i < image->nr_layers; i++) {
		struct layer *layer = image->layers[i];
		struct walk w = {
			.image = image,
			.depth = i,
			.preflight = preflight,
			.total_bytes = total,
			.done_bytes = &done,
			.lock = PTHREAD_MUTEX_INITIALIZER,
			.err = err,
		};

		/* What lies beyond the end of an image above is not visible. */
		if (layer->size_bytes < visible)
			visible = layer->size_bytes;
		if (!visible || !layer_qcow2_header(layer))
			continue;
		describe_layer(&w, visible);
		ret = check_layer(&w, err);
	}
	return ret;
}
