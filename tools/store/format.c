// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writing a new bitmap store.
 *
 * Order: the old header is wiped and synced; everything but the header is written and
 * synced; then comes the header. There is never a header that leads to what is not
 * there yet.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../dm-live/qcow2/extensions.h"
#include "../dm-live/qcow2/generations.h"
#include "../dm-live/qcow2/refcounts.h"
#include "../dm-live/qcow2/seal.h"
#include "../dm-live/qcow2/tables.h"
#include "block/blockdev.h"
#include "base/io.h"
#include "base/log.h"
#include "block/loop.h"
#include "base/size.h"
#include "store/format.h"
#include "qcow2/content.h"
#include "base/host-lock.h"

struct output {
	const char *path;
	int fd;
	uint8_t cluster[META_CLUSTER_BYTES] __attribute__((aligned(8)));
	uint8_t header[META_CLUSTER_BYTES];
};

static int write_at(struct output *out, uint64_t offset, const void *data,
		    size_t bytes)
{
	return io_write(out->fd, out->path, offset, data, bytes);
}

static int sync_output(struct output *out)
{
	return io_sync(out->fd, out->path);
}

static int write_zeros(struct output *out, uint64_t offset, uint64_t clusters)
{
	int r = 0;

	memset(out->cluster, 0, META_CLUSTER_BYTES);
	while (!r && clusters--) {
		r = write_at(out, offset, out->cluster, META_CLUSTER_BYTES);
		offset += META_CLUSTER_BYTES;
	}
	return r;
}

/* Write @nr big-endian numbers, base, base + step, ... padded to clusters. */
static int write_offsets(struct output *out, uint64_t offset, uint64_t base,
			 uint64_t nr)
{
	const uint64_t in_cluster = META_CLUSTER_BYTES / sizeof(__be64);
	uint64_t done, i;
	int r = 0;

	for (done = 0; !r && done < nr; done += in_cluster) {
		memset(out->cluster, 0, META_CLUSTER_BYTES);
		for (i = 0; i < in_cluster && done + i < nr; i++)
			qcow2_put_entry(out->cluster, i,
					base + (done + i) * META_CLUSTER_BYTES);
		r = write_at(out, offset + done * sizeof(__be64),
			     out->cluster, META_CLUSTER_BYTES);
	}
	return r;
}

/* Each cluster of the image has a refcount of one. */
static int write_refcounts(struct output *out, const struct meta_layout *layout)
{
	const uint64_t in_block = qcow2_refcounts_in(META_CLUSTER_BYTES,
						     META_REFCOUNT_ORDER);
	uint64_t block, left, i;
	int r;

	r = write_offsets(out, layout->refcount_table_offset,
			  layout->refcount_blocks_offset,
			  layout->nr_refcount_blocks);
	for (block = 0; !r && block < layout->nr_refcount_blocks; block++) {
		memset(out->cluster, 0, META_CLUSTER_BYTES);
		left = layout->nr_clusters - block * in_block;
		for (i = 0; i < in_block && i < left; i++)
			qcow2_put_refcount(out->cluster, i,
					   META_REFCOUNT_ORDER, 1);
		r = write_at(out, layout->refcount_blocks_offset +
				  block * META_CLUSTER_BYTES,
			     out->cluster, META_CLUSTER_BYTES);
	}
	return r;
}

static int write_directory(struct output *out, const struct meta_spec *spec,
			   const struct meta_layout *layout)
{
	uint8_t *directory, *at;
	size_t i;
	int r;

	directory = calloc(1, layout->directory_bytes);
	if (!directory) {
		error("out of memory");
		return -ENOMEM;
	}
	at = directory;
	for (i = 0; i < spec->nr_bitmaps; i++)
		at += meta_encode_entry(at, &spec->bitmaps[i],
					layout->bitmaps[i].table_offset,
					layout->bitmaps[i].table_entries);
	r = write_zeros(out, layout->directory_offset,
			(layout->directory_bytes + META_CLUSTER_BYTES - 1) >>
			META_CLUSTER_BITS);
	if (!r)
		r = write_at(out, layout->directory_offset, directory,
			     layout->directory_bytes);
	free(directory);
	return r;
}

static int write_bitmaps(struct output *out, const struct meta_spec *spec,
			 const struct meta_layout *layout)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < spec->nr_bitmaps; i++) {
		const struct meta_bitmap_place *place = &layout->bitmaps[i];

		r = write_offsets(out, place->table_offset, place->bits_offset,
				  place->table_entries);
		if (!r)
			r = write_zeros(out, place->bits_offset,
					place->table_entries);
	}
	return r;
}

