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
 * cbw_session_break - the point in time is lost; guest writes wait no more
 * Context: any. Return: false when the session was not active.
 */
bool cbw_session_break(struct cbw_session *session, const char *why);

/**
 * __cbw_session_break - the same
 * @expected: it is an error only if a view or a job still needs the session
 */
bool __cbw_session_break(struct cbw_session *session, const char *why,
			 bool expected);

/** cbw_session_complete - with the lock held: the target has everything */
void cbw_session_complete(struct cbw_session *session);

const char *cbw_job_state_name(enum cbw_job_state state);

/** cbw_job_set_state - with the lock held; raises an event if it is one */
void cbw_job_set_state(struct cbw_session *session, enum cbw_job_state state);

/** cbw_is_under_way - is a job of that state running, paused or stopped? */
bool cbw_is_under_way(enum cbw_job_state state);

/** cbw_job_is_under_way - with the lock held: is it running, paused or stopped? */
bool cbw_job_is_under_way(const struct cbw_session *session);

/** cbw_job_session_broke - with the lock held: a job under way fails */
void cbw_job_session_broke(struct cbw_session *session);

/** cbw_job_may_run - with the lock held: may the job copy now? */
bool cbw_job_may_run(const struct cbw_session *session);

/** cbw_job_kick - have the workers look for work. Any context. */
void cbw_job_kick(struct cbw_session *session);

/** cbw_job_wants_kick - with the lock held: may the job have to do now? */
bool cbw_job_wants_kick(const struct cbw_session *session);

/** cbw_cow_kick - with the lock held: have fresh guest writes looked at */
void cbw_cow_kick(struct cbw_session *session);

#endif /* DM_CBW_STATE_H */
