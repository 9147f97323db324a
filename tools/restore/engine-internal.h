/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_ENGINE_INTERNAL_H
#define DMLIVE_RESTORE_ENGINE_INTERNAL_H

/*
 * What the files of the engine share.
 *
 * Upper files call lower ones:
 *
 *   engine.c		the threads
 *   faults.c		what guest I/O waits for
 *   streamer.c		streaming what was claimed
 *   transfer.c		how a range gets from the backing to the volume
 *   engine-state.c	the state of the stream job
 *   claims.c		what is streamed next, and by which worker
 *
 * Lock order: control_lock, then lock. No lock is held during I/O and ioctls, except
 * control_lock during messages, and during INFO, so that results are applied in order.
 */

#include <pthread.h>

#include "base/log.h"
#include "restore/engine.h"
#include "base/rate.h"

#define NR_HINTS 16

/*
 * A range that guest I/O waits for. While a worker serves it, it is on the active list,
 * and faults within its window are attached to it: its data answer them too. If a part of
 * it fails, they are served separately.
 */
struct fault {
	struct fault *next;
	uint64_t start, end;
	uint64_t window_start, window_end;
	struct fault *attached;
	bool failed;
};

struct faults {
	struct fault *first;		/* waiting for a worker, oldest first */
	struct fault **last_next;
	struct fault *active;
	struct fault *spare;		/* kept for reuse */
	uint64_t last_ns;		/* time of the last one */
};

/*
 * @cursor: everything before it was claimed in this pass
 * @nr_busy: workers that hold a claim or end the pass
 * @nr_errors: ranges of this pass that could not be copied
 * @last_try: an error in this pass ends the job, whatever the policy
 * @idle: nothing to do until the state changes
 * @not_before_ns: nothing is claimed before this time
 * @pass_allocated_blocks: how many were allocated when the pass began
 */
struct streamer {
	uint64_t cursor;
	unsigned int nr_busy;
	uint64_t nr_errors;
	bool last_try;
	bool idle;
	uint64_t not_before_ns;
	uint64_t pass_allocated_blocks;
	struct rate rate;
	uint64_t hints[NR_HINTS];	/* what the guest may want next */
	unsigned int nr_hints;
};

struct worker {
	struct engine *engine;
	pthread_t thread;
	bool started;
	bool streams;		/* false: serves faults only */
	void *buffer;
	uint64_t claim_start, claim_end;	/* what it streams */
	uint64_t charged_bytes;		/* for the claim */
	bool ends_pass;		/* instead of streaming */
};

struct engine {
	struct engine_options options;
	struct channel *channel;
	struct backing *backing;
	uint64_t device_bytes;
	uint32_t block_bytes;
	uint64_t unit_bytes;	/* what is read at once: whole clusters and blocks */
	uint64_t window_bytes;	/* what a fault reads at least */
	uint64_t buffer_bytes;	/* of a worker */

	pthread_mutex_t control_lock;
	/* Protects all below. @work: wakes workers, to work or to stop. */
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct dm_alloctrack_info info;
	bool stopping;
	bool gone;
	struct faults faults;
	struct streamer streamer;
	struct log_limit read_log;
	struct log_limit write_log;

	pthread_t fault_thread;
	bool fault_thread_started;
	unsigned int nr_workers;
	unsigned int nr_streaming_workers;
	struct worker *workers;
};

static inline uint64_t round_down_to(uint64_t value, uint64_t unit)
{
	return value & ~(unit - 1);
}

static inline uint64_t round_up_to(uint64_t value, uint64_t unit)
{
	return round_down_to(value + unit - 1, unit);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* faults.c; all but serve are called with the lock held */

void faults_init(struct faults *faults);
void faults_free(struct faults *faults);

/* Queue a range. -ENOMEM. */
int faults_add(struct engine *engine, uint64_t start, uint64_t end);

/* The next fault to serve, made active; NULL when there is none. */
struct fault *faults_take(struct engine *engine);

/* Serve an active fault. Called without the lock. */
void fault_serve(struct worker *worker, struct fault *fault);

/* streamer.c */

/* Do what was claimed. Called without the lock. */
void streamer_run(struct worker *worker);

/* transfer.c; without the lock */

/*
 * @stream: for the stream job, which counts it; the policy applies to errors, and it
 *	ends early when the job stops running
 * @answer_start, @answer_end: errors outside of this range are not reported
 * @nr_errors: out: ranges that were not copied
 * @charged_bytes: out: bytes that count against the speed limit
 */
struct transfer {
	struct worker *worker;
	bool stream;
	uint64_t answer_start, answer_end;
	uint64_t nr_errors;
	uint64_t charged_bytes;
};

/*
 * Copy [@start, @end) to the volume: whole blocks, or up to the device's end. Returns
 * where it stopped: @end; after it, if zeros continued; before it, if it had to stop.
 */
uint64_t transfer_range(struct transfer *transfer, uint64_t start,
			uint64_t end);

/* The extent at @offset, cut at @end. */
int transfer_map(struct engine *engine, uint64_t offset, uint64_t end,
		 uint64_t *extent_end, enum image_extent_kind *kind,
		 struct image_error *err);

/* engine-state.c; called without locks */

/* Read INFO and act on it. */
int engine_refresh(struct engine *engine);

/* Called with what an ioctl returned: the device may be gone. */
void engine_note(struct engine *engine, int r);

/* Is the job running, so that streaming may continue? */
bool engine_is_streaming(struct engine *engine);

/* claims.c, called with the lock held */

void claims_new_pass(struct engine *engine);

/* The job starts or resumes: begin a new pass. */
void claims_restart(struct engine *engine);

/* The guest has waited for data before @offset, and may want what follows. */
void claims_hint(struct engine *engine, uint64_t offset);

/*
 * Claim something to stream for @worker. False: there is nothing now; try again at
 * *@wake_ns, or, if that is 0, when the state has changed.
 */
bool claim_take(struct worker *worker, uint64_t *wake_ns);

/* claims.c, called without the lock */

/* Extend the claim to @new_end, unless another worker has claimed what follows. */
bool claim_extend(struct worker *worker, uint64_t new_end);

/*
 * The worker is done with its claim: @nr_errors ranges were not copied, and
 * @charged_bytes count against the speed limit.
 */
void claim_release(struct worker *worker, uint64_t nr_errors,
		   uint64_t charged_bytes);

/* All from @from to @to is allocated: there is nothing to claim in it. */
void claims_skip_allocated(struct engine *engine, uint64_t from, uint64_t to);

#endif /* DMLIVE_RESTORE_ENGINE_INTERNAL_H */
