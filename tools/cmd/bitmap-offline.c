// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive bitmap` on a store that no target uses: what is refused, and in which
 * order the parts of a change are made.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cmd/bitmap.h"
#include "block/blockdev.h"
#include "block/dm.h"
#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/size.h"
#include "store/bits.h"
#include "store/directory.h"
#include "store/generation.h"
#include "store/seal.h"
#include "store/show.h"

/* The bitmap of the target alloctrack: without it, the data of a restore are lost. */
#define RESTORE_BITMAP	"alloctrack"

static int exit_status(int r)
{
	switch (r) {
	case 0:
		return EXIT_OK;
	case -EBUSY:
	case -EEXIST:
	case -EFBIG:
	case -EINVAL:
	case -ENOSPC:
	case -EPERM:
	case -ESRCH:
		return EXIT_REFUSED;
	default:
		return EXIT_ERROR;
	}
}

/* -ESRCH: there is none. */
static int find_bitmap(struct meta_store *store, const char *name,
		       struct meta_store_bitmap **bitmap)
{
	*bitmap = meta_store_find(store, name);
	if (*bitmap)
		return 0;
	error("%s: there is no bitmap '%s'; dmlive bitmap list shows all",
	      store->path, name);
	return -ESRCH;
}

static bool is_intent(const struct meta_store_bitmap *bitmap)
{
	return qcow2_store_name_is(&bitmap->entry, QCOW2_DMLIVE_INTENT_NAME);
}

static bool is_open(const struct meta_store_bitmap *bitmap)
{
	return bitmap->entry.flags & QCOW2_BITMAP_IN_USE;
}

/*
 * Does the intent bitmap say what this one may lack after a crash? As the target
 * decides it: the intent bitmap must have been kept until then.
 */
static bool is_recoverable(struct meta_store *store,
			   const struct meta_store_bitmap *bitmap)
{
	const struct meta_store_bitmap *intent =
		meta_store_find(store, QCOW2_DMLIVE_INTENT_NAME);

	return is_open(bitmap) && !is_intent(bitmap) && intent &&
	       is_open(intent) &&
	       store->header.state_flags & QCOW2_DMLIVE_TRACKING;
}

static const char *way_to_close(struct meta_store *store,
				const struct meta_store_bitmap *bitmap)
{
	if (is_recoverable(store, bitmap))
		return "activate its target, which recovers it, or merge dmlive-intent into it";
	if (store->header.state_offset)
		return "activate its target and remove it again to close it";
	return "it cannot be trusted; remove it";
}

static int refuse_open(struct meta_store *store,
		       const struct meta_store_bitmap *bitmap)
{
	error("%s: bitmap '%.*s' is in use or was not closed: %s", store->path,
	      bitmap->entry.name_bytes, bitmap->entry.name,
	      way_to_close(store, bitmap));
	return -EBUSY;
}

static int check_valid(const struct meta_store *store)
{
	if (!store->header.nr_bitmaps || store->header.bitmaps_valid)
		return 0;
	error("%s: the bitmaps are out of date: the image was written by something that does not know them; qemu-img check -r all drops them",
	      store->path);
	return -EINVAL;
}

/* Refuse what must not be changed by hand, unless it is forced. */
static int check_name(const char *path, const char *name, bool force)
{
	if (force)
		return 0;
	if (meta_name_is_reserved(name, strlen(name))) {
		error("%s: bitmap '%s' is dmlive's own: names that begin with dmlive- are reserved",
		      path, name);
		return -EPERM;
	}
	if (!strcmp(name, RESTORE_BITMAP)) {
		error("%s: bitmap '%s' records which data of a restore are on its volume; without it they are lost; --force, if there is no restore to resume",
		      path, name);
		return -EPERM;
	}
	return 0;
}

/* All bitmaps of the store must be closed. */
static int check_closed(struct meta_store *store)
{
	uint32_t i;

	for (i = 0; i < store->header.nr_bitmaps; i++)
		if (is_open(&store->bitmaps[i]))
			return refuse_open(store, &store->bitmaps[i]);
	return 0;
}

/* As in QEMU: the cluster size, but at least 4K and at most 64K. */
static uint64_t default_granularity(const struct meta_writer *writer)
{
	uint64_t granularity = writer->cluster_bytes;

	if (granularity < BITMAP_MIN_DEFAULT_GRANULARITY)
		return BITMAP_MIN_DEFAULT_GRANULARITY;
	return granularity < BITMAP_DEFAULT_GRANULARITY ?
	       granularity : BITMAP_DEFAULT_GRANULARITY;
}

static int add(struct meta_writer *writer,
	       const struct bitmap_arguments *arguments)
{
	const struct meta_bitmap bitmap = {
		.name = arguments->bitmap,
		.granularity = arguments->granularity ?
			       arguments->granularity :
			       default_granularity(writer),
		.autoload = !arguments->disabled,
	};

	return check_closed(&writer->store) ?: meta_add_bitmap(writer, &bitmap);
}

