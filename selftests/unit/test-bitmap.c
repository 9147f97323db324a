// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block bitmap keeps its promises: it behaves like a plain array of bools, the weight
 * is always right, and no change is lost between the dirty flag and the staged page.
 */
#include "unit.h"

#include "dm-live/core/bitmap.h"

#define PAGE_BLOCKS ((u64)DM_LIVE_BITMAP_PAGE_BLOCKS)

/* Around the edges of words, and of pages of bits. */
static const u64 sizes[] = {
	1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 129, 4095, 4096, 4097,
	PAGE_BLOCKS - 65, PAGE_BLOCKS - 64, PAGE_BLOCKS - 1, PAGE_BLOCKS,
	PAGE_BLOCKS + 1, PAGE_BLOCKS + 63, PAGE_BLOCKS + 64, PAGE_BLOCKS + 65,
	2 * PAGE_BLOCKS - 1, 2 * PAGE_BLOCKS, 2 * PAGE_BLOCKS + 1,
	64 * PAGE_BLOCKS, 64 * PAGE_BLOCKS + 1, 65 * PAGE_BLOCKS - 1,
};

/* Fill @edges with all interesting positions from 0 to @size. Returns their number. */
static unsigned int list_edges(u64 size, u64 edges[32])
{
	static const u64 candidates[] = {
		0, 1, 31, 32, 33, 62, 63, 64, 65, 128, PAGE_BLOCKS - 64,
		PAGE_BLOCKS - 1, PAGE_BLOCKS, PAGE_BLOCKS + 1, PAGE_BLOCKS + 64,
		2 * PAGE_BLOCKS - 1, 2 * PAGE_BLOCKS, 2 * PAGE_BLOCKS + 1,
		64 * PAGE_BLOCKS - 1, 64 * PAGE_BLOCKS,
	};
	unsigned int i, nr = 0;

	for (i = 0; i < NR_OF(candidates) && candidates[i] < size; i++)
		edges[nr++] = candidates[i];
	if (edges[nr - 1] < size - 1)
		edges[nr++] = size - 1;
	edges[nr++] = size;
	return nr;
}

static void no_dirty_page(struct dm_live_bitmap *bitmap)
{
	assert_int_equal(dm_live_bitmap_next_dirty(bitmap, 0),
			 dm_live_bitmap_nr_pages(bitmap));
}

static void clean_all_pages(struct dm_live_bitmap *bitmap)
{
	u8 page[DM_LIVE_BITMAP_PAGE_BYTES];
	u64 nr_pages = dm_live_bitmap_nr_pages(bitmap);
	u64 p;

	for (p = dm_live_bitmap_next_dirty(bitmap, 0); p < nr_pages;
	     p = dm_live_bitmap_next_dirty(bitmap, p + 1))
		dm_live_bitmap_stage_page(bitmap, p, page);
	no_dirty_page(bitmap);
}

/* Exactly the pages with the blocks [first, end) are dirty. */
static void dirty_pages_are(struct dm_live_bitmap *bitmap, u64 first, u64 end)
{
	u64 nr_pages = dm_live_bitmap_nr_pages(bitmap);
	u64 page = dm_live_bitmap_next_dirty(bitmap, 0);
	u64 p;

	if (first == end) {
		no_dirty_page(bitmap);
		return;
	}
	assert_int_equal(page, first / PAGE_BLOCKS);
	for (p = page; p <= (end - 1) / PAGE_BLOCKS; p++)
		assert_int_equal(dm_live_bitmap_next_dirty(bitmap, p), p);
	assert_int_equal(dm_live_bitmap_next_dirty(bitmap, p), nr_pages);
}

static void new_bitmap_is_clear(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(sizes); i++) {
		u64 size = sizes[i];
		struct dm_live_bitmap *bitmap = dm_live_bitmap_create(size);

		assert_non_null(bitmap);
		assert_int_equal(dm_live_bitmap_nr_blocks(bitmap), size);
		assert_int_equal(dm_live_bitmap_nr_pages(bitmap),
				 (size + PAGE_BLOCKS - 1) / PAGE_BLOCKS);
		assert_int_equal(dm_live_bitmap_weight(bitmap), 0);
		assert_int_equal(dm_live_bitmap_next_set(bitmap, 0, size), size);
		assert_int_equal(dm_live_bitmap_next_clear(bitmap, 0, size), 0);
		assert_false(dm_live_bitmap_test(bitmap, size - 1));
		no_dirty_page(bitmap);
		dm_live_bitmap_destroy(bitmap);
	}
}

