/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_EVENT_STORE_H
#define DMLIVE_CMD_EVENT_STORE_H

/* What `dmlive attach --event` does with the store of a volume that lvm2 has changed. */

#include "attach/volume.h"

/*
 * The size of the volume that the store was for, if it is this volume's. 0: it is not, or
 * it is not a store: both are refused later, with the reason. Prints nothing.
 */
uint64_t event_store_bytes(const struct volume *volume,
			   const struct blockdev *meta);

/*
 * Give the store the size of the volume, if it has another. An exit status, after a
 * message.
 */
int event_store_fit(const struct volume *volume, const struct blockdev *meta);

/* All content of the volume changes. 0 or a negative errno, after a message. */
int event_store_distrust(const struct blockdev *meta);

/* Forget a size that was noted with persist_note_changed() if the volume has it now. */
void event_forget_size(const struct volume *volume);

#endif /* DMLIVE_CMD_EVENT_STORE_H */
