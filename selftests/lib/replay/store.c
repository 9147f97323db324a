// SPDX-License-Identifier: GPL-2.0-only
/*
 * The bitmap store on the metadata device, see store.h.
 */
#include <stdio.h>
#include <string.h>

#include "store.h"

const uint8_t *store_at(const struct store *store, uint64_t offset, uint64_t bytes)
{
	if (offset > store->meta_bytes || bytes > store->meta_bytes - offset)
		return NULL;
	return store->meta + offset;
}

bool store_refuse(struct store *store, const char *text)
{
	snprintf(store->error.message, sizeof(store->error.message), "%s", text);
	return false;
}

bool store_read(struct store *store, const uint8_t *meta, uint64_t meta_bytes)
{
	const struct qcow2_store_header *header = &store->header;
	uint64_t start_bytes = meta_bytes < 1U << QCOW2_MAX_CLUSTER_BITS ?
			       meta_bytes : 1U << QCOW2_MAX_CLUSTER_BITS;

	memset(store, 0, sizeof(*store));
	store->meta = meta;
	store->meta_bytes = meta_bytes;
	if (qcow2_store_check_header(meta, start_bytes, meta_bytes, &store->header,
				     &store->error))
		return false;
	if (!header->bitmaps_valid)
		return store_refuse(store, "the bitmaps do not count as consistent");
	if (header->nr_bitmaps > STORE_MAX_BITMAPS)
		return store_refuse(store, "too many bitmaps");
	return !qcow2_store_check_directory(header,
					    store_at(store, header->directory_offset,
						     header->directory_bytes),
					    store->bitmaps, &store->error);
}

const struct qcow2_store_bitmap *store_find(const struct store *store, const char *name)
{
	uint32_t i;

	for (i = 0; i < store->header.nr_bitmaps; i++)
		if (qcow2_store_name_is(&store->bitmaps[i], name))
			return &store->bitmaps[i];
	return NULL;
}