/* Bits [first, end) have the value @inside, all others the opposite. */
static void only_range_is(struct dm_live_bitmap *bitmap, u64 first, u64 end,
			  bool inside)
{
	u64 size = dm_live_bitmap_nr_blocks(bitmap);
	u64 (*find_inside)(const struct dm_live_bitmap *b, u64 from, u64 to) =
		inside ? dm_live_bitmap_next_set : dm_live_bitmap_next_clear;
	u64 (*find_outside)(const struct dm_live_bitmap *b, u64 from, u64 to) =
		inside ? dm_live_bitmap_next_clear : dm_live_bitmap_next_set;
	bool is_set = !inside;

	assert_int_equal(dm_live_bitmap_weight(bitmap),
			 inside ? end - first : size - (end - first));
	if (first == end) {
		assert_int_equal(find_inside(bitmap, 0, size), size);
		return;
	}
	assert_int_equal(find_inside(bitmap, 0, size), first);
	assert_int_equal(find_outside(bitmap, first, size), end);
	assert_int_equal(find_inside(bitmap, end, size), size);
	/* A search ends at its limit, also inside of a word. */
	assert_int_equal(find_inside(bitmap, 0, first), first);
	assert_int_equal(find_outside(bitmap, first, end), end);
	assert_int_equal(find_outside(bitmap, first, first), first);
	assert_int_equal(dm_live_bitmap_run(bitmap, first, size, &is_set), end);
	assert_int_equal(is_set, inside);
	assert_int_equal(dm_live_bitmap_run(bitmap, end - 1, size, &is_set), end);
	assert_int_equal(dm_live_bitmap_run(bitmap, first, end, &is_set), end);
	if (first)
		assert_int_equal(dm_live_bitmap_run(bitmap, 0, size, &is_set), first);
	assert_int_equal(is_set, first ? !inside : inside);
	assert_int_equal(dm_live_bitmap_test(bitmap, first), inside);
	assert_int_equal(dm_live_bitmap_test(bitmap, end - 1), inside);
	if (first)
		assert_int_equal(dm_live_bitmap_test(bitmap, first - 1), !inside);
	if (end < size)
		assert_int_equal(dm_live_bitmap_test(bitmap, end), !inside);
}

static void one_range(struct dm_live_bitmap *bitmap, u64 first, u64 end)
{
	u64 size = dm_live_bitmap_nr_blocks(bitmap);
	u64 nr = end - first;

	assert_int_equal(dm_live_bitmap_set_range(bitmap, first, nr), nr);
	only_range_is(bitmap, first, end, true);
	dirty_pages_are(bitmap, first, end);
	clean_all_pages(bitmap);
	/* Nothing changes: no page is dirty. */
	assert_int_equal(dm_live_bitmap_set_range(bitmap, first, nr), 0);
	no_dirty_page(bitmap);

	assert_int_equal(dm_live_bitmap_set_range(bitmap, 0, size), size - nr);
	clean_all_pages(bitmap);
	assert_int_equal(dm_live_bitmap_clear_range(bitmap, first, nr), nr);
	only_range_is(bitmap, first, end, false);
	dirty_pages_are(bitmap, first, end);
	clean_all_pages(bitmap);
	assert_int_equal(dm_live_bitmap_clear_range(bitmap, first, nr), 0);
	no_dirty_page(bitmap);

	assert_int_equal(dm_live_bitmap_clear_range(bitmap, 0, size), size - nr);
	assert_int_equal(dm_live_bitmap_weight(bitmap), 0);
	clean_all_pages(bitmap);
}

static void ranges_at_every_edge(void **state)
{
	unsigned int i, a, b;

	(void)state;
	for (i = 0; i < NR_OF(sizes); i++) {
		struct dm_live_bitmap *bitmap = dm_live_bitmap_create(sizes[i]);
		u64 edges[32];
		unsigned int nr = list_edges(sizes[i], edges);

		assert_non_null(bitmap);
		for (a = 0; a < nr; a++)
			for (b = a; b < nr; b++)
				one_range(bitmap, edges[a], edges[b]);
		dm_live_bitmap_destroy(bitmap);
	}
}

