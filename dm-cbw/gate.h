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
 * @bio: kept for later when the gate is shut
 * Return: the gate; the caller goes on only if that is CBW_GATE_OPEN.
 */
enum cbw_gate cbw_view_enter(struct cbw_session *session, struct bio *bio);

/** cbw_view_pin - may the devices be looked at? Then cbw_view_leave() ends it. */
bool cbw_view_pin(struct cbw_session *session);

/** cbw_view_at_store - I/O that has entered will not touch the origin */
void cbw_view_at_store(struct cbw_session *session);

/** cbw_view_is_valid - may what was read be shown? Ask when it has arrived. */
bool cbw_view_is_valid(const struct cbw_session *session);

/** cbw_view_leave - I/O ends; @at_store: cbw_view_at_store() was called for it */
void cbw_view_leave(struct cbw_session *session, bool at_store);

/** cbw_set_gate - what cbw_view_enter() says from now on */
void cbw_set_gate(struct cbw_session *session, enum cbw_gate gate);

/** cbw_gate_has_ended - will no I/O of views enter any more? No lock. */
bool cbw_gate_has_ended(const struct cbw_session *session);

/** cbw_no_view_io - does no view use the session's devices? */
bool cbw_no_view_io(struct cbw_session *session);

/** cbw_no_view_at_origin - does no view read the origin? */
bool cbw_no_view_at_origin(struct cbw_session *session);

/** cbw_take_view_bios - what came while the gate was shut */
void cbw_take_view_bios(struct cbw_session *session, struct bio_list *bios);

#endif /* DM_CBW_GATE_H */
