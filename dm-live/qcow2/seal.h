/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_SEAL_H
#define DM_LIVE_QCOW2_SEAL_H

/*
 * The sector of a bitmap store that says what the tracked device looked like when the
 * store was closed: struct qcow2_dmlive_seal, at header->seal_offset. It lets the
 * next user of the store find out whether the device was written to meanwhile, which
 * the bitmaps do not record. See Documentation/bitmap-format.rst.
 *
 * Pure functions over a buffer of 512 bytes of any alignment. The sector is changed
 * in memory and then written whole. Context: any; no locks, no sleep.
 */

#include "directory.h"

/** struct qcow2_seal_device - as struct qcow2_dmlive_seal_device */
struct qcow2_seal_device {
	u64 seq;
	u64 written;
	u64 discarded;
	u32 partition;
};

/**
 * struct qcow2_seal - what the sector says
 * @flags: QCOW2_DMLIVE_SEAL_*
 * @gap_reason: enum qcow2_dmlive_gap, of the last gap that was found
 * @instance: of the load of the module that sealed it
 * @origin: what the target lies on, as it was when the store was closed
 * @device: the mapped device, likewise
 * @time_s: when it was closed; seconds since 1970, as the next two. Not SEALED: since
 *	when the store has been in use
 * @gap_from_s: when the last gap began, at the earliest
 * @gap_to_s: when it was noticed
 * @digest: valid with QCOW2_DMLIVE_SEAL_DIGEST; the tool alone makes it
 * @identity: of the volume that the store is bound to; "": none. Terminated. The tool
 *	alone changes it.
 */
struct qcow2_seal {
	u32 flags;
	u32 gap_reason;
	u8 instance[QCOW2_DMLIVE_UUID_BYTES];
	struct qcow2_seal_device origin;
	struct qcow2_seal_device device;
	u64 time_s;
	u64 gap_from_s;
	u64 gap_to_s;
	u8 digest[QCOW2_DMLIVE_DIGEST_BYTES];
	char identity[QCOW2_DMLIVE_IDENTITY_BYTES + 1];
};

/**
 * qcow2_seal_encode - make the sector
 * The identity is cut if it is too long; a zeroed @seal is a sector without a seal.
 */
void qcow2_seal_encode(void *sector, const struct qcow2_seal *seal);

/**
 * qcow2_seal_decode - check the sector, and say what is in it
 * Return: 0; or -EINVAL or -EOPNOTSUPP, with a message, and then @seal is zeroed.
 */
int qcow2_seal_decode(const void *sector, struct qcow2_seal *seal,
		      struct qcow2_store_error *error);

/** qcow2_seal_is_same_device - whatever was written to it */
bool qcow2_seal_is_same_device(const struct qcow2_seal_device *a,
			       const struct qcow2_seal_device *b);

/** qcow2_seal_is_counted - does the device count what is written to it? */
bool qcow2_seal_is_counted(const struct qcow2_seal_device *device);

/**
 * qcow2_seal_is_unchanged - the same device, and nothing was written or discarded
 * False if the device does not count: then it is not known.
 */
bool qcow2_seal_is_unchanged(const struct qcow2_seal_device *a,
			     const struct qcow2_seal_device *b);

/**
 * qcow2_seal_break - it is not SEALED any more, since the store is or will be in use
 * @now_s: seconds since 1970
 * The binding and the last gap stay.
 */
void qcow2_seal_break(struct qcow2_seal *seal, u64 now_s);

/**
 * qcow2_seal_find_gap - were changes not tracked since the store was closed?
 * @origin: what the target lies on, as it is now
 * @device: the mapped device, likewise
 * @instance: of the module that is loaded now
 *
 * For a store that is not in use; for one that is, only QCOW2_DMLIVE_SEAL_GAP counts.
 * Return: enum qcow2_dmlive_gap.
 */
u32 qcow2_seal_find_gap(const struct qcow2_seal *seal,
			const struct qcow2_seal_device *origin,
			const struct qcow2_seal_device *device,
			const u8 instance[QCOW2_DMLIVE_UUID_BYTES]);

/** qcow2_seal_set_gap - record a gap, and that nothing has been done about it yet */
void qcow2_seal_set_gap(struct qcow2_seal *seal, u32 reason, u64 from_s,
			u64 to_s);

/** qcow2_seal_reason - the words for an enum qcow2_dmlive_gap, whatever number it is */
const char *qcow2_seal_reason(u32 reason);

#endif /* DM_LIVE_QCOW2_SEAL_H */
