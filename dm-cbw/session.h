/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_SESSION_H
#define DM_CBW_SESSION_H

/* The life of a session, and the registry in which views find it. */

#include <linux/types.h>

#include "cbw.h"

/**
 * cbw_session_create - a session for a table that is being constructed
 * Context: may sleep. Return: the session, or an ERR_PTR with ti->error set.
 */
struct cbw_session *cbw_session_create(struct cbw_table *table);

/**
 * cbw_session_end - end the session; nothing uses its devices after that
 * Context: sleeps until the store has completed all I/O in flight.
 */
void cbw_session_end(struct cbw_session *session);

/** cbw_session_put - drop a reference; may sleep */
void cbw_session_put(struct cbw_session *session);

/**
 * cbw_session_find - the session of a mapped device, for a view
 * Return: the session, with a reference and counted as viewed; or NULL.
 */
struct cbw_session *cbw_session_find(dev_t devt);

/** cbw_session_put_view - undo cbw_session_find() */
void cbw_session_put_view(struct cbw_session *session);

/** cbw_session_is_viewed - does the mapped device have a live session with a view? */
bool cbw_session_is_viewed(dev_t devt);

/**
 * cbw_session_activate - before the resume: the point in time is now
 *
 * Ends the session that the mapped device had before, and waits until that session and
 * others that are over have no I/O to the same store in flight.
 * Return: 0; -ERESTARTSYS: the caller was killed; -EBUSY: the live session of another
 * mapped device uses the same store.
 */
int cbw_session_activate(struct cbw_session *session);

/** cbw_session_resume - after the resume: let views and the job go on */
void cbw_session_resume(struct cbw_session *session);

/**
 * cbw_session_suspend - wait until nothing reads the origin. No guest I/O is left.
 *
 * Does not wait for I/O to the store: the store may hang, and the guest's device must
 * not hang with it. Such I/O already has the data of the point in time.
 */
void cbw_session_suspend(struct cbw_session *session);

#endif /* DM_CBW_SESSION_H */
