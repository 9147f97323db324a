/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_ATTACH_HAND_OVER_H
#define DMLIVE_ATTACH_HAND_OVER_H

/*
 * The move of a table that must not be live twice, between a volume and its inner
 * device. One of them has the table; it is suspended, which makes the target write its
 * state; only then is the other one resumed, which makes it read that. All of it happens
 * while the volume is suspended, and the guard can undo each step.
 *
 * Inserting, the inner device starts with a placeholder: a table of the target error.
 *
 * A table that gets its place back is loaded afresh, unless no other instance was
 * resumed: what the old instance has in memory may be out of date.
 */

#include "attach/inner.h"
#include "attach/movable.h"

/*
 * @how: not MOVABLE_SHARED
 * @inserting: the table goes from the volume to the inner device, not back
 * @table: it
 * @udev_cookie: to be waited for with dm_wait_for_udev() when all is resumed
 */
struct hand_over {
	enum movable how;
	bool inserting;
	const struct volume *volume;
	const struct inner *inner;
	const struct dm_table *table;
	uint32_t udev_cookie;
};

/* Load the placeholder, or another table, on the inner device. 0 or a negative errno. */
int hand_over_load_placeholder(const struct inner *inner,
			       const struct dm_table *table);

/*
 * The volume is suspended: load and suspend what is needed. To be undone by
 * hand_over_end_undo() alone. 0 or a negative errno, after a message.
 */
int hand_over_prepare(const struct hand_over *hand_over);

/* From here on the old instance is out of date. Then the volume is resumed. */
int hand_over_commit(struct hand_over *hand_over);

/*
 * Undo, in any process, however far it went. Between the two calls, the volume gets its
 * old table again: load it afresh when the first one returns true. @renewed: the volume
 * had its new table.
 */
bool hand_over_start_undo(struct hand_over *hand_over);
void hand_over_end_undo(struct hand_over *hand_over, bool renewed);

/* Is the inner device suspended? If the volume has its old table, it needs it. */
bool hand_over_is_under_way(const struct hand_over *hand_over);

#endif /* DMLIVE_ATTACH_HAND_OVER_H */
