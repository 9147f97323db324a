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
 * cbw_session_end - nothing uses the devices of the session any more
 * Context: sleeps, for as long as the store takes for what is on the way to it.
 */
void cbw_session_end(struct cbw_session *session);

/** cbw_session_put - drop a reference; may sleep */
void cbw_session_put(struct cbw_session *session);

/**
 * cbw_session_find - the session of a mapped device, for a view
 * Return: the session with a reference and counted as viewed, or NULL.
 */
struct cbw_session *cbw_session_find(dev_t devt);

/** cbw_session_put_view - undo cbw_session_find() */
void cbw_session_put_view(struct cbw_session *session);

/** cbw_session_is_viewed - has that mapped device a live session with a view? */
bool cbw_session_is_viewed(dev_t devt);

/**
 * cbw_session_activate - before the resume: the point in time is now
 *
 * Ends the session that the mapped device had before, and waits till nothing of
 * that or of another session that is over is on the way to the same store.
 * Return: 0, -ERESTARTSYS when the caller was killed meanwhile, or -EBUSY when the
 * live session of another mapped device has the same store.
 */
int cbw_session_activate(struct cbw_session *session);

/** cbw_session_resume - after the resume: views and the job go on */
void cbw_session_resume(struct cbw_session *session);

/**
 * cbw_session_suspend - wait till nobody reads the origin. No guest I/O is left.
 *
 * I/O to the store is not waited for: the store may hang, and the guest's device
 * shall not. What is copied by it is as it was at the point in time.
 */
void cbw_session_suspend(struct cbw_session *session);

#endif /* DM_CBW_SESSION_H */
