// SPDX-License-Identifier: GPL-2.0-only
/*
 * The logged device as a crash left it, see media.h.
 */
#include <err.h>
#include <stdio.h>
#include <string.h>

#include "../../lib/replay/replay.h"
#include "../../lib/replay/store.h"
#include "media.h"

#define BITMAP_NAME	"alloctrack"

void media_open(struct media *media, const char *path, uint64_t volume_sectors,
		uint32_t block_sectors)
{
	uint64_t blocks = (volume_sectors + block_sectors - 1) / block_sectors;

	*media = (struct media) {
		.volume_sectors = volume_sectors,
		.block_sectors = block_sectors,
		.bits_bytes = (blocks + 7) / 8,
		.meta_changed = true,
	};
	media->data = replay_map_image(path, &media->bytes);
	if (media->bytes <= volume_sectors * MEDIA_SECTOR_BYTES)
		errx(2, "%s: no room for the metadata device", path);
	media->bits = replay_allocate(media->bits_bytes, 1);
	media->new_bits = replay_allocate(media->bits_bytes, 1);
}

void media_write(struct media *media, uint64_t sector, const void *data)
{
	uint8_t *at = media->data + sector * MEDIA_SECTOR_BYTES;

	if (data)
		memcpy(at, data, MEDIA_SECTOR_BYTES);
	else
		memset(at, 0, MEDIA_SECTOR_BYTES);
	media_changed(media, sector);
}

void media_changed(struct media *media, uint64_t sector)
{
	if (sector >= media->volume_sectors)
		media->meta_changed = true;
}

/* Returns false, with the error of @store, if the store would be refused. */
static bool read_store(const struct media *media, struct store *store,
		       const struct qcow2_store_bitmap **bitmap, const __be64 **table)
{
	uint64_t start = media->volume_sectors * MEDIA_SECTOR_BYTES;

	if (!store_read(store, media->data + start, media->bytes - start))
		return false;
	if (!store->header.state_offset)
		return store_refuse(store, "the state extension is gone");
	*bitmap = store_find(store, BITMAP_NAME);
	if (!*bitmap)
		return store_refuse(store, "there is no bitmap " BITMAP_NAME);
	*table = (const __be64 *)store_at(store, (*bitmap)->table_offset,
					  (*bitmap)->table_entries * sizeof(__be64));
	return !qcow2_store_check_table(&store->header, *bitmap, *table, true,
					&store->error);
}

static bool read_clusters(const struct store *store, const __be64 *table, uint8_t *bits,
			  size_t bytes)
{
	const size_t cluster_bytes = 1ULL << store->header.cluster_bits;
	size_t done;

	for (done = 0; done < bytes; done += cluster_bytes) {
		size_t chunk = bytes - done < cluster_bytes ? bytes - done :
							      cluster_bytes;
		uint64_t entry = be64_to_cpu(table[done / cluster_bytes]);
		uint64_t offset = qcow2_bitmap_table_offset(entry);
		const uint8_t *at = store_at(store, offset, chunk);

		if (!at)
			return false;
		memcpy(bits + done, at, chunk);
	}
	return true;
}

static void compare_bits(struct media *media,
			 void (*changed)(void *context, uint64_t block),
			 void *context)
{
	size_t byte;
	int bit;

	for (byte = 0; byte < media->bits_bytes; byte++) {
		uint8_t differ = media->bits[byte] ^ media->new_bits[byte];

		for (bit = 0; bit < 8 && differ; bit++)
			if (differ & 1 << bit)
				changed(context, byte * 8ULL + bit);
	}
}

bool media_read_bits(struct media *media,
		     void (*changed)(void *context, uint64_t block),
		     void *context, char text[MEDIA_TEXT_BYTES])
{
	const struct qcow2_store_bitmap *bitmap;
	const __be64 *table = NULL;
	struct store store;
	uint8_t *swap;

	if (!media->meta_changed)
		return true;
	if (!read_store(media, &store, &bitmap, &table) ||
	    !read_clusters(&store, table, media->new_bits, media->bits_bytes)) {
		snprintf(text, MEDIA_TEXT_BYTES,
			 "the store would be refused: %s", store.error.message);
		return false;
	}
	media->in_use = bitmap->flags & QCOW2_BITMAP_IN_USE;
	swap = media->bits;
	media->bits = media->new_bits;
	media->new_bits = swap;
	media->meta_changed = false;
	if (changed)
		compare_bits(media, changed, context);
	return true;
}

bool media_is_allocated(const struct media *media, uint64_t block)
{
	return media->bits[block / 8] & 1 << block % 8;
}
