/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_SNAPSHOTS_H
#define DM_LIVE_QCOW2_SNAPSHOTS_H

/*
 * The table of internal snapshots: entries of variable length one after the other,
 * each a fixed part, extra data, the id and the name, padded to a multiple of 8.
 */

#include "error.h"

/**
 * struct qcow2_snapshot_fields - an entry as native numbers
 * @l1_offset: in bytes
 * @l1_entries: of the L1 table
 * @size_bytes: the virtual size when it was taken
 * @vm_state_bytes: size of the VM's state
 * @date_sec: when it was taken, seconds since 1970
 * @date_nsec: and nanoseconds
 * @vm_clock_nsec: for how long the VM had run
 * @extra_bytes: of extra data that follow the fixed part
 * @id_bytes: of the id behind them
 * @name_bytes: of the name behind that
 */
struct qcow2_snapshot_fields {
	u64 l1_offset;
	u32 l1_entries;
	u64 size_bytes;
	u64 vm_state_bytes;
	u32 date_sec;
	u32 date_nsec;
	u64 vm_clock_nsec;
	u32 extra_bytes;
	u16 id_bytes;
	u16 name_bytes;
};

/**
 * qcow2_decode_snapshot - the fixed part of an entry
 * @entry: sizeof(struct qcow2_snapshot_entry) bytes
 * @image_size_bytes: virtual size of the image: taken for a snapshot whose extra data
 *	do not give one, which version 2 does not require
 */
void qcow2_decode_snapshot(const void *entry, u64 image_size_bytes,
			   struct qcow2_snapshot_fields *fields);

/**
 * qcow2_decode_snapshot_extra - what the extra data say
 * @bytes: of them; those beyond struct qcow2_snapshot_extra are ignored
 */
void qcow2_decode_snapshot_extra(const void *extra, u32 bytes,
				 struct qcow2_snapshot_fields *fields);

/** qcow2_snapshot_start - where the entry behind one that ends at @offset starts */
static inline u64 qcow2_snapshot_start(u64 offset)
{
	return (offset + 7) & ~7ULL;
}

#endif /* DM_LIVE_QCOW2_SNAPSHOTS_H */