/* The model: a plain array. */
struct model {
	u64 size;
	bool *bits;
	bool *dirty;
};

static u64 model_change(struct model *model, u64 first, u64 end, bool set)
{
	u64 changed = 0;

	for (; first < end; first++) {
		if (model->bits[first] == set)
			continue;
		model->bits[first] = set;
		model->dirty[first / PAGE_BLOCKS] = true;
		changed++;
	}
	return changed;
}

static u64 model_find(const struct model *model, u64 first, u64 end, bool set)
{
	while (first < end && model->bits[first] != set)
		first++;
	return first;
}

static u64 model_weight(const struct model *model)
{
	u64 i, weight = 0;

	for (i = 0; i < model->size; i++)
		weight += model->bits[i];
	return weight;
}

static void stage_is_model(struct dm_live_bitmap *bitmap, struct model *model,
			   u64 page)
{
	u8 bytes[DM_LIVE_BITMAP_PAGE_BYTES];
	u64 i;

	memset(bytes, 0xa5, sizeof(bytes));
	dm_live_bitmap_stage_page(bitmap, page, bytes);
	model->dirty[page] = false;
	for (i = 0; i < PAGE_BLOCKS; i++) {
		u64 block = page * PAGE_BLOCKS + i;
		bool expected = block < model->size && model->bits[block];

		assert_int_equal(bytes[i / 8] >> i % 8 & 1, expected);
	}
}

static void all_is_model(struct dm_live_bitmap *bitmap, struct model *model)
{
	u64 nr_pages = dm_live_bitmap_nr_pages(bitmap);
	u64 i, page;

	for (i = 0; i < model->size; i++)
		assert_int_equal(dm_live_bitmap_test(bitmap, i), model->bits[i]);
	assert_int_equal(dm_live_bitmap_weight(bitmap), model_weight(model));
	for (i = 0; i < nr_pages; i++) {
		page = i;
		while (page < nr_pages && !model->dirty[page])
			page++;
		assert_int_equal(dm_live_bitmap_next_dirty(bitmap, i), page);
		assert_int_equal(dm_live_bitmap_is_dirty(bitmap, i), model->dirty[i]);
	}
}

/* Write random bytes there, also past the bitmap's end. */
static void random_load(struct dm_live_bitmap *bitmap, struct model *model,
			struct rng *rng, u64 page)
{
	u8 bytes[DM_LIVE_BITMAP_PAGE_BYTES];
	u64 i, block;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = rng_next(rng) >> 40;
	dm_live_bitmap_load_page(bitmap, page, bytes);
	for (i = 0; i < PAGE_BLOCKS; i++) {
		block = page * PAGE_BLOCKS + i;
		if (block < model->size)
			model->bits[block] = bytes[i / 8] >> i % 8 & 1;
	}
}

static void random_step(struct dm_live_bitmap *bitmap, struct model *model,
			struct rng *rng)
{
	u64 first = rng_below(rng, model->size);
	u64 limit = rng_below(rng, 4) ? 200 : model->size;
	u64 nr = rng_below(rng, min(limit, model->size - first) + 1);
	u64 page = first / PAGE_BLOCKS;
	bool is_set = model->bits[first];

