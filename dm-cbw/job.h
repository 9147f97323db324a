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

#endif /* DM_CBW_JOB_H */
