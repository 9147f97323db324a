// SPDX-License-Identifier: GPL-2.0-only
/*
 * The logged device as a crash left it, see media.h.
 */
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "media.h"
#include "../../../dm-live/qcow2/directory.h"

#define BITMAP_NAME	"alloctrack"
#define MAX_BITMAPS	16

static void *allocate(size_t bytes)
{
	void *memory = calloc(1, bytes ? bytes : 1);

	if (!memory)
		errx(2, "out of memory");
	return memory;
}

void media_open(struct media *media, const char *path, uint64_t volume_sectors,
		uint32_t block_sectors)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat status;
	uint64_t blocks = (volume_sectors + block_sectors - 1) / block_sectors;

	if (fd < 0 || fstat(fd, &status))
		err(2, "%s", path);
	*media = (struct media) {
		.bytes = status.st_size,
		.volume_sectors = volume_sectors,
		.block_sectors = block_sectors,
		.bits_bytes = (blocks + 7) / 8,
		.meta_changed = true,
	};
	if (media->bytes <= volume_sectors * MEDIA_SECTOR_BYTES)
		errx(2, "%s: no room for the metadata device", path);
	media->data = mmap(NULL, media->bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
	if (media->data == MAP_FAILED)
		err(2, "%s", path);
	media->bits = allocate(media->bits_bytes);
	media->new_bits = allocate(media->bits_bytes);
}

void media_write(struct media *media, uint64_t sector, const void *data)
{
	uint8_t *at = media->data + sector * MEDIA_SECTOR_BYTES;

	if (sector >= media->bytes / MEDIA_SECTOR_BYTES)
		errx(2, "the log has a write beyond the device, at sector %llu",
		     (unsigned long long)sector);
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

/* A part of the metadata device, or NULL if it reaches beyond. */
static const uint8_t *meta_at(const struct media *media, uint64_t offset,
			      uint64_t bytes)
{
	uint64_t start = media->volume_sectors * MEDIA_SECTOR_BYTES;
	uint64_t size = media->bytes - start;

	if (offset > size || bytes > size - offset)
		return NULL;
	return media->data + start + offset;
}

struct store {
	struct qcow2_store_header header;
	struct qcow2_store_bitmap bitmaps[MAX_BITMAPS];
	const struct qcow2_store_bitmap *bitmap;
	const __be64 *table;
	struct qcow2_store_error error;
};

static int complain(struct store *store, const char *text)
{
	snprintf(store->error.message, sizeof(store->error.message), "%s",
		 text);
	return -1;
}

static int read_header(const struct media *media, struct store *store)
{
	uint64_t bytes = media->bytes -
			 media->volume_sectors * MEDIA_SECTOR_BYTES;
	uint64_t start_bytes = bytes < 1U << QCOW2_MAX_CLUSTER_BITS ?
			       bytes : 1U << QCOW2_MAX_CLUSTER_BITS;
	int r;

	r = qcow2_store_check_header(meta_at(media, 0, start_bytes),
				     start_bytes, bytes, &store->header,
				     &store->error);
	if (r)
		return r;
	if (!store->header.bitmaps_valid)
		return complain(store, "the bitmaps do not count as consistent");
	if (!store->header.state_offset)
		return complain(store, "the state extension is gone");
	if (store->header.nr_bitmaps > MAX_BITMAPS)
		return complain(store, "too many bitmaps");
	return 0;
}

static int read_directory(const struct media *media, struct store *store)
{
	const struct qcow2_store_header *header = &store->header;
	uint32_t i;
	int r;

	r = qcow2_store_check_directory(header,
					meta_at(media, header->directory_offset,
						header->directory_bytes),
					store->bitmaps, &store->error);
	if (r)
		return r;
	for (i = 0; i < header->nr_bitmaps; i++)
		if (qcow2_store_name_is(&store->bitmaps[i], BITMAP_NAME))
			store->bitmap = &store->bitmaps[i];
	if (!store->bitmap)
		return complain(store, "there is no bitmap " BITMAP_NAME);
	store->table = (const __be64 *)
		meta_at(media, store->bitmap->table_offset,
			store->bitmap->table_entries * sizeof(__be64));
	return qcow2_store_check_table(header, store->bitmap, store->table,
				       true, &store->error);
}

static int read_clusters(const struct media *media, const struct store *store,
			 uint8_t *bits, size_t bytes)
{
	const size_t cluster_bytes = 1ULL << store->header.cluster_bits;
	size_t done;

	for (done = 0; done < bytes; done += cluster_bytes) {
		size_t chunk = bytes - done < cluster_bytes ? bytes - done :
							      cluster_bytes;
		__be64 entry = store->table[done / cluster_bytes];
		uint64_t at = qcow2_store_table_cluster(entry);

		if (!meta_at(media, at, chunk))
			return -1;
		memcpy(bits + done, meta_at(media, at, chunk), chunk);
	}
	return 0;
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
	struct store store = { };
	uint8_t *swap;

	if (!media->meta_changed)
		return true;
	if (read_header(media, &store) || read_directory(media, &store) ||
	    read_clusters(media, &store, media->new_bits, media->bits_bytes)) {
		snprintf(text, MEDIA_TEXT_BYTES,
			 "the store would be refused: %s", store.error.message);
		return false;
	}
	media->in_use = store.bitmap->flags & QCOW2_BITMAP_IN_USE;
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