/* Close the intent bitmap when no other bitmap needs it any longer. */
static int close_intent(struct meta_writer *writer,
			const struct meta_store_bitmap *removed)
{
	struct meta_store *store = &writer->store;
	struct meta_store_bitmap *intent =
		meta_store_find(store, QCOW2_DMLIVE_INTENT_NAME);
	uint32_t i;

	if (!intent || !is_open(intent))
		return 0;
	for (i = 0; i < store->header.nr_bitmaps; i++)
		if (&store->bitmaps[i] != intent &&
		    &store->bitmaps[i] != removed && is_open(&store->bitmaps[i]))
			return 0;
	/* Bits that it still has only mark too many regions. */
	return meta_set_flags(writer, intent,
			      intent->entry.flags & ~QCOW2_BITMAP_IN_USE);
}

/* Also one that was not closed: there may be no other way to get rid of it. */
static int remove_one(struct meta_writer *writer,
		      const struct bitmap_arguments *arguments)
{
	struct meta_store_bitmap *bitmap;

	return find_bitmap(&writer->store, arguments->bitmap, &bitmap) ?:
	       meta_drop_generation(writer, bitmap) ?:
	       close_intent(writer, bitmap) ?:
	       meta_remove_bitmap(writer, bitmap);
}

static int find_closed(struct meta_writer *writer,
		       const struct bitmap_arguments *arguments,
		       struct meta_store_bitmap **bitmap)
{
	int r = find_bitmap(&writer->store, arguments->bitmap, bitmap);

	if (!r && is_open(*bitmap))
		r = refuse_open(&writer->store, *bitmap);
	return r;
}

static int enable(struct meta_writer *writer,
		  const struct bitmap_arguments *arguments)
{
	struct meta_store_bitmap *bitmap;

	return find_closed(writer, arguments, &bitmap) ?:
	       meta_set_flags(writer, bitmap,
			      bitmap->entry.flags | QCOW2_BITMAP_AUTO);
}

/* What is written from now on will not be recorded in it. */
static int disable(struct meta_writer *writer,
		   const struct bitmap_arguments *arguments)
{
	struct meta_store_bitmap *bitmap;

	return find_closed(writer, arguments, &bitmap) ?:
	       meta_drop_generation(writer, bitmap) ?:
	       meta_set_flags(writer, bitmap,
			      bitmap->entry.flags & ~QCOW2_BITMAP_AUTO);
}

static int clear(struct meta_writer *writer,
		 const struct bitmap_arguments *arguments)
{
	struct meta_store_bitmap *bitmap;

	return find_closed(writer, arguments, &bitmap) ?:
	       meta_drop_generation(writer, bitmap) ?:
	       meta_clear_bits(writer, bitmap);
}

/*
 * A bitmap that was not closed has, durably, what the intent bitmap recorded: nothing
 * is missing any more.
 */
static int close_recovered(struct meta_writer *writer,
			   struct meta_store_bitmap *bitmap)
{
	return meta_set_flags(writer, bitmap,
			      bitmap->entry.flags & ~QCOW2_BITMAP_IN_USE) ?:
	       close_intent(writer, NULL);
}

static int check_merge(struct meta_store *store,
		       const struct meta_store_bitmap *into,
		       struct meta_store *source,
		       const struct meta_store_bitmap *from, bool *recovers)
{
	*recovers = source == store && is_intent(from) &&
		    is_recoverable(store, into);
	if (*recovers)
		return 0;
	if (is_open(into))
		return refuse_open(store, into);
	if (is_open(from))
		return refuse_open(source, from);
	return check_valid(source);
}

static int merge_from(struct meta_writer *writer, struct meta_store *source,
		      const struct bitmap_arguments *arguments,
		      uint64_t *added_bytes)
{
	struct meta_store_bitmap *into, *from;
	bool recovers = false;
	int r;

	r = find_bitmap(&writer->store, arguments->bitmap, &into) ?:
	    find_bitmap(source, arguments->source, &from) ?:
	    check_merge(&writer->store, into, source, from, &recovers) ?:
	    meta_merge_bits(writer, into, source, from, added_bytes);
	if (!r && recovers)
		r = close_recovered(writer, into);
	return r;
}

static int merge(struct meta_writer *writer,
		 const struct bitmap_arguments *arguments,
		 uint64_t *added_bytes)
{
	struct meta_store source;
	int r;

	if (!arguments->source_file)
		return merge_from(writer, &writer->store, arguments,
				  added_bytes);
	r = meta_store_open(arguments->source_file, &source);
	if (r)
		return r;
	r = merge_from(writer, &source, arguments, added_bytes);
	meta_store_close(&source);
	return r;
}

static int change(struct meta_writer *writer,
		  const struct bitmap_arguments *arguments, uint64_t *added)
{
	switch (arguments->action) {
	case BITMAP_ADD:
		return add(writer, arguments);
	case BITMAP_REMOVE:
		return remove_one(writer, arguments);
	case BITMAP_ENABLE:
		return enable(writer, arguments);
	case BITMAP_DISABLE:
		return disable(writer, arguments);
	case BITMAP_CLEAR:
		return clear(writer, arguments);
	case BITMAP_MERGE:
		return merge(writer, arguments, added);
	default:
		return -EINVAL;
	}
}

