/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_GATE_H
#define DM_CBW_GATE_H

/* The gate for views. */

#include <linux/types.h>

#include "cbw.h"

struct bio;
struct bio_list;

/**
 * cbw_view_enter - begin I/O of a view
 * @bio: queued if the gate is shut
 * Return: the gate. The caller may go on only if it is CBW_GATE_OPEN.
 */
enum cbw_gate cbw_view_enter(struct cbw_session *session, struct bio *bio);

/** cbw_view_pin - keep the devices, if they are still there, until cbw_view_leave() */
bool cbw_view_pin(struct cbw_session *session);

/** cbw_view_at_store - I/O that has entered will use the store only */
void cbw_view_at_store(struct cbw_session *session);

/** cbw_view_is_valid - is data that was read valid? Ask after it has arrived. */
bool cbw_view_is_valid(const struct cbw_session *session);

/** cbw_view_leave - end I/O; @at_store: cbw_view_at_store() was called for it */
void cbw_view_leave(struct cbw_session *session, bool at_store);

/** cbw_set_gate - open or close the gate; the caller submits what was queued */
void cbw_set_gate(struct cbw_session *session, enum cbw_gate gate);

/** cbw_gate_has_ended - is the gate closed for good? No lock. */
bool cbw_gate_has_ended(const struct cbw_session *session);

/** cbw_no_view_io - are the session's devices unused by views? */
bool cbw_no_view_io(struct cbw_session *session);

/** cbw_no_view_at_origin - is no view reading the origin? */
bool cbw_no_view_at_origin(struct cbw_session *session);

/** cbw_take_view_bios - take the bios that were queued while the gate was shut */
void cbw_take_view_bios(struct cbw_session *session, struct bio_list *bios);

#endif /* DM_CBW_GATE_H */
