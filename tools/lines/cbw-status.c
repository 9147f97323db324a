// SPDX-License-Identifier: GPL-2.0-only
/* Status lines of the target cbw. */
#include <errno.h>
#include <string.h>

#include "lines/cbw-status.h"

#define NR_ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))

static const char *const session_names[] = { CBW_SESSION_STATES(DM_LIVE_WORD) };
static const char *const job_names[] = { CBW_JOB_STATES(DM_LIVE_WORD) };

const char *cbw_session_name(enum cbw_session_state state)
{
	return state < NR_ELEMENTS(session_names) ? session_names[state] :
						    "unknown";
}

const char *cbw_job_name(enum cbw_job_state state)
{
	return state < NR_ELEMENTS(job_names) ? job_names[state] : "unknown";
}

int cbw_status_parse(const char *params, struct cbw_status *status)
{
	unsigned int session, job;

	memset(status, 0, sizeof(*status));
	if (next_name(&params, session_names, NR_ELEMENTS(session_names),
		      &session) ||
	    next_fraction(&params, &status->copied_blocks,
			  &status->scope_blocks) ||
	    next_block_size(&params, &status->block_bytes) ||
	    next_name(&params, job_names, NR_ELEMENTS(job_names), &job) ||
	    next_fraction(&params, &status->job_bytes,
			  &status->job_total_bytes) ||
	    next_number(&params, &status->cow_writes) ||
	    next_number(&params, &status->source_errors) ||
	    next_number(&params, &status->target_errors) ||
	    next_fraction(&params, &status->slots_used, &status->slots))
		return -EINVAL;
	status->session = session;
	status->job = job;
	return cbw_features_parse(&params, &status->features);
}