void bitmap_report(const struct bitmap_arguments *arguments,
		   const uint64_t *added_bytes)
{
	char bytes[SIZE_TEXT_BYTES];
	struct json_object *object;

	if (!arguments->json) {
		if (added_bytes)
			printf("%s: %s more are set\n", arguments->bitmap,
			       size_format(*added_bytes, bytes));
		return;
	}
	object = json_new_object();
	json_add_string(object, "store", arguments->store);
	json_add_string(object, "bitmap", arguments->bitmap);
	json_add_string(object, "action", arguments->verb);
	if (added_bytes)
		json_add_number(object, "added-bytes", *added_bytes);
	json_print_pretty(object);
}

/* Name the mapped device; the check in meta_writer_open() cannot. */
static int check_user(const struct bitmap_arguments *arguments)
{
	char name[DM_NAME_BYTES];
	int r;

	if (arguments->held || !path_is_blockdev(arguments->store))
		return 0;
	r = bitmap_find_user(arguments->store, name, sizeof(name));
	if (r <= 0)
		return r;
	error("%s is in use by the mapped device %s: give that name (dmlive bitmap %s %s ...)",
	      arguments->store, name, arguments->verb, name);
	return -EBUSY;
}

static int change_store(const struct bitmap_arguments *arguments)
{
	const unsigned int flags =
		(arguments->held ? META_WRITER_HELD : 0) |
		(arguments->action == BITMAP_ENABLE ||
		 arguments->action == BITMAP_DISABLE ? 0 :
						       META_WRITER_REFCOUNTS);
	struct meta_writer writer;
	uint64_t added = 0;
	int r;

	r = check_name(arguments->store, arguments->bitmap, arguments->force) ?:
	    check_user(arguments) ?:
	    meta_writer_open(arguments->store, flags, &writer);
	if (r)
		return exit_status(r);
	r = check_valid(&writer.store);
	if (!r)
		r = meta_finish_updating(&writer);
	if (!r)
		r = change(&writer, arguments, &added);
	meta_writer_close(&writer);
	if (!r && !arguments->held)
		bitmap_report(arguments, arguments->action == BITMAP_MERGE ?
					 &added : NULL);
	return exit_status(r);
}

/*
 * A bitmap that was not closed may lack changes, and a copy that follows it would miss
 * them. While a target has the store, its bitmaps are always open.
 */
static int check_dump(struct meta_store *store,
		      const struct meta_store_bitmap *bitmap,
		      const struct bitmap_arguments *arguments)
{
	int r = 0;

	if (!is_open(bitmap) || arguments->online)
		return 0;
	if (path_is_blockdev(store->path))
		r = bitmap_warn_if_online(store->path);
	if (r < 0)
		return r;
	if (r)
		return 0;
	if (arguments->force) {
		warning("%s: bitmap '%.*s' was not closed: changes may be missing in it",
			store->path, bitmap->entry.name_bytes,
			bitmap->entry.name);
		return 0;
	}
	error("%s: bitmap '%.*s' was not closed, so changes may be missing in it: %s; --force shows it as it is",
	      store->path, bitmap->entry.name_bytes, bitmap->entry.name,
	      way_to_close(store, bitmap));
	return -EBUSY;
}

static int dump(struct meta_store *store,
		const struct bitmap_arguments *arguments)
{
	struct meta_store_bitmap *bitmap;

	return find_bitmap(store, arguments->bitmap, &bitmap) ?:
	       check_dump(store, bitmap, arguments) ?:
	       meta_show_bits(store, bitmap, arguments->json);
}

/* To each bitmap; null: the store is not one for the tracking of changes. */
static void add_seal(struct json_object *list, const struct meta_store *store)
{
	struct json_object *seal = NULL;
	size_t i;

	if (store->header.generations_offset) {
		seal = json_new_object();
		meta_seal_add_json(store, seal);
	}
	for (i = 0; i < json_object_array_length(list); i++)
		json_add(json_object_array_get_idx(list, i), "seal",
			 json_object_get(seal));
	json_object_put(seal);
}

static int show_store(const struct bitmap_arguments *arguments)
{
	struct meta_store store;
	struct json_object *list;
	int r;

	r = meta_store_open(arguments->store, &store);
	if (r)
		return EXIT_ERROR;
	r = check_valid(&store);
	if (!r && arguments->action == BITMAP_DUMP) {
		r = dump(&store, arguments);
	} else if (!r && arguments->json) {
		list = json_new_array();
		r = meta_show_bitmaps_json(&store, list);
		add_seal(list, &store);
		json_print_pretty(list);
	} else if (!r) {
		r = meta_show_bitmaps(&store);
	}
	meta_store_close(&store);
	return exit_status(r);
}

int bitmap_offline(const struct bitmap_arguments *arguments)
{
	if (arguments->action == BITMAP_LIST ||
	    arguments->action == BITMAP_DUMP)
		return show_store(arguments);
	return change_store(arguments);
}
