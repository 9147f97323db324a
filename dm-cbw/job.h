/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_CBW_JOB_H
#define DM_CBW_JOB_H

/* The job, which copies to the target in the background. */

#include <linux/types.h>

#include "cbw.h"

void cbw_job_init(struct cbw_session *session);

/** cbw_job_message - start, pause, resume or cancel. 0 or a negative errno. */
int cbw_job_message(struct cbw_session *session, const char *verb);

/** cbw_job_set_speed - bytes/s, 0: no limit */
void cbw_job_set_speed(struct cbw_session *session, u64 bytes_per_second);

/** cbw_job_kick - have the workers look for work. Any context. */
void cbw_job_kick(struct cbw_session *session);

/** cbw_job_wants_kick - with the lock held: may the job have to do now? */
bool cbw_job_wants_kick(const struct cbw_session *session);

/** cbw_job_is_under_way - with the lock held: is it running, paused or stopped? */
bool cbw_job_is_under_way(const struct cbw_session *session);

/** cbw_job_session_broke - with the lock held: a job under way fails */
void cbw_job_session_broke(struct cbw_session *session);

const char *cbw_job_state_name(enum cbw_job_state state);

#endif /* DM_CBW_JOB_H */
