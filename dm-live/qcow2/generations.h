/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_QCOW2_GENERATIONS_H
#define DM_LIVE_QCOW2_GENERATIONS_H

/*
 * The sector of a bitmap store that says which backup each bitmap belongs to: struct
 * qcow2_dmlive_generations, at header->generations_offset.
 *
 * A bitmap records what changed since one backup. That backup has recorded the UUID
 * of the store, the name of the bitmap and its generation; if these differ from those
 * in the store, the bitmap cannot be used for it. A bitmap without a generation
 * belongs to no backup. So every doubt (no sector, a bad checksum, a header that QEMU
 * has rewritten) ends in a full backup, never in a wrong one.
 *
 * Pure functions over a buffer of 512 bytes of any alignment. The sector is
 * changed in memory and then written whole. Context: any; no locks, no sleep.
 */

#include "directory.h"

/** qcow2_generations_init - a sector without generations */
void qcow2_generations_init(void *sector,
			    const u8 uuid[QCOW2_DMLIVE_UUID_BYTES]);

/**
 * qcow2_generations_check - is the sector valid?
 * Return: 0, -EINVAL or -EOPNOTSUPP, with a message. All other functions require a
 * valid one.
 */
int qcow2_generations_check(const void *sector,
			    struct qcow2_store_error *error);

/** qcow2_generations_uuid - the UUID of the store */
void qcow2_generations_uuid(const void *sector,
			    u8 uuid[QCOW2_DMLIVE_UUID_BYTES]);

/**
 * qcow2_generations_get - the generation of a bitmap, 0: it has none
 * @name_hash: qcow2_store_name_hash() of its name
 */
u64 qcow2_generations_get(const void *sector, u64 name_hash);

/**
 * qcow2_generations_set - change the generation of a bitmap
 * @generation: 0: it belongs to no backup any more
 * Return: 0, or -ENOSPC when the sector is full.
 */
int qcow2_generations_set(void *sector, u64 name_hash, u64 generation);

/** qcow2_crc32c - CRC-32C (Castagnoli), as of iSCSI and ext4 */
u32 qcow2_crc32c(const void *data, size_t bytes);

#endif /* DM_LIVE_QCOW2_GENERATIONS_H */
