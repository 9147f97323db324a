/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_META_SEAL_H
#define DMLIVE_META_SEAL_H

/*
 * The seal of a store, see ../dm-live/qcow2/seal.h: it lets the next user of the store
 * find out whether its device was written to meanwhile. Functions that write return 0
 * or a negative errno, with a message printed.
 */

#include "../dm-live/qcow2/seal.h"
#include "base/json.h"
#include "store/writer.h"

/* False: the store has no place for one. A damaged one is zeroed. */
bool meta_seal_read(const struct meta_store *store, struct qcow2_seal *seal);

/* The store must have a place for it. Nothing is written if it is there already. */
int meta_seal_write(struct meta_writer *writer, const struct qcow2_seal *seal);

/*
 * Does a store for the tracking of changes lack a place for the seal, and is there room
 * for one?
 */
bool meta_seal_can_be_added(const struct meta_store *store);

/* Add the place, without a seal. An interrupted call adds nothing. */
int meta_seal_add(struct meta_writer *writer);

/*
 * From now on the bits say nothing about what changed since any backup: no bitmap
 * belongs to one, and the target sets all bits, for the given reason. @seal: of the
 * store; changed.
 */
int meta_distrust(struct meta_writer *writer, struct qcow2_seal *seal,
		  enum qcow2_dmlive_gap reason);

/*
 * Was it sealed in this run of the machine, by the module that is loaded, for the
 * device whose counts are @now, which was not written to since?
 */
bool meta_seal_holds(const struct qcow2_seal *seal,
		     const struct qcow2_seal_device *now);

/* Was it written by the load of the module that is there now? */
bool meta_seal_is_of_this_run(const struct qcow2_seal *seal);

/*
 * No bitmap that records has lost a change, as far as the flags say. The target judges
 * it in the same way.
 */
bool meta_was_closed(const struct meta_store *store);

/* "changes were not tracked from ... to ... (...)": of the last gap. */
#define META_GAP_BYTES 256
const char *meta_gap_text(const struct qcow2_seal *seal,
			  char text[META_GAP_BYTES]);

/* The last gap; null: there was none. */
struct json_object *meta_gap_json(const struct qcow2_seal *seal);

/* The same, and a warning that the target over @device has noticed it. */
struct json_object *meta_warn_of_gap(const char *device,
				     const struct qcow2_seal *seal);

/* For `dmlive meta dump`. */
void meta_seal_print(const struct meta_store *store);
void meta_seal_add_json(const struct meta_store *store,
			struct json_object *object);

#endif /* DMLIVE_META_SEAL_H */
