/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_WRITER_H
#define DMLIVE_WRITER_H

/*
 * Writing a new disk image, qcow2 (version 3) or raw, into a regular file or
 * onto a block device.
 *
 *	writer_create -> writer_write | writer_zero ... -> writer_finish
 *						       or writer_abort
 *
 * The image is complete when writer_finish() has returned 0, and never before:
 *
 * - In a regular file it is written under the name PATH.partial and gets its
 *   own name at the end, when it is durable. An existing image that is to be
 *   replaced stays as it is until then. A crash leaves PATH.partial at most,
 *   which holds no image: its first cluster is zeros.
 * - On a block device the first cluster is zeroed, durably, before anything else
 *   is written, and gets its content at the end: a qcow2 image has no header
 *   until then, a raw one no partition table or boot sector.
 *
 * The guest's address space is written in clusters, by any number of threads and
 * in any order, each cluster once. Zeros are found in the data. What is never
 * written is unallocated: it reads as the backing file does, and without one (or
 * beyond its end) as zeros.
 *
 * Clusters are compressed in the thread that writes them: to compress in parallel,
 * write from several threads. When writer_write() has returned, the data are in the
 * file (but durable only after writer_finish()).
 *
 * Memory of a qcow2 writer: an L2 table is written out and forgotten when all of
 * its clusters have been written or zeroed; so with work in about ascending order
 * it needs a few tables. In the worst order it needs 8 bytes a cluster: 128 MiB
 * for 1 TiB in clusters of 64 KiB. A raw writer needs one bit a cluster. Every
 * thread inside writer_write() needs up to 1 MiB + 2 clusters, and the state of
 * its compressor.
 *
 * All offsets and lengths are in bytes. Functions that can fail return 0 or a
 * negative errno and say why in *err (which may be NULL): one line that names
 * the file, the reason and, where it helps, the way out.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file-stamp.h"
#include "image.h"

#define WRITER_DEFAULT_CLUSTER_BYTES 65536

enum writer_format {
	WRITER_QCOW2,
	WRITER_RAW,
};

enum writer_compression {
	WRITER_PLAIN,
	WRITER_ZLIB,
	WRITER_ZSTD,
};

struct writer_options {
	enum writer_format format;
	/* The size that a guest sees; in a qcow2 image a multiple of 512. */
	uint64_t size_bytes;
	/* A power of two from 512 to 2 MiB; 0: the default, 64 KiB. */
	uint32_t cluster_bytes;
	bool replace;			/* a regular file that exists */
	/*
	 * Is the file that is open as @fd one that the data come from? A PATH.partial
	 * that is one is not taken for a leftover. NULL: none is.
	 */
	bool (*is_source)(const void *source, int fd);
	const void *source;

	/* qcow2 only */
	enum writer_compression compression;
	/* zlib 1 to 9, zstd 1 to 22; 0: the method's default. */
	int level;
	/* As the image names it, that is relative to the image's folder; or NULL. */
	const char *backing_file;
	const char *backing_format;	/* "raw" or "qcow2"; needed with it */
};

struct writer;

/*
 * Start an image at @path. A regular file is made, and must not exist unless
 * @options->replace. A block device must not be in use by anyone (it is opened
 * exclusively), and for raw must be large enough; what is on it is lost: whether
 * it holds something worth keeping is for the caller to ask. Until the end QEMU
 * is kept from opening it, by its own locks.
 *
 * -EEXIST: the file exists. -EBUSY: in use. -EINVAL: options that do not go
 * together. -EFBIG: size too large for this cluster size. -ENOSPC: the device is
 * too small.
 */
int writer_create(const char *path, const struct writer_options *options,
		  struct writer **writer, struct image_error *err);

/*
 * What people write for options: "raw" or "qcow2"; "none", "zlib" or "zstd", or
 * with a level, "zlib:9". 0 or -EINVAL, without a message; unchanged then.
 */
int writer_parse_format(const char *text, struct writer_options *options);
int writer_parse_compression(const char *text, struct writer_options *options);

/* The unit of writing. */
uint32_t writer_cluster_bytes(const struct writer *writer);

/*
 * Write @length bytes at @offset. @offset is a multiple of the cluster size,
 * and so is @length unless the range ends with the disk. Several clusters in one
 * call (some MiB) go faster than one by one.
 *
 * Writing a cluster that has been written or zeroed is a mistake of the caller,
 * -EINVAL; so is a range that does not obey the rules.
 *
 * Any failure is final: later calls fail with the same error, and only
 * writer_abort() is left.
 */
int writer_write(struct writer *writer, uint64_t offset, const void *buffer,
		 size_t length, struct image_error *err);

/*
 * The range is zero, whatever the backing file holds: the same rules as for
 * writer_write(). Of any length, costs little.
 */
int writer_zero(struct writer *writer, uint64_t offset, uint64_t length,
		struct image_error *err);

/*
 * Put a header extension into a qcow2 image, at any time before writer_finish(),
 * which writes it: so that it can say what is known only at the end. Replaces
 * one of the same type. @type is none of the format's own. The data are copied.
 * Programs that do not know the type leave it alone.
 *
 * -E2BIG: the header's cluster has no room for it (all extensions and the name of
 * the backing file together have some hundred bytes less than a cluster).
 */
int writer_set_extension(struct writer *writer, uint32_t type, const void *data,
			 size_t length, struct image_error *err);

/*
 * What the file will be when it is finished, see file-stamp.h, for its record to say.
 * All 0 if that is not known: on a block device, or a file system without times of
 * birth.
 */
void writer_stamp(struct writer *writer, struct file_stamp *stamp);

/*
 * Make a qcow2 image that of a backup: with the extension QCOW2_EXT_DMLIVE_BACKUP,
 * and the autoclear bit by which a change is noticed.
 */
int writer_set_backup_record(struct writer *writer, const char *text,
			     struct image_error *err);

/*
 * Write what is missing, make the image durable and give it its name. No other
 * call may be running, and none may follow: the writer is gone, even on failure,
 * which leaves what writer_abort() leaves.
 */
int writer_finish(struct writer *writer, struct image_error *err);

/*
 * Give up: the file is removed. A block device is left without the first
 * cluster, so that it holds no image. NULL is allowed. Same rules for other
 * calls.
 */
void writer_abort(struct writer *writer);

#endif /* DMLIVE_WRITER_H */