static size_t add_extension(struct output *out, size_t at, uint32_t type,
			    const void *payload, size_t bytes)
{
	return qcow2_put_extension(out->header, META_CLUSTER_BYTES, at, type,
				   payload, bytes);
}

/* Padding, and a sector. */
static size_t add_sector(struct output *out, size_t at, uint32_t type,
			 const uint8_t sector[QCOW2_DMLIVE_SECTOR_BYTES])
{
	uint8_t payload[2 * QCOW2_DMLIVE_SECTOR_BYTES] = { 0 };
	uint32_t bytes = qcow2_pad_sector(payload,
					  at + qcow2_extension_bytes(0), sector);

	return add_extension(out, at, type, payload, bytes);
}

static size_t add_generations(struct output *out, size_t at,
			      const uint8_t *uuid)
{
	uint8_t sector[QCOW2_DMLIVE_GENERATIONS_BYTES];

	qcow2_generations_init(sector, uuid);
	return add_sector(out, at, QCOW2_EXT_DMLIVE_GENERATIONS, sector);
}

/* The seal of a store that was never used. */
static size_t add_seal(struct output *out, size_t at)
{
	const struct qcow2_seal none = { 0 };
	uint8_t sector[QCOW2_DMLIVE_SEAL_BYTES];

	qcow2_seal_encode(sector, &none);
	return add_sector(out, at, QCOW2_EXT_DMLIVE_SEAL, sector);
}

/*
 * The state extension comes first: it is in the same sector as the header. Returns
 * where they end; 0: there is no room.
 */
static size_t add_extensions(struct output *out, const struct meta_spec *spec,
			     const struct meta_layout *layout)
{
	const struct qcow2_bitmaps_info info = {
		.nr = spec->nr_bitmaps,
		.directory_bytes = layout->directory_bytes,
		.directory_offset = layout->directory_offset,
	};
	struct qcow2_bitmaps_extension bitmaps;
	struct qcow2_dmlive_state state;
	size_t at = sizeof(struct qcow2_header);

	qcow2_encode_bitmaps_info(&bitmaps, &info);
	qcow2_encode_state(&state);
	at = add_extension(out, at, QCOW2_EXT_DMLIVE_STATE, &state,
			   sizeof(state));
	if (spec->backing && spec->backing_format)
		at = add_extension(out, at, QCOW2_EXT_BACKING_FORMAT,
				   spec->backing_format,
				   strlen(spec->backing_format));
	at = add_extension(out, at, QCOW2_EXT_BITMAPS, &bitmaps,
			   sizeof(bitmaps));
	if (spec->store_uuid) {
		at = add_generations(out, at, spec->store_uuid);
		at = add_seal(out, at);
	}
	if (spec->description)
		at = add_extension(out, at, QCOW2_EXT_DMLIVE_RESTORE,
				   spec->description,
				   strlen(spec->description));
	return qcow2_put_end_mark(out->header, META_CLUSTER_BYTES, at);
}

/* Before anything is written: if it does not fit, nothing is lost. */
static int make_header(struct output *out, const struct meta_spec *spec,
		       const struct meta_layout *layout)
{
	struct qcow2_fields fields = {
		.cluster_bits = META_CLUSTER_BITS,
		.size_bytes = spec->size,
		.l1_entries = layout->l1_entries,
		.l1_offset = layout->l1_offset,
		.refcount_table_offset = layout->refcount_table_offset,
		.refcount_table_clusters = layout->refcount_table_clusters,
		.autoclear = QCOW2_AUTOCLEAR_BITMAPS,
		.refcount_order = META_REFCOUNT_ORDER,
	};
	size_t at, name_bytes = spec->backing ? strlen(spec->backing) : 0;

	memset(out->header, 0, META_CLUSTER_BYTES);
	at = add_extensions(out, spec, layout);
	if (!at || at + name_bytes > META_CLUSTER_BYTES) {
		error("%s: the description of the restore is too long",
		      out->path);
		return -E2BIG;
	}
	if (name_bytes) {
		fields.backing_offset = at;
		fields.backing_bytes = name_bytes;
		memcpy(out->header + at, spec->backing, name_bytes);
	}
	qcow2_encode_fields(out->header, &fields);
	return 0;
}

