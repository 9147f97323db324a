// SPDX-License-Identifier: GPL-2.0-only
/*
 * The job: copies every block in scope that is not yet on the target to it.
 *
 * Each worker claims the next unclaimed blocks in ascending order, as many as one copy
 * moves, copies them and queues itself again. It skips blocks that were copied to the
 * target for guest writes.
 */
#include <linux/blkdev.h>

#include "blocks.h"
#include "cbw.h"
#include "chunk.h"
#include "claims.h"
#include "copy.h"
#include "job.h"
#include "state.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"

/* At the speed limit, a chunk takes at most a second divided by this. */
#define CHUNKS_PER_SECOND	8

static int start(struct cbw_session *session)
{
	struct cbw_job *job = &session->job;

	lockdep_assert_held(&session->lock);
	if (cbw_is_under_way(job->state) || job->state == CBW_JOB_COMPLETE)
		return -EALREADY;
	/* The target would lack the blocks that a view has released. */
	if (session->released)
		return -ENODATA;
	job->position = 0;
	job->holes = false;
	cbw_job_set_state(session, CBW_JOB_RUNNING);
	return 0;
}

static int change(struct cbw_session *session, const char *verb)
{
	struct cbw_job *job = &session->job;

	lockdep_assert_held(&session->lock);
	if (session->state == CBW_BROKEN)
		return -EIO;
	if (!strcmp(verb, "start"))
		return start(session);
	if (!cbw_is_under_way(job->state))
		return -ESRCH;
	if (!strcmp(verb, "pause"))
		cbw_job_set_state(session, CBW_JOB_PAUSED);
	else if (!strcmp(verb, "resume"))
		cbw_job_set_state(session, CBW_JOB_RUNNING);
	else
		cbw_job_set_state(session, CBW_JOB_CANCELLED);
	return 0;
}

int cbw_job_message(struct cbw_session *session, const char *verb)
{
	static const char *const verbs[] = {
		"start", "pause", "resume", "cancel",
	};
	int r;

	if (match_string(verbs, ARRAY_SIZE(verbs), verb) < 0)
		return -EINVAL;
	if (!session->target_bdev)
		return -EOPNOTSUPP;
	spin_lock_irq(&session->lock);
	r = change(session, verb);
	spin_unlock_irq(&session->lock);
	if (!r)
		cbw_job_kick(session);
	return r;
}

void cbw_job_set_speed(struct cbw_session *session, u64 bytes_per_second)
{
	dm_live_rate_set(&session->job.rate, bytes_per_second);
	cbw_job_kick(session);
}

static bool may_run_now(struct cbw_session *session)
{
	bool may;

	spin_lock_irq(&session->lock);
	may = cbw_job_may_run(session);
	spin_unlock_irq(&session->lock);
	return may;
}

/* Fail, or stop until the cause is fixed and the job resumed. */
static enum cbw_job_state state_after(enum cbw_on_error policy,
				      blk_status_t status)
{
	if (policy == CBW_ON_ERROR_STOP ||
	    (policy == CBW_ON_ERROR_ENOSPC && status == BLK_STS_NOSPC))
		return CBW_JOB_STOPPED;
	return CBW_JOB_FAILED;
}

static void copy_failed(struct cbw_session *session, u64 block,
			const struct cbw_result *result)
{
	enum cbw_on_error policy = result->read_status ?
				   session->config.on_source_error :
				   session->config.on_target_error;
	struct cbw_job *job = &session->job;

	cbw_count_error(session, block, result);
	spin_lock_irq(&session->lock);
	if (policy == CBW_ON_ERROR_IGNORE) {
		job->holes = true;
	} else {
		job->position = min(job->position, block);
		if (cbw_is_under_way(job->state))
			cbw_job_set_state(session,
					  state_after(policy,
						      cbw_result_status(result)));
	}
	spin_unlock_irq(&session->lock);
}

/* Have the job continue at @block or before. */
static void give_back(struct cbw_session *session, u64 block)
{
	spin_lock_irq(&session->lock);
	session->job.position = min(session->job.position, block);
	spin_unlock_irq(&session->lock);
}

static void copy_chunk(struct cbw_copier *copier)
{
	u64 left = cbw_copy_claims(copier, may_run_now, copy_failed);

	if (left != CBW_NO_BLOCK)
		give_back(copier->session, left);
}

/* Everything is copied: make it durable, then complete the job. */
static void complete_work(struct work_struct *work)
{
	struct cbw_session *session = container_of(work, struct cbw_session,
						   job.complete_work);
	struct cbw_result result = { };
	bool copied;

	spin_lock_irq(&session->lock);
	copied = cbw_job_may_run(session) &&
		 !dm_live_bitmap_weight(session->left);
	spin_unlock_irq(&session->lock);
	if (!copied)
		return;

	result.write_status =
		errno_to_blk_status(blkdev_issue_flush(session->target_bdev));
	result.where = "target";
	if (result.write_status)
		cbw_count_error(session, 0, &result);

	spin_lock_irq(&session->lock);
	/* If it was paused or cancelled or broke in the meantime, it is not complete. */
	if (session->state == CBW_ACTIVE &&
	    session->job.state == CBW_JOB_RUNNING) {
		if (result.write_status) {
			cbw_job_set_state(session,
					  state_after(session->config.on_target_error,
						      result.write_status));
		} else {
			cbw_session_complete(session);
			cbw_job_set_state(session, CBW_JOB_COMPLETE);
		}
	}
	spin_unlock_irq(&session->lock);
}