	switch (rng_below(rng, 69)) {
	case 0 ... 19:
		assert_int_equal(dm_live_bitmap_set_range(bitmap, first, nr),
				 model_change(model, first, first + nr, true));
		break;
	case 64:
		assert_int_equal(dm_live_bitmap_set_range_slowly(bitmap, first, nr),
				 model_change(model, first, first + nr, true));
		break;
	case 65:
		assert_int_equal(dm_live_bitmap_clear_range_slowly(bitmap, first, nr),
				 model_change(model, first, first + nr, false));
		break;
	case 66:
		assert_int_equal(dm_live_bitmap_next_set_slowly(bitmap, first, first + nr),
				 model_find(model, first, first + nr, true));
		break;
	case 67:
		assert_int_equal(dm_live_bitmap_next_clear_slowly(bitmap, first, first + nr),
				 model_find(model, first, first + nr, false));
		break;
	case 68:
		assert_int_equal(dm_live_bitmap_run_slowly(bitmap, first, model->size,
							   &is_set),
				 model_find(model, first, model->size, !is_set));
		break;
	case 20 ... 39:
		assert_int_equal(dm_live_bitmap_clear_range(bitmap, first, nr),
				 model_change(model, first, first + nr, false));
		break;
	case 40 ... 49:
		assert_int_equal(dm_live_bitmap_next_set(bitmap, first, first + nr),
				 model_find(model, first, first + nr, true));
		break;
	case 50 ... 59:
		assert_int_equal(dm_live_bitmap_next_clear(bitmap, first, first + nr),
				 model_find(model, first, first + nr, false));
		break;
	case 60:
		dm_live_bitmap_mark_dirty(bitmap, page);
		model->dirty[page] = true;
		break;
	case 61:
		stage_is_model(bitmap, model, page);
		break;
	case 62:
		random_load(bitmap, model, rng, page);
		break;
	case 63:
		all_is_model(bitmap, model);
		break;
	}
}

static void random_steps_are_those_of_a_plain_array(void **state)
{
	struct rng rng = rng_new(0);
	unsigned int i, step;

	(void)state;
	for (i = 0; i < NR_OF(sizes); i++) {
		struct model model = { .size = sizes[i] };
		struct dm_live_bitmap *bitmap;

		if (model.size > 3 * PAGE_BLOCKS)
			continue;
		bitmap = dm_live_bitmap_create(model.size);
		model.bits = calloc(model.size, sizeof(bool));
		model.dirty = calloc(model.size / PAGE_BLOCKS + 1, sizeof(bool));
		assert_non_null(bitmap);
		for (step = 0; step < 2000; step++)
			random_step(bitmap, &model, &rng);
		all_is_model(bitmap, &model);
		free(model.dirty);
		free(model.bits);
		dm_live_bitmap_destroy(bitmap);
	}
}

/* Every size: all pages, staged and loaded into another bitmap, give the same bits. */
static void staged_pages_can_be_loaded(void **state)
{
	u8 bytes[DM_LIVE_BITMAP_PAGE_BYTES];
	struct rng rng = rng_new(1);
	unsigned int i, n;
	u64 page, block;

	(void)state;
	for (i = 0; i < NR_OF(sizes); i++) {
		struct dm_live_bitmap *from = dm_live_bitmap_create(sizes[i]);
		struct dm_live_bitmap *to = dm_live_bitmap_create(sizes[i]);

		for (n = 0; n < 50; n++) {
			block = rng_below(&rng, sizes[i]);
			dm_live_bitmap_set_range(from, block,
						 rng_below(&rng, sizes[i] - block) / 8 + 1);
			block = rng_below(&rng, sizes[i]);
			dm_live_bitmap_clear_range(from, block,
						   rng_below(&rng, sizes[i] - block) / 8 + 1);
		}
		/* The former content is replaced. */
		dm_live_bitmap_set_range(to, 0, sizes[i]);
		clean_all_pages(to);
		for (page = 0; page < dm_live_bitmap_nr_pages(from); page++) {
			dm_live_bitmap_stage_page(from, page, bytes);
			dm_live_bitmap_load_page(to, page, bytes);
		}
		no_dirty_page(from);
		no_dirty_page(to);
		assert_int_equal(dm_live_bitmap_weight(to),
				 dm_live_bitmap_weight(from));
		for (block = 0; block < sizes[i]; block++)
			assert_int_equal(dm_live_bitmap_test(to, block),
					 dm_live_bitmap_test(from, block));
		dm_live_bitmap_destroy(from);
		dm_live_bitmap_destroy(to);
	}
}

