// SPDX-License-Identifier: GPL-2.0-only
/*
 * The states of a session and of its job, which cbw_session.lock protects together, and
 * the kicks of the workers.
 *
 * A session: new -> active at the first resume of its table; active -> broken or
 * complete, both final.
 *
 * A job: none -> running <-> paused or stopped; running, paused and stopped ->
 * cancelled or failed; running -> complete. From failed and cancelled a new job
 * may be started: it continues with what is left. complete requires that all
 * blocks are copied, by the job or for guest writes, and a flush of the target
 * after that.
 */
#include "cbw.h"
#include "event.h"
#include "state.h"
#include "waiters.h"

static const char *const state_names[] = { CBW_SESSION_STATES(DM_LIVE_WORD) };
static const char *const job_state_names[] = { CBW_JOB_STATES(DM_LIVE_WORD) };

const char *cbw_state_name(enum cbw_state state)
{
	/* Users see no difference between new and active. */
	return state_names[state == CBW_NEW ? CBW_ACTIVE : state];
}

void cbw_set_state(struct cbw_session *session, enum cbw_state state)
{
	lockdep_assert_held(&session->lock);
	DMINFO("%s: session %s", session->name, cbw_state_name(state));
	WRITE_ONCE(session->state, state);
}

const char *cbw_job_state_name(enum cbw_job_state state)
{
	return job_state_names[state];
}

/* The one place where the state changes. */
void cbw_job_set_state(struct cbw_session *session, enum cbw_job_state state)
{
	lockdep_assert_held(&session->lock);
	if (session->job.state == state)
		return;
	DMINFO("%s: job %s", session->name, cbw_job_state_name(state));
	WRITE_ONCE(session->job.state, state);
	if (state == CBW_JOB_STOPPED || state == CBW_JOB_FAILED ||
	    state == CBW_JOB_COMPLETE)
		cbw_raise_event(session);
}

bool cbw_is_under_way(enum cbw_job_state state)
{
	return state == CBW_JOB_RUNNING || state == CBW_JOB_PAUSED ||
	       state == CBW_JOB_STOPPED;
}

bool cbw_job_is_under_way(const struct cbw_session *session)
{
	return cbw_is_under_way(session->job.state);
}

void cbw_job_session_broke(struct cbw_session *session)
{
	if (cbw_is_under_way(session->job.state))
		cbw_job_set_state(session, CBW_JOB_FAILED);
}

static bool is_missed(const struct cbw_session *session)
{
	return atomic_read(&session->nr_views) || cbw_job_is_under_way(session);
}

bool __cbw_session_break(struct cbw_session *session, const char *why,
			 bool expected)
{
	unsigned long flags;
	bool broke;

	spin_lock_irqsave(&session->lock, flags);
	broke = session->state == CBW_ACTIVE || session->state == CBW_NEW;
	if (broke) {
		if (expected && !is_missed(session))
			DMINFO("%s: %s", session->name, why);
		else
			DMERR("%s: %s: the point in time is lost",
			      session->name, why);
		/* Pairs with cbw_view_is_valid(): views read the state after the data. */
		cbw_set_state(session, CBW_BROKEN);
		cbw_job_session_broke(session);
		cbw_wake_all(session);
		wake_up_all(&session->wait);
		/* Bios of views that wait for the gate fail now. */
		queue_work(session->submit_wq, &session->view_work);
		cbw_raise_event(session);
	}
	spin_unlock_irqrestore(&session->lock, flags);
	return broke;
}

bool cbw_session_break(struct cbw_session *session, const char *why)
{
	return __cbw_session_break(session, why, false);
}

void cbw_session_complete(struct cbw_session *session)
{
	lockdep_assert_held(&session->lock);
	cbw_set_state(session, CBW_COMPLETE);
}

bool cbw_job_may_run(const struct cbw_session *session)
{
	lockdep_assert_held(&session->lock);
	return session->running && session->state == CBW_ACTIVE &&
	       session->job.state == CBW_JOB_RUNNING;
}

void cbw_job_kick(struct cbw_session *session)
{
	struct cbw_job *job = &session->job;
	unsigned long flags;
	unsigned int i;

	spin_lock_irqsave(&session->lock, flags);
	if (cbw_job_may_run(session)) {
		job->idle = false;
		for (i = 0; i < job->nr_workers; i++)
			mod_delayed_work(session->job_wq,
					 &job->workers[i].work, 0);
	}
	spin_unlock_irqrestore(&session->lock, flags);
}

bool cbw_job_wants_kick(const struct cbw_session *session)
{
	lockdep_assert_held(&session->lock);
	return session->job.idle && cbw_job_may_run(session);
}

void cbw_cow_kick(struct cbw_session *session)
{
	unsigned int i;

	lockdep_assert_held(&session->lock);
	if (session->kicked)
		return;
	/* If all are busy, the first that finishes looks again. */
	for (i = 0; i < CBW_COW_WORKERS; i++) {
		struct cbw_copier *copier = &session->cow[i];

		if (copier->busy)
			continue;
		copier->busy = true;
		session->kicked = true;
		queue_delayed_work(session->cow_wq, &copier->work, 0);
		return;
	}
}