/*
 * Nothing is left to claim. Either all is copied; or others are still copying, and kick
 * the job when they are done; or there are holes; or a copy for a guest write failed,
 * and the job tries again from the start.
 */
static bool reached_end(const struct cbw_copier *copier)
{
	struct cbw_session *session = copier->session;
	struct cbw_job *job = &session->job;

	lockdep_assert_held(&session->lock);
	if (cbw_has_claims(copier)) {
		job->idle = true;
		return false;
	}
	if (!dm_live_bitmap_weight(session->left)) {
		queue_work(session->job_wq, &job->complete_work);
		return false;
	}
	if (job->holes) {
		DMERR("%s: job: blocks that could not be copied remain",
		      session->name);
		cbw_job_set_state(session, CBW_JOB_FAILED);
		return false;
	}
	job->position = 0;
	return true;
}

static u64 chunk_blocks(const struct cbw_session *session)
{
	u64 speed = dm_live_rate_get(&session->job.rate);
	u64 nr = cbw_copy_blocks(session);
	u64 slow = cbw_sector_to_block(session, speed / CHUNKS_PER_SECOND >>
						SECTOR_SHIFT);

	return speed ? clamp_t(u64, slow, 1, nr) : nr;
}

/*
 * Claim the next blocks to be copied. Each extent begins before @piece, but may end
 * after it.
 */
static bool claim_from(struct cbw_copier *copier, u64 block, u64 piece,
		       u64 max_blocks)
{
	struct cbw_session *session = copier->session;
	u64 nr_blocks = session->nr_blocks;
	u64 left = max_blocks;
	u64 end;

	while (left && block < piece && copier->nr_extents < CBW_MAX_EXTENTS) {
		block = cbw_next_unclaimed(copier, block, piece);
		if (block == piece)
			break;
		end = cbw_end_claim(copier, block,
				    min(block + left, nr_blocks));
		cbw_claim(copier, block, end - block);
		session->job.position = end;
		left -= end - block;
		block = end;
	}
	return copier->nr_extents;
}

/* Returns true if it has to be called again: this piece has nothing to claim. */
static bool claim_in_piece(struct cbw_copier *copier, u64 max_blocks)
{
	struct cbw_job *job = &copier->session->job;
	u64 nr_blocks = copier->session->nr_blocks;
	u64 piece = dm_live_bitmap_piece_end(job->position, nr_blocks);

	lockdep_assert_held(&copier->session->lock);
	if (claim_from(copier, job->position, piece, max_blocks))
		return false;
	job->position = piece;
	return piece < nr_blocks || reached_end(copier);
}

/*
 * Returns true if the worker has something to copy. Guest writes spin on the lock, so it
 * is released between pieces of the bitmap.
 */
static bool claim(struct cbw_copier *copier, u64 max_blocks)
{
	struct cbw_session *session = copier->session;
	bool again;

	for (;; cond_resched()) {
		spin_lock_irq(&session->lock);
		again = cbw_job_may_run(session) &&
			claim_in_piece(copier, max_blocks);
		spin_unlock_irq(&session->lock);
		if (!again)
			return copier->nr_extents;
	}
}

static void worker_work(struct work_struct *work)
{
	struct cbw_copier *copier = container_of(to_delayed_work(work),
						 struct cbw_copier, work);
	struct cbw_session *session = copier->session;
	struct dm_live_rate *rate = &session->job.rate;
	u64 max_blocks = chunk_blocks(session);
	u64 max_bytes = max_blocks * cbw_block_bytes(session);
	unsigned long wait_jiffies;
	bool claimed;

	if (!may_run_now(session))
		return;
	/* Charge for the largest chunk; the actual size is not known yet. */
	wait_jiffies = dm_live_rate_take(rate, max_bytes);
	if (wait_jiffies) {
		queue_delayed_work(session->job_wq, &copier->work,
				   wait_jiffies);
		return;
	}
	claimed = claim(copier, max_blocks);
	dm_live_rate_give_back(rate, max_bytes - cbw_nr_claimed(copier) *
						 cbw_block_bytes(session));
	if (!claimed)
		return;

	copy_chunk(copier);
	cbw_unclaim(copier);
	queue_delayed_work(session->job_wq, &copier->work, 0);
}

void cbw_job_init(struct cbw_session *session)
{
	struct cbw_job *job = &session->job;
	unsigned int i;

	dm_live_rate_init(&job->rate);
	dm_live_rate_set(&job->rate, session->config.job_speed);
	job->nr_workers = session->config.job_workers;
	INIT_WORK(&job->complete_work, complete_work);
	for (i = 0; i < job->nr_workers; i++) {
		job->workers[i].session = session;
		job->workers[i].is_job = true;
		INIT_DELAYED_WORK(&job->workers[i].work, worker_work);
	}
}