/* A page full of ones is loaded as ones up to the end, and staged with zeros past it. */
static void bits_past_the_end_are_ignored(void **state)
{
	u8 bytes[DM_LIVE_BITMAP_PAGE_BYTES];
	unsigned int i;
	u64 last, bit;

	(void)state;
	for (i = 0; i < NR_OF(sizes); i++) {
		struct dm_live_bitmap *bitmap = dm_live_bitmap_create(sizes[i]);
		u64 in_last;

		last = dm_live_bitmap_nr_pages(bitmap) - 1;
		in_last = sizes[i] - last * PAGE_BLOCKS;
		memset(bytes, 0xff, sizeof(bytes));
		dm_live_bitmap_load_page(bitmap, last, bytes);
		assert_int_equal(dm_live_bitmap_weight(bitmap), in_last);
		assert_int_equal(dm_live_bitmap_next_clear(bitmap, last * PAGE_BLOCKS,
							   sizes[i]), sizes[i]);
		dm_live_bitmap_stage_page(bitmap, last, bytes);
		for (bit = 0; bit < PAGE_BLOCKS; bit++)
			assert_int_equal(bytes[bit / 8] >> bit % 8 & 1,
					 bit < in_last);
		dm_live_bitmap_destroy(bitmap);
	}
}

/* All bits are clear. Pages that had a set bit are dirty; others may be. */
static void reset_clears_all(void **state)
{
	struct rng rng = rng_new(2);
	unsigned int i, n;

	(void)state;
	for (i = 0; i < NR_OF(sizes); i++) {
		struct dm_live_bitmap *bitmap = dm_live_bitmap_create(sizes[i]);
		u64 block;

		for (n = 0; n < 10; n++) {
			block = rng_below(&rng, sizes[i]);
			dm_live_bitmap_set_range(bitmap, block, 1);
			clean_all_pages(bitmap);
			dm_live_bitmap_reset(bitmap);
			assert_int_equal(dm_live_bitmap_next_dirty(bitmap, 0),
					 block / PAGE_BLOCKS);
			assert_int_equal(dm_live_bitmap_weight(bitmap), 0);
			assert_false(dm_live_bitmap_test(bitmap, block));
			clean_all_pages(bitmap);
		}
		dm_live_bitmap_set_range_slowly(bitmap, 0, sizes[i]);
		clean_all_pages(bitmap);
		dm_live_bitmap_reset(bitmap);
		dirty_pages_are(bitmap, 0, sizes[i]);
		assert_int_equal(dm_live_bitmap_next_set_slowly(bitmap, 0, sizes[i]),
				 sizes[i]);
		assert_int_equal(dm_live_bitmap_set_range(bitmap, 0, sizes[i]), sizes[i]);
		clean_all_pages(bitmap);
		dm_live_bitmap_reset(bitmap);
		clean_all_pages(bitmap);
		dm_live_bitmap_reset(bitmap);
		no_dirty_page(bitmap);
		dm_live_bitmap_destroy(bitmap);
	}
}

/* As if newly made, whatever its content was. */
static void renewed_bitmap_is_new(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(sizes); i++) {
		struct dm_live_bitmap *bitmap = dm_live_bitmap_create(sizes[i]);
		u64 last = sizes[i] - 1;

		dm_live_bitmap_set_range(bitmap, last, 1);
		dm_live_bitmap_renew(bitmap);
		no_dirty_page(bitmap);
		assert_int_equal(dm_live_bitmap_weight(bitmap), 0);
		dm_live_bitmap_set_range_slowly(bitmap, 0, sizes[i]);
		dm_live_bitmap_renew(bitmap);
		no_dirty_page(bitmap);
		assert_int_equal(dm_live_bitmap_next_set_slowly(bitmap, 0, sizes[i]),
				 sizes[i]);
		assert_int_equal(dm_live_bitmap_set_range(bitmap, last, 1), 1);
		dirty_pages_are(bitmap, last, sizes[i]);
		dm_live_bitmap_destroy(bitmap);
	}
}

static void no_memory_is_no_bitmap(void **state)
{
	(void)state;
	assert_null(dm_live_bitmap_create(1ULL << 59));
	assert_null(dm_live_bitmap_create(U64_MAX));
	dm_live_bitmap_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_bitmap_is_clear),
		cmocka_unit_test(ranges_at_every_edge),
		cmocka_unit_test(random_steps_are_those_of_a_plain_array),
		cmocka_unit_test(staged_pages_can_be_loaded),
		cmocka_unit_test(bits_past_the_end_are_ignored),
		cmocka_unit_test(reset_clears_all),
		cmocka_unit_test(renewed_bitmap_is_new),
		cmocka_unit_test(no_memory_is_no_bitmap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
