// SPDX-License-Identifier: GPL-2.0-only
/*
 * The metadata device of a restore.
 *
 * A device may be overwritten if nothing is lost: it holds nothing, or a restore that is
 * finished, complete, or never began (no target has used the store).
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/words.h"
#include "block/lvm.h"
#include "block/stacking.h"
#include "qcow2/content.h"
#include "restore/metadata.h"

/* A multiple of every logical block size. */
#define BLOCK_BYTES 4096u

static int add_length(void *context, uint64_t offset, uint64_t length)
{
	uint64_t *sum = context;

	(void)offset;
	*sum += length;
	return 0;
}

/* Find the bitmap, and count its bits. */
static int read_bitmap(struct metadata *metadata)
{
	struct meta_store *store = &metadata->store;
	struct meta_store_bitmap *bitmap = meta_store_find(store,
							   METADATA_BITMAP);

	if (!bitmap) {
		error("%s does not hold the metadata of a restore: it has no bitmap %s",
		      store->path, METADATA_BITMAP);
		return -EINVAL;
	}
	if (!store->header.bitmaps_valid || !store->header.state_offset) {
		error("%s: its bitmap cannot be trusted: it was changed by a program that does not know bitmaps",
		      store->path);
		return -EINVAL;
	}
	metadata->block_bytes = 1ull << bitmap->entry.granularity_bits;
	return meta_store_walk(store, bitmap, add_length,
			       &metadata->allocated_bytes);
}

int metadata_open(const char *path, struct metadata *metadata)
{
	int r;

	memset(metadata, 0, sizeof(*metadata));
	r = meta_store_open(path, &metadata->store);
	if (r)
		return r;
	r = description_parse(metadata->store.description,
			      &metadata->description);
	if (r)
		error("%s: the description of the restore is damaged", path);
	if (!r)
		r = read_bitmap(metadata);
	if (r)
		metadata_close(metadata);
	return r;
}

void metadata_close(struct metadata *metadata)
{
	description_free(&metadata->description);
	meta_store_close(&metadata->store);
}

struct search {
	char number[32];
	char *name;
};

static int is_user(const char *name, void *argument)
{
	struct search *search = argument;
	struct alloctrack_table table;
	struct dm_line line = { 0 };
	bool found;

	found = !dm_get_line(name, DM_LINE_TABLE, &line, NULL) &&
		!strcmp(line.target, "alloctrack") &&
		!table_line_parse(line.params, &table) &&
		!strcmp(table.meta, search->number);
	dm_line_free(&line);
	if (found)
		snprintf(search->name, DM_NAME_BYTES, "%s", name);
	return found;
}

int metadata_find_user(const char *path, char name[DM_NAME_BYTES])
{
	struct search search = { .name = name };
	struct blockdev device;
	int r;

	name[0] = '\0';
	r = blockdev_open(path, &device);
	if (r)
		return r;
	snprintf(search.number, sizeof(search.number), "%u:%u",
		 major(device.devt), minor(device.devt));
	r = dm_for_each(is_user, &search);
	return r < 0 ? r : 0;
}

static bool is_complete(const struct metadata *metadata)
{
	return metadata->allocated_bytes == metadata->store.header.size_bytes;
}

enum metadata_state metadata_state(const struct metadata *metadata)
{
	const struct qcow2_store_header *header = &metadata->store.header;

	/* The other bitmaps may be needed. */
	if (header->nr_bitmaps != 1)
		return METADATA_FOREIGN;
	if (metadata->description.finished)
		return METADATA_FREE;
	if (is_complete(metadata))
		return METADATA_COMPLETE;
	return header->state_flags & QCOW2_DMLIVE_USED ? METADATA_UNFINISHED :
							 METADATA_PREPARED;
}

int metadata_probe(const char *path, char *what, size_t what_bytes)
{
	struct metadata metadata;
	struct blockdev device;
	int r = blockdev_has_qcow2(path);

	if (r < 0)
		return r;
	if (!r) {
		r = blockdev_open(path, &device);
		if (!r)
			r = blockdev_check_empty(&device, what, what_bytes);
		if (r == -EEXIST)
			return METADATA_FOREIGN;
		return r ? r : METADATA_FREE;
	}
	snprintf(what, what_bytes, "qcow2 image");
	r = metadata_open(path, &metadata);
	/* After an I/O error it may still be a restore. */
	if (r)
		return r == -EINVAL || r == -EOPNOTSUPP ? METADATA_FOREIGN : r;
	if (metadata.store.header.nr_bitmaps > 1)
		snprintf(what, what_bytes, "store with more than one bitmap");
	r = metadata_state(&metadata);
	metadata_close(&metadata);
	return r;
}

int metadata_check_content(const char *path, bool force)
{
	char what[256] = "";
	int state;

	if (force)
		return EXIT_OK;
	state = metadata_probe(path, what, sizeof(what));
	if (state == METADATA_FOREIGN) {
		error("%s holds a %s; to overwrite it with the metadata of the restore: --force",
		      path, what);
		return EXIT_REFUSED;
	}
	if (state == METADATA_UNFINISHED) {
		error("%s holds an unfinished restore; to continue it: dmlive resume %s; to give it up and start over: --force",
		      path, path);
		return EXIT_REFUSED;
	}
	return state < 0 ? EXIT_ERROR : EXIT_OK;
}

