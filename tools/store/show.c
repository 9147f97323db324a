// SPDX-License-Identifier: GPL-2.0-only
/* Printing the bitmaps of a store, see show.h. */
#include <inttypes.h>
#include <stdio.h>

#include "base/size.h"
#include "store/generation.h"
#include "store/show.h"

static int sum_range(void *context, uint64_t offset, uint64_t length)
{
	uint64_t *sum = context;

	(void)offset;
	*sum += length;
	return 0;
}

static int print_range_json(void *context, uint64_t offset, uint64_t length)
{
	struct json_object *range = json_new_object();
	bool *is_first = context;

	json_add_number(range, "start", offset);
	json_add_number(range, "length", length);
	json_print_element(range, *is_first);
	*is_first = false;
	return 0;
}

static int print_range(void *context, uint64_t offset, uint64_t length)
{
	(void)context;
	printf("%#14" PRIx64 " %#14" PRIx64 "\n", offset, length);
	return 0;
}

static int add_bitmap(struct meta_store *store,
		      const struct meta_store_bitmap *bitmap,
		      struct json_object *list)
{
	const struct qcow2_store_bitmap *entry = &bitmap->entry;
	struct json_object *object = json_new_object();
	uint64_t set = 0;
	int r = meta_store_walk(store, bitmap, sum_range, &set);

	json_add(object, "name",
		 json_object_new_string_len(entry->name, entry->name_bytes));
	json_add_number(object, "granularity", 1ULL << entry->granularity_bits);
	json_add_bool(object, "in-use", entry->flags & QCOW2_BITMAP_IN_USE);
	json_add_bool(object, "auto", entry->flags & QCOW2_BITMAP_AUTO);
	json_add_number(object, "set-bytes", set);
	json_add_number(object, "generation", meta_generation(store, bitmap));
	json_append(list, object);
	return r;
}

int meta_show_bitmaps_json(struct meta_store *store, struct json_object *list)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < store->header.nr_bitmaps; i++)
		r = add_bitmap(store, &store->bitmaps[i], list);
	return r;
}

/* Names come from the store: their control characters must not reach a terminal. */
void meta_print_name(const char *name, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++) {
		unsigned char c = name[i];

		putchar(c < 0x20 || c == 0x7f ? '?' : c);
	}
}

static int print_bitmap(struct meta_store *store,
			const struct meta_store_bitmap *bitmap)
{
	const struct qcow2_store_bitmap *entry = &bitmap->entry;
	char granularity[SIZE_TEXT_BYTES], bytes[SIZE_TEXT_BYTES];
	uint64_t set = 0, total = store->header.size_bytes;
	uint64_t generation = meta_generation(store, bitmap);
	int r = meta_store_walk(store, bitmap, sum_range, &set);

	printf("bitmap ");
	meta_print_name(entry->name, entry->name_bytes);
	printf(": granularity %s,%s%s %s set (%.1f %%)",
	       size_format(1ULL << entry->granularity_bits, granularity),
	       entry->flags & QCOW2_BITMAP_AUTO ? " auto," : "",
	       entry->flags & QCOW2_BITMAP_IN_USE ? " in use," : "",
	       size_format(set, bytes), total ? 100.0 * set / total : 0);
	if (generation)
		printf(", generation %" PRIu64, generation);
	putchar('\n');
	return r;
}

int meta_show_bitmaps(struct meta_store *store)
{
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < store->header.nr_bitmaps; i++)
		r = print_bitmap(store, &store->bitmaps[i]);
	return r;
}

int meta_show_bits(struct meta_store *store,
		   const struct meta_store_bitmap *bitmap, bool json)
{
	bool is_first = true;
	int r;

	if (!json)
		return meta_store_walk(store, bitmap, print_range, NULL);
	/* Half a list must not be taken for a whole one: then leave it open. */
	putchar('[');
	r = meta_store_walk(store, bitmap, print_range_json, &is_first);
	if (!r)
		puts("]");
	return r;
}
