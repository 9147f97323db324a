// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is streamed next: each worker claims a chunk.
 *
 * A pass goes over the device in ascending order, but chunks just after what the guest
 * has waited for come first. The kernel's bitmap says what is left to do in a chunk, so
 * any chunk may be claimed at any time, and more than once.
 */
#include "base/process.h"
#include "restore/engine-internal.h"

#define CHUNK_BYTES (1ull << 20)

#define NO_HINT UINT64_MAX

/* At the speed limit a chunk takes no more than a fraction of a second. */
#define CHUNKS_PER_SECOND 8

/* Streaming pauses for this long after a fault. */
#define FAULT_PAUSE_NS (20 * NS_PER_MS)

void claims_new_pass(struct engine *engine)
{
	struct streamer *streamer = &engine->streamer;

	streamer->cursor = 0;
	streamer->nr_errors = 0;
	streamer->idle = false;
	streamer->pass_allocated_blocks = engine->info.allocated_blocks;
}

void claims_restart(struct engine *engine)
{
	claims_new_pass(engine);
	engine->streamer.last_try = false;
	engine->streamer.not_before_ns = 0;
}

void claims_hint(struct engine *engine, uint64_t offset)
{
	struct streamer *streamer = &engine->streamer;
	uint64_t hint = round_down_to(offset, engine->unit_bytes);
	unsigned int i;

	if (offset >= engine->device_bytes || hint < streamer->cursor)
		return;
	for (i = 0; i < streamer->nr_hints; i++)
		if (streamer->hints[i] == hint)
			return;
	if (streamer->nr_hints == NR_HINTS) {
		/* Drop the oldest. */
		for (i = 1; i < NR_HINTS; i++)
			streamer->hints[i - 1] = streamer->hints[i];
		streamer->nr_hints--;
	}
	streamer->hints[streamer->nr_hints++] = hint;
}

static bool is_claimed(struct engine *engine, uint64_t offset)
{
	const struct worker *worker;
	unsigned int i;

	for (i = 0; i < engine->nr_workers; i++) {
		worker = &engine->workers[i];
		if (offset >= worker->claim_start && offset < worker->claim_end)
			return true;
	}
	return false;
}

/* The newest hint that is still useful, or NO_HINT. */
static uint64_t take_hint(struct engine *engine)
{
	struct streamer *streamer = &engine->streamer;
	uint64_t hint;

	while (streamer->nr_hints) {
		hint = streamer->hints[--streamer->nr_hints];
		if (hint >= streamer->cursor && !is_claimed(engine, hint))
			return hint;
	}
	return NO_HINT;
}

/* No worker may start to stream before this time. */
static uint64_t ready_ns(struct engine *engine)
{
	const struct streamer *streamer = &engine->streamer;
	uint64_t ready = max_u64(streamer->not_before_ns,
			       rate_ready_ns(&streamer->rate));

	/* Half of the workers continue, so that the job completes under any load. */
	if (streamer->nr_busy * 2 >= engine->nr_streaming_workers &&
	    engine->faults.last_ns)
		ready = max_u64(ready, engine->faults.last_ns + FAULT_PAUSE_NS);
	return ready;
}

/* How much is claimed at once. */
static uint64_t claim_bytes(const struct engine *engine)
{
	const struct streamer *streamer = &engine->streamer;
	uint64_t speed = streamer->rate.bytes_per_second;
	uint64_t bytes = max_u64(CHUNK_BYTES, engine->unit_bytes);

	if (speed)
		bytes = min_u64(bytes, speed / CHUNKS_PER_SECOND);
	return max_u64(round_down_to(bytes, engine->unit_bytes),
		       engine->unit_bytes);
}

static void claim_next(struct worker *worker, uint64_t now_ns)
{
	struct engine *engine = worker->engine;
	struct streamer *streamer = &engine->streamer;
	uint64_t hint = take_hint(engine);

	worker->claim_start = hint == NO_HINT ? streamer->cursor : hint;
	worker->claim_end = min_u64(round_down_to(worker->claim_start,
						  engine->unit_bytes) +
				    claim_bytes(engine), engine->device_bytes);
	if (hint == NO_HINT)
		streamer->cursor = worker->claim_end;
	worker->charged_bytes = worker->claim_end - worker->claim_start;
	rate_charge(&streamer->rate, worker->charged_bytes, now_ns);
}

bool claim_take(struct worker *worker, uint64_t *wake_ns)
{
	struct engine *engine = worker->engine;
	struct streamer *streamer = &engine->streamer;
	uint64_t now_ns = monotonic_ns();

	*wake_ns = 0;
	if (engine->info.state != DM_ALLOCTRACK_RUNNING || streamer->idle)
		return false;
	worker->ends_pass = streamer->cursor >= engine->device_bytes;
	/* The last worker ends the pass. */
	if (worker->ends_pass && streamer->nr_busy)
		return false;
	*wake_ns = ready_ns(engine);
	if (*wake_ns > now_ns)
		return false;

	if (!worker->ends_pass)
		claim_next(worker, now_ns);
	streamer->nr_busy++;
	return true;
}

bool claim_extend(struct worker *worker, uint64_t new_end)
{
	struct engine *engine = worker->engine;
	struct streamer *streamer = &engine->streamer;
	bool extended;

	pthread_mutex_lock(&engine->lock);
	extended = streamer->cursor == worker->claim_end;
	if (extended) {
		streamer->cursor = new_end;
		worker->claim_end = new_end;
	}
	pthread_mutex_unlock(&engine->lock);
	return extended;
}

void claims_skip_allocated(struct engine *engine, uint64_t from, uint64_t to)
{
	struct streamer *streamer = &engine->streamer;

	pthread_mutex_lock(&engine->lock);
	if (streamer->cursor >= from && streamer->cursor < to)
		streamer->cursor = to;
	pthread_mutex_unlock(&engine->lock);
}

void claim_release(struct worker *worker, uint64_t nr_errors,
		   uint64_t charged_bytes)
{
	struct engine *engine = worker->engine;
	struct streamer *streamer = &engine->streamer;

	pthread_mutex_lock(&engine->lock);
	streamer->nr_errors += nr_errors;
	if (charged_bytes < worker->charged_bytes)
		rate_refund(&streamer->rate,
			    worker->charged_bytes - charged_bytes);
	worker->claim_start = 0;
	worker->claim_end = 0;
	worker->charged_bytes = 0;
	/* Others may wait for the end of the pass. */
	if (!--streamer->nr_busy)
		pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
}
