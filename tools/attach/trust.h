/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_TRUST_H
#define DMLIVE_ATTACH_TRUST_H

/*
 * Can a store be trusted when it is attached to a volume again? The target compares the
 * seal with the device below it, which is another one after each attach. So if the volume
 * is the one that the store is bound to, and was not written to since the store was
 * closed, the seal is rewritten here for what the target will see.
 *
 * The order: trust_check(), while I/O goes on; trust_settle(), when the table of the
 * target is loaded and nobody can write to the volume; then the target is resumed;
 * trust_report().
 */

#include "attach/volume.h"
#include "base/guard.h"
#include "base/json.h"
#include "base/sha256.h"
#include "store/seal.h"

/*
 * Set by the caller:
 * @meta: canonical path of the metadata device
 * @force: bind the store to this volume, even if it is bound to another one
 * @trust_store: trust the store, whatever the seal says
 * Set by the functions:
 * @is_store: it is a store for change tracking
 * @identity: of the volume; "": it has none
 * @is_other: the store is bound to another volume
 * @is_changed: the content has changed without writes, see persist_note_changed()
 * @digest: of the volume, if it is needed
 * @trusted: the store is trusted because of @trust_store alone
 * @is_gap: the target will set all bits
 * @last_gap_s: when the previous gap was noticed
 */
struct trust {
	char meta[4096];
	bool force;
	bool trust_store;
	bool is_store;
	const struct volume *volume;
	char identity[QCOW2_DMLIVE_IDENTITY_BYTES + 1];
	bool is_other;
	bool is_changed;
	bool has_digest;
	uint8_t digest[SHA256_BYTES];
	bool trusted;
	bool is_gap;
	uint64_t last_gap_s;
};

/*
 * Check the store, and read the volume if its digest is needed. A store without a place
 * for a seal gets one, if it has space. The module dm-live must be loaded. Returns an exit
 * status, after a message.
 */
int trust_check(struct trust *trust, const struct volume *volume);

/*
 * @origin, @mapped: the device below the target, and the mapped device with the target.
 * @guard may be NULL. When it has acted, nothing is written any more: -ECANCELED, without
 * a message. Otherwise 0 or a negative errno, after a message.
 */
int trust_settle(struct trust *trust, const struct guard *guard, dev_t origin,
		 dev_t mapped);

/*
 * The volume is attached. Warn of a gap. Returns it as JSON; NULL: there is none.
 */
struct json_object *trust_report(const struct trust *trust);

/*
 * The volume is detached: add its digest to the seal, so that its content is recognized
 * after a restart of the machine. A failure is only a warning.
 */
void trust_add_digest(const struct blockdev *volume, const char *meta);

#endif /* DMLIVE_ATTACH_TRUST_H */
