/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_IMAGE_H
#define DMLIVE_IMAGE_H

/*
 * Read access to a disk image: a qcow2 image with its whole backing chain, or
 * a raw image; in a regular file or on a block device.
 *
 * An image is opened once and then read by any number of threads at the same time;
 * only image_close() must not run at the same time as other calls. Compressed
 * clusters are decompressed in the thread that reads them: to decompress in parallel,
 * read from several threads. Memory is bounded whatever the size of the image:
 * metadata goes through a cache.
 *
 * All offsets and lengths are in bytes. Functions that can fail return 0 or a
 * negative errno, and say why in *err: one line that names the file, the reason
 * and, where it helps, the way out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image;

struct image_error {
	char message[512];
};

struct image_options {
	const char *format;	/* "qcow2", "raw", or NULL: probe, as QEMU does */
	const char *snapshot;	/* internal snapshot, by name or id, or NULL */
	/* Open an image that is marked corrupt, or that is being written. */
	bool force;
	uint64_t cache_bytes;	/* metadata cache per layer, 0: the default */
	/* To describe or check, not to read: no backing and no data file. */
	bool metadata_only;
	/*
	 * May the image @owner name the file @path as its backing or data file? An
	 * image may come from anywhere, and what it names is read with our
	 * permissions. NULL: any. See block/named-path.h.
	 */
	bool (*may_name)(const char *owner, const char *path);
	/* To describe: what is below a layer that cannot be opened is left out. */
	bool partial;
};

/* What is stored at a range of the guest's address space. */
enum image_extent_kind {
	IMAGE_EXTENT_ZERO,		/* reads as zeros, nothing to read */
	IMAGE_EXTENT_DATA,		/* plain data */
	IMAGE_EXTENT_COMPRESSED,	/* a compressed cluster */
};

struct image_extent {
	uint64_t offset;	/* in the guest's address space */
	uint64_t length;
	enum image_extent_kind kind;
	bool allocated;		/* false: in no layer of the chain */
	unsigned int depth;	/* layer: 0 the image itself, 1 its backing, ... */
	bool has_file_offset;	/* only for IMAGE_EXTENT_DATA */
	uint64_t file_offset;	/* where in that layer's data file */
};

/*
 * Open the image at @path, read-only, with all of its backing chain; @options
 * may be NULL. While it is open QEMU is kept from writing to its files, and a
 * file that QEMU is writing to is refused with -EBUSY; both by QEMU's own locks.
 */
int image_open(const char *path, const struct image_options *options,
	       struct image **image, struct image_error *err);
void image_close(struct image *image);

/* What image_options.partial has left out, and why. NULL: nothing. */
const char *image_missing(const struct image *image);

/* Size that a guest sees. */
uint64_t image_size(const struct image *image);

/* Unit in which reads are cheapest: the cluster size (raw: 64 KiB). */
uint32_t image_cluster_size(const struct image *image);

/* "qcow2" or "raw". */
const char *image_format(const struct image *image);

/*
 * The extent at @offset, at most @length long. Neighbours of one kind, layer
 * and (for plain data) adjoining place in the file are merged.
 */
int image_map(struct image *image, uint64_t offset, uint64_t length,
	      struct image_extent *extent, struct image_error *err);

/*
 * Read @length bytes at @offset; the range must lie within image_size(). An
 * error of the medium gives its errno (EIO), a malformed image -EINVAL.
 */
int image_read(struct image *image, uint64_t offset, void *buffer,
	       size_t length, struct image_error *err);

/* An internal snapshot. */
struct image_snapshot {
	const char *id;
	const char *name;
	uint64_t size;			/* of the disk when it was taken */
	uint64_t vm_state_size;
	uint64_t date_sec;		/* since the epoch */
	uint32_t date_nsec;
	uint64_t vm_clock_nsec;
};

/* A persistent dirty bitmap. */
struct image_bitmap {
	const char *name;
	uint64_t granularity;
	bool in_use;			/* not to be trusted */
	bool is_auto;			/* records from the first write on */
};

/* What an image file says about itself; strings are valid until image_close(). */
struct image_layer_info {
	const char *path;
	const char *format;
	uint64_t size;			/* that a guest sees */
	uint64_t file_size;
	uint64_t disk_size;		/* used on the medium; 0 if unknown */

	/* the rest of a qcow2 image only, else all 0 */
	uint32_t cluster_size;
	unsigned int version;
	unsigned int refcount_bits;
	const char *compression;	/* "zlib" or "zstd" */
	uint64_t incompatible_features;
	uint64_t compatible_features;
	uint64_t autoclear_features;
	bool dirty;
	bool corrupt;
	bool lazy_refcounts;
	bool extended_l2;
	bool data_file_raw;
	const char *data_file;		/* or NULL; as written in the image */
	const char *backing_file;	/* or NULL; as written in the image */
	const char *backing_format;	/* or NULL */
	const char *backup_record;	/* or NULL; see qcow2/backup-record.h */
	unsigned int nr_snapshots;
	const struct image_snapshot *snapshots;
	unsigned int nr_bitmaps;
	const struct image_bitmap *bitmaps;
	const char *bitmaps_problem;	/* why they cannot be read, or NULL */
};

/* Number of images in the chain, at least 1. */
unsigned int image_layers(const struct image *image);

/* The path of the one at @depth, as it was opened. */
const char *image_layer_path(const struct image *image, unsigned int depth);

/*
 * Describe the image at @depth. A malformed list of its bitmaps is a part of that,
 * since the data can be read without.
 */
int image_describe(struct image *image, unsigned int depth,
		   const struct image_layer_info **info,
		   struct image_error *err);

/* The file that extents of the layer @depth refer to. */
const char *image_data_path(const struct image *image, unsigned int depth);

/* Whether the open file @fd is one of the files that the image is made of. */
bool image_uses_file(const struct image *image, int fd);

#endif /* DMLIVE_IMAGE_H */
