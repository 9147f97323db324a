/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_STATE_H
#define DM_CBW_STATE_H

/* The states of a session and of its job, and kicks. */

#include <linux/types.h>

#include "cbw.h"

const char *cbw_state_name(enum cbw_state state);

/** cbw_set_state - with the lock held */
void cbw_set_state(struct cbw_session *session, enum cbw_state state);

/**
 * cbw_session_break - give up the point in time; guest writes do not wait any more
 * Context: any. Return: false if the session was broken or complete already.
 */
bool cbw_session_break(struct cbw_session *session, const char *why);

/**
 * __cbw_session_break - like cbw_session_break()
 * @expected: log an error only if a view or a job still needs the session
 */
bool __cbw_session_break(struct cbw_session *session, const char *why,
			 bool expected);

/** cbw_session_complete - with the lock held: the target has all old data */
void cbw_session_complete(struct cbw_session *session);

const char *cbw_job_state_name(enum cbw_job_state state);

/** cbw_job_set_state - with the lock held; raises an event when the job stops or ends */
void cbw_job_set_state(struct cbw_session *session, enum cbw_job_state state);

/** cbw_is_under_way - is a job in this state running, paused or stopped? */
bool cbw_is_under_way(enum cbw_job_state state);

/** cbw_job_is_under_way - with the lock held: is the job running, paused or stopped? */
bool cbw_job_is_under_way(const struct cbw_session *session);

/** cbw_job_session_broke - with the lock held: fail a job that is under way */
void cbw_job_session_broke(struct cbw_session *session);

/** cbw_job_may_run - with the lock held: may the job copy now? */
bool cbw_job_may_run(const struct cbw_session *session);

/** cbw_job_kick - have the workers look for work. Any context. */
void cbw_job_kick(struct cbw_session *session);

/** cbw_job_wants_kick - with the lock held: is the job idle and allowed to run? */
bool cbw_job_wants_kick(const struct cbw_session *session);

/** cbw_cow_kick - with the lock held: have a worker look at fresh guest writes */
void cbw_cow_kick(struct cbw_session *session);

#endif /* DM_CBW_STATE_H */
