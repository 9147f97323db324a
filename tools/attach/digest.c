// SPDX-License-Identifier: GPL-2.0-only
/*
 * The digest of a device, see digest.h. Read past the page cache, since what is on the
 * device counts.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "attach/digest.h"

#define HEAD_BYTES		(1u << 20)
#define PARTITION_TAIL_BYTES	(64u << 10)
#define SAMPLE_BYTES		4096u
#define NR_SAMPLES		64u
#define MAX_PARTITIONS		128
#define MAX_BITMAPS		4
#define ALIGNMENT		4096u

struct walk {
	int fd;
	uint64_t device_bytes;
	uint8_t *buffer;		/* HEAD_BYTES */
	struct sha256 sha;
};

/* Rounded outward for direct I/O, and cut at the end of the device. */
static bool add_place(struct walk *walk, uint64_t offset, uint64_t length)
{
	uint64_t start = offset & ~(uint64_t)(ALIGNMENT - 1), place[2];
	ssize_t n;

	if (start >= walk->device_bytes)
		return true;
	length += offset - start;
	length = (length + ALIGNMENT - 1) & ~(uint64_t)(ALIGNMENT - 1);
	if (length > HEAD_BYTES)
		length = HEAD_BYTES;
	if (length > walk->device_bytes - start)
		length = walk->device_bytes - start;
	n = pread(walk->fd, walk->buffer, length, start);
	if (n < 0 || (uint64_t)n != length)
		return false;
	place[0] = start;
	place[1] = length;
	sha256_add(&walk->sha, place, sizeof(place));
	sha256_add(&walk->sha, walk->buffer, length);
	return true;
}

static bool add_tail(struct walk *walk, uint64_t end, uint64_t length)
{
	return add_place(walk, end > length ? end - length : 0, length);
}

static bool add_partitions(struct walk *walk, blkid_partlist list)
{
	int i, nr = blkid_partlist_numof_partitions(list);
	uint64_t start, bytes;
	bool good = true;

	for (i = 0; good && i < nr && i < MAX_PARTITIONS; i++) {
		blkid_partition part = blkid_partlist_get_partition(list, i);

		start = (uint64_t)blkid_partition_get_start(part) * 512;
		bytes = (uint64_t)blkid_partition_get_size(part) * 512;
		good = add_place(walk, start, HEAD_BYTES) &&
		       add_tail(walk, start + bytes, PARTITION_TAIL_BYTES);
	}
	return good;
}

static bool add_partition_table(struct walk *walk, const char *path)
{
	blkid_probe probe = blkid_new_probe_from_filename(path);
	blkid_partlist list;
	bool good;

	if (!probe)
		return false;
	blkid_probe_enable_partitions(probe, 1);
	/* NULL: libblkid finds no partition table. */
	list = blkid_probe_get_partitions(probe);
	good = !list || add_partitions(walk, list);
	blkid_free_probe(probe);
	return good;
}

static bool add_samples(struct walk *walk)
{
	uint64_t step = walk->device_bytes / NR_SAMPLES;
	unsigned int i;

	for (i = 0; i < NR_SAMPLES; i++)
		if (!add_place(walk, step * i + step / 2, SAMPLE_BYTES))
			return false;
	return true;
}

/*
 * All that a bitmap has set, taken as one range.
 * @passed: bytes of that range so far
 * @next: offset of the next sample in it
 */
struct set_bits {
	struct walk *walk;
	uint64_t passed;
	uint64_t next;
	uint64_t step;			/* 0: only count */
};

static int add_set_range(void *context, uint64_t offset, uint64_t length)
{
	struct set_bits *set = context;

	for (; set->step && set->next < set->passed + length;
	     set->next += set->step)
		if (!add_place(set->walk, offset + set->next - set->passed,
			       SAMPLE_BYTES))
			return -EIO;
	set->passed += length;
	return 0;
}

static bool add_bitmap(struct walk *walk, struct meta_store *store,
		       const struct meta_store_bitmap *bitmap)
{
	struct set_bits set = { .walk = walk };

	if (meta_store_walk(store, bitmap, add_set_range, &set))
		return false;
	set.step = set.passed / NR_SAMPLES + 1;
	set.next = set.step / 2;
	set.passed = 0;
	return !meta_store_walk(store, bitmap, add_set_range, &set);
}

static bool add_bitmaps(struct walk *walk, struct meta_store *store)
{
	unsigned int left = MAX_BITMAPS;
	uint32_t i;

	for (i = 0; left && i < store->header.nr_bitmaps; i++) {
		if (!(store->bitmaps[i].entry.flags & QCOW2_BITMAP_AUTO))
			continue;
		if (!add_bitmap(walk, store, &store->bitmaps[i]))
			return false;
		left--;
	}
	return true;
}

static bool add_all(struct walk *walk, const char *path,
		    struct meta_store *store)
{
	sha256_add(&walk->sha, &walk->device_bytes, sizeof(walk->device_bytes));
	return add_place(walk, 0, HEAD_BYTES) &&
	       add_tail(walk, walk->device_bytes, HEAD_BYTES) &&
	       add_samples(walk) && add_bitmaps(walk, store) &&
	       add_partition_table(walk, path);
}

bool volume_digest(const struct blockdev *device, struct meta_store *store,
		   uint8_t digest[SHA256_BYTES])
{
	struct walk walk = { .device_bytes = device->bytes };
	bool good;

	walk.fd = open(device->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (walk.fd < 0)
		return false;
	sha256_start(&walk.sha);
	good = !posix_memalign((void **)&walk.buffer, ALIGNMENT, HEAD_BYTES) &&
	       add_all(&walk, device->path, store);
	if (good)
		sha256_end(&walk.sha, digest);
	free(walk.buffer);
	close(walk.fd);
	return good;
}
