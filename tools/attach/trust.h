/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_TRUST_H
#define DMLIVE_ATTACH_TRUST_H

/*
 * May a store be trusted when it is attached to a volume again? The target finds out by
 * the seal, but only within one run of the machine and of the device below it. The
 * functions here adapt the seal to what the target will see, if the volume is the one
 * that the store is bound to, and was not written to since the store was closed.
 *
 * The order: trust_check(), while I/O goes on; trust_settle(), when the table of the
 * target is loaded and nobody can write to the volume; the target is resumed;
 * trust_report().
 */

#include "attach/volume.h"
#include "base/guard.h"
#include "base/json.h"
#include "base/sha256.h"
#include "store/seal.h"

/*
 * @meta: canonical path of the metadata device
 * @force: bind the store to another volume
 * @trust_store: trust it, whatever the seal says
 * The rest is filled in by the functions.
 * @is_store: it is a store for the tracking of changes
 * @identity: of the volume; "": nothing identifies it
 * @is_other: it is bound to another
 * @digest: of the volume, where it is needed
 * @trusted: @trust_store decided
 * @is_gap: the target will set all bits
 * @last_gap_s: when the last gap before was noticed
 */
struct trust {
	char meta[4096];
	bool force;
	bool trust_store;
	bool is_store;
	const struct volume *volume;
	char identity[QCOW2_DMLIVE_IDENTITY_BYTES + 1];
	bool is_other;
	bool has_digest;
	uint8_t digest[SHA256_BYTES];
	bool trusted;
	bool is_gap;
	uint64_t last_gap_s;
};

/*
 * Check the store, and read what is needed from the volume. A store without a place for
 * a seal gets one, if there is room. The module dm-live is loaded. Returns an exit
 * status, after a message.
 */
int trust_check(struct trust *trust, const struct volume *volume);

/*
 * @origin, @mapped: what the target lies on, and the mapped device that it is part of.
 * When @guard, if it is not NULL, has acted, nothing is written any more: -ECANCELED,
 * without a message. 0 or another negative errno, after a message.
 */
int trust_settle(struct trust *trust, const struct guard *guard, dev_t origin,
		 dev_t mapped);

/* Warn of a gap. Returns it for JSON; null: there is none. */
struct json_object *trust_report(const struct trust *trust);

/*
 * The volume is detached: add to the seal what identifies its content after a restart
 * of the machine. Failing to do so is only a warning.
 */
void trust_add_digest(const struct blockdev *volume, const char *meta);

#endif /* DMLIVE_ATTACH_TRUST_H */
