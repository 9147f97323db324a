/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_STRUCTURES_H
#define DM_LIVE_QCOW2_STRUCTURES_H

/*
 * The order in which the structures of a bitmap store are read and checked, once its
 * header is. The reader's functions may sleep and allocate; nothing else here does.
 */

#include "directory.h"

/**
 * enum qcow2_store_part - what memory is needed for
 * @QCOW2_STORE_DIRECTORY: the bitmap directory, as on disk
 * @QCOW2_STORE_ENTRIES: struct qcow2_store_bitmap for each entry
 * @QCOW2_STORE_TABLES: the tables of all bitmaps
 * @QCOW2_STORE_REFCOUNTS: the refcount table; not needed afterwards
 * @QCOW2_STORE_EXTENTS: for the search for overlaps; not needed afterwards
 */
enum qcow2_store_part {
	QCOW2_STORE_DIRECTORY,
	QCOW2_STORE_ENTRIES,
	QCOW2_STORE_TABLES,
	QCOW2_STORE_REFCOUNTS,
	QCOW2_STORE_EXTENTS,
	QCOW2_STORE_NR_PARTS,
};

/**
 * struct qcow2_store_reader - where the structures are read from, and to
 * @read: copy a part of the image to memory; 0 or an error
 * @room: memory for one part, zeroed; it stays the caller's. NULL: there is none.
 * @context: for both
 * @preallocated: as for qcow2_store_check_table()
 */
struct qcow2_store_reader {
	int (*read)(void *context, u64 offset, void *to, u64 bytes);
	void *(*room)(void *context, enum qcow2_store_part part, u64 bytes);
	void *context;
	bool preallocated;
};

/**
 * struct qcow2_store_structures - what was read
 * @directory: as on disk
 * @bitmaps: its entries, header->nr_bitmaps
 * @tables: the entries of their tables, one after the other, as native numbers
 */
struct qcow2_store_structures {
	u8 *directory;
	struct qcow2_store_bitmap *bitmaps;
	u64 *tables;
};

/**
 * qcow2_store_read - read and check all structures
 * @header: from qcow2_store_check_header(), with no more bitmaps than the caller can
 *	have room for
 * Return: 0; -EINVAL or -EOPNOTSUPP with a message; -ENOMEM, or what @reader->read
 * returned, with an empty one.
 */
int qcow2_store_read(const struct qcow2_store_reader *reader,
		     const struct qcow2_store_header *header,
		     struct qcow2_store_structures *structures,
		     struct qcow2_store_error *error);

#endif /* DM_LIVE_QCOW2_STRUCTURES_H */