/*
 * Zeros are written too: a write to a hole of a file, below a loop device, could fail for
 * lack of space, or be lost after an error of the disk, when a flush of the guest needs it.
 */
static int write_all(struct output *out, const struct meta_spec *spec,
		     const struct meta_layout *layout)
{
	return write_zeros(out, 0, 1) ?:
	       sync_output(out) ?:
	       write_refcounts(out, layout) ?:
	       write_zeros(out, layout->l1_offset,
			   (layout->directory_offset - layout->l1_offset) >>
			   META_CLUSTER_BITS) ?:
	       write_directory(out, spec, layout) ?:
	       write_bitmaps(out, spec, layout) ?:
	       sync_output(out) ?:
	       write_at(out, 0, out->header, META_CLUSTER_BYTES) ?:
	       sync_output(out);
}

/* Truncate it, unless somebody uses it. */
static int empty_file(int fd, const char *path)
{
	struct stat stat;
	int r;

	if (fstat(fd, &stat) || !S_ISREG(stat.st_mode)) {
		error("%s: neither a regular file nor a block device", path);
		return -EINVAL;
	}
	r = loop_check_unused(path, &stat);
	if (r)
		return r;
	r = host_lock_for_writing(fd);
	if (r) {
		error("%s: another process uses this image (a running VM?)",
		      path);
		return r;
	}
	if (!ftruncate(fd, 0))
		return 0;
	r = -errno;
	error_errno(r, "%s: cannot be emptied", path);
	return r;
}

/* It may be worth more than other content. */
static int check_no_image(const char *path)
{
	int r = blockdev_has_qcow2(path);

	if (r <= 0)
		return r;
	error("%s: holds a qcow2 image, perhaps of an unfinished restore (see dmlive meta dump; dmlive resume goes on with it): --force overwrites it",
	      path);
	return -EEXIST;
}

static int open_device(const char *path, uint64_t bytes, bool force)
{
	char needed[SIZE_TEXT_BYTES], what[256];
	struct blockdev device;
	int r, fd;

	r = blockdev_open(path, &device) ?: blockdev_check_unused(&device);
	if (r)
		return r;
	if (device.bytes < bytes) {
		error("%s: too small: %s (%" PRIu64 " bytes) are needed", path,
		      size_format(bytes, needed), bytes);
		return -ENOSPC;
	}
	if (!force) {
		r = check_no_image(path);
		if (r)
			return r;
		r = blockdev_check_empty(&device, what, sizeof(what));
		if (r == -EEXIST)
			error("%s: holds a %s: --force overwrites it", path,
			      what);
		if (r)
			return r;
	}
	fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	r = -errno;
	error_errno(r, "%s: cannot open", path);
	return r;
}

static int open_file(const char *path, bool force)
{
	int fd, r;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC |
			(force ? 0 : O_EXCL), 0644);
	if (fd >= 0) {
		r = empty_file(fd, path);
		if (!r)
			return fd;
		close(fd);
		return r;
	}
	r = -errno;
	if (r == -EEXIST)
		error("%s: exists: --force replaces it", path);
	else
		error_errno(r, "%s: cannot make", path);
	return r;
}

int meta_format(const char *path, const struct meta_spec *spec, bool force)
{
	struct meta_layout layout;
	struct output *out;
	uint64_t bytes;
	int r;

	r = meta_layout_make(spec, &layout);
	if (r)
		return r;
	bytes = meta_layout_bytes(&layout);
	out = malloc(sizeof(*out));
	if (!out) {
		error("out of memory");
		r = -ENOMEM;
		goto free_layout;
	}
	out->path = path;
	r = make_header(out, spec, &layout);
	if (r)
		goto free_output;
	out->fd = path_is_blockdev(path) ? open_device(path, bytes, force) :
					   open_file(path, force);
	r = out->fd;
	if (r < 0)
		goto free_output;
	r = write_all(out, spec, &layout);
	if (close(out->fd) && !r) {
		r = -errno;
		error_errno(r, "%s: cannot write", path);
	}
free_output:
	free(out);
free_layout:
	meta_layout_free(&layout);
	return r;
}

void meta_wipe(const char *path)
{
	struct output *out = malloc(sizeof(*out));

	if (!out)
		return;
	out->path = path;
	out->fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (out->fd < 0)
		error_errno(errno, "%s: cannot be wiped", path);
	else if (!write_zeros(out, 0, 1))
		sync_output(out);
	if (out->fd >= 0)
		close(out->fd);
	free(out);
}
