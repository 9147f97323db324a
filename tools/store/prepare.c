// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making a bitmap store of an image that has bitmaps, see prepare.h.
 *
 * Order, with a sync after each step: for each bitmap the refcounts and content of
 * its new clusters, then its table; finally the state extension or, in a store for
 * tracking that has none yet, the place for the seal.
 */
#include <errno.h>

#include "base/log.h"
#include "store/extension.h"
#include "store/fill.h"
#include "store/prepare.h"
#include "store/seal.h"
#include "store/writer.h"

static int add_state(struct meta_writer *writer)
{
	struct qcow2_dmlive_state state;

	qcow2_encode_state(&state);
	return meta_add_extension(writer, QCOW2_EXT_DMLIVE_STATE, &state,
				  sizeof(state));
}

static int check_bitmaps(const struct meta_store *store)
{
	const struct qcow2_store_header *header = &store->header;
	uint32_t i;

	if (!header->nr_bitmaps) {
		error("%s: there are no bitmaps: add one (dmlive bitmap add), or make a store with dmlive meta format",
		      store->path);
		return -EINVAL;
	}
	if (!header->bitmaps_valid) {
		error("%s: the bitmaps are out of date: the image was written by something that does not know them",
		      store->path);
		return -EINVAL;
	}
	for (i = 0; i < header->nr_bitmaps; i++) {
		const struct qcow2_store_bitmap *entry =
			&store->bitmaps[i].entry;

		if (!(entry->flags & QCOW2_BITMAP_IN_USE))
			continue;
		error("%s: bitmap '%.*s' is in use or was not closed: %s",
		      store->path, entry->name_bytes, entry->name,
		      header->state_offset ?
		      "activate its target and remove it again to close it" :
		      "it cannot be trusted; remove it (qemu-img bitmap --remove)");
		return -EBUSY;
	}
	return 0;
}

int meta_prepare(const char *path, uint64_t *nr_allocated)
{
	struct meta_writer writer;
	uint32_t i;
	int r;

	*nr_allocated = 0;
	r = meta_writer_open(path, META_WRITER_REFCOUNTS, &writer);
	if (r)
		return r;
	r = check_bitmaps(&writer.store);
	for (i = 0; !r && i < writer.store.header.nr_bitmaps; i++)
		r = meta_fill(&writer, &writer.store.bitmaps[i]);
	if (!r && !writer.store.header.state_offset)
		r = add_state(&writer);
	if (!r && meta_seal_can_be_added(&writer.store))
		r = meta_seal_add(&writer);
	*nr_allocated = writer.nr_allocated;
	meta_writer_close(&writer);
	return r;
}