int metadata_check_device(const char *path, struct blockdev *device)
{
	if (!path_is_blockdev(path)) {
		error("%s is not a block device, as metadata require; losetup makes one from a file",
		      path);
		return EXIT_REFUSED;
	}
	if (blockdev_open(path, device))
		return EXIT_ERROR;
	if (device->read_only) {
		error("%s is read-only", path);
		return EXIT_REFUSED;
	}
	return blockdev_check_own_files(device) ||
	       blockdev_check_unused(device) ? EXIT_REFUSED : EXIT_OK;
}

int metadata_check_distinct(const struct blockdev *meta,
			    const struct blockdev *volume)
{
	if (!blockdev_is_above(meta->devt, volume->devt) &&
	    !blockdev_is_above(volume->devt, meta->devt))
		return EXIT_OK;
	error("%s and the volume %s are, or lie on, the same device; choose another metadata device",
	      meta->path, volume->path);
	return EXIT_REFUSED;
}

/* Replace bytes within one block, durably; the device is not in use. */
static int write_in_block(const char *path, uint64_t offset, const char *bytes,
			  size_t length)
{
	const uint64_t start = offset / BLOCK_BYTES * BLOCK_BYTES;
	char *block = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
	int fd, r = -ENOMEM;

	if (!block)
		return r;
	fd = open(path, O_RDWR | O_EXCL | O_DIRECT | O_SYNC | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	if (!r && pread(fd, block, BLOCK_BYTES, start) != BLOCK_BYTES)
		r = -EIO;
	if (!r) {
		memcpy(block + (offset - start), bytes, length);
		if (pwrite(fd, block, BLOCK_BYTES, start) != BLOCK_BYTES)
			r = -EIO;
	}
	if (fd >= 0 && close(fd) && !r)
		r = -errno;
	free(block);
	return r;
}

static int write_byte(const char *path, uint64_t offset, char byte)
{
	return write_in_block(path, offset, &byte, 1);
}

/* The bytes may lie in two blocks. */
static int write_bytes(const char *path, uint64_t offset, const char *bytes,
		       size_t length)
{
	const size_t left = BLOCK_BYTES - offset % BLOCK_BYTES;
	int r;

	if (length <= left)
		return write_in_block(path, offset, bytes, length);
	r = write_in_block(path, offset, bytes, left);
	return r ? r : write_in_block(path, offset + left, bytes + left,
				      length - left);
}

/* A crash may leave a mixture of both: then no machine resumes the restore by itself. */
static int write_machine(const struct metadata *metadata, const char *id)
{
	const struct meta_store *store = &metadata->store;
	const long offset =
		description_machine_offset((const char *)store->first_cluster,
					   1ul << store->header.cluster_bits);

	return offset < 0 ? -EINVAL :
			    write_bytes(store->path, offset, id, strlen(id));
}

int metadata_set_machine(const struct metadata *metadata)
{
	const char *recorded = metadata->description.machine;
	char id[MACHINE_ID_BYTES];
	int r;

	if (!recorded || !machine_get_id(id) || !strcmp(recorded, id))
		return 0;
	r = write_machine(metadata, id);
	if (r)
		error_errno(r, "%s: cannot record that this machine resumes the restore",
			    metadata->store.path);
	return r;
}

void metadata_forget_machine(const char *path)
{
	struct metadata metadata;
	int r;

	if (metadata_open(path, &metadata))
		return;
	r = !metadata.description.machine ? 0 :
	    write_machine(&metadata, "00000000000000000000000000000000");
	if (r)
		warning("%s: cannot record that its restore was given up (%s); dmlive resume --all, which runs when the machine starts, will resume it",
			path, strerror(-r));
	metadata_close(&metadata);
}

static int mark_finished(const char *path, const struct meta_store *store)
{
	const char *text = (const char *)store->first_cluster;
	const long offset = description_finished_offset(text,
					1ul << store->header.cluster_bits);
	int r;

	if (offset < 0 || text[offset] == '1')
		return 0;
	r = write_byte(path, offset, '1');
	if (r)
		warning("%s: the restore is finished, but cannot be marked so (%s); do not resume it",
			path, strerror(-r));
	return r;
}

int metadata_mark_cleared(const char *path)
{
	struct metadata metadata;
	size_t cluster_bytes;
	long offset;
	int r = metadata_open(path, &metadata);

	if (r)
		return r;
	cluster_bytes = 1ul << metadata.store.header.cluster_bits;
	offset = description_cleared_offset((const char *)metadata.store.first_cluster,
					    cluster_bytes);
	r = offset < 0 ? -EINVAL : write_byte(path, offset, '1');
	metadata_close(&metadata);
	if (r)
		error_errno(r, "%s: cannot record that the volume is cleared",
			    path);
	return r;
}

static void remove_volume(const char *path)
{
	struct lvm_volume volume;
	struct blockdev device;
	char reason[512] = "--meta auto has not made it";

	if (blockdev_open(path, &device))
		return;
	/* The description may be a copy, on a volume that dmlive has not made. */
	if (!lvm_find(&device, &volume) ||
	    !stem_length(volume.name, METADATA_LV_SUFFIX) ||
	    lvm_remove(&volume, reason, sizeof(reason)))
		warning("%s is no longer needed, but could not be removed (%s)",
			path, reason);
}

int metadata_retire(const char *path)
{
	struct metadata metadata;
	bool automatic;
	int r;

	if (!path_is_blockdev(path) || metadata_open(path, &metadata))
		return 0;
	automatic = metadata.description.automatic;
	r = mark_finished(path, &metadata.store);
	metadata_close(&metadata);
	if (automatic)
		remove_volume(path);
	return r;
}
