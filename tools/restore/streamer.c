// SPDX-License-Identifier: GPL-2.0-only
/*
 * Streaming: a worker copies what it has claimed, or ends the pass.
 *
 * After a pass everything is allocated, except ranges whose errors the policy ignores.
 * They are tried once more; if one fails again, the job fails.
 */
#include "base/process.h"
#include "restore/engine-internal.h"

/* A pass that changed nothing is not repeated before this time. */
#define RETRY_NS NS_PER_SECOND

/* The first unallocated extent at or after @offset; none: at the very end. */
static int next_extent(struct engine *engine, uint64_t offset, uint64_t *start,
		       uint64_t *end)
{
	struct channel *channel = engine->channel;
	uint64_t length;
	int r;

	*start = offset;
	r = channel->ops->next_unallocated(channel, start, &length);
	engine_note(engine, r);
	if (!length)
		*start = engine->device_bytes;
	*end = *start + length;
	return r;
}

/* Stream what is unallocated in the claim, in whole units. */
static void stream_claim(struct worker *worker, struct transfer *transfer)
{
	struct engine *engine = worker->engine;
	uint64_t position = worker->claim_start;
	uint64_t start, end;

	while (position < worker->claim_end && engine_is_streaming(engine)) {
		if (next_extent(engine, position, &start, &end))
			break;
		if (start >= worker->claim_end) {
			claims_skip_allocated(engine, position, start);
			break;
		}
		start = max_u64(round_down_to(start, engine->unit_bytes),
				position);
		end = min_u64(round_up_to(end, engine->unit_bytes),
			      worker->claim_end);
		position = transfer_range(transfer, start, end);
	}
}

/* Called by one worker, while no other streams. */
static void end_pass(struct engine *engine)
{
	struct streamer *streamer = &engine->streamer;
	struct channel *channel = engine->channel;
	uint64_t start, end;
	bool had_errors;

	if (engine_refresh(engine) || next_extent(engine, 0, &start, &end))
		return;

	/* Start the last try and set its policy together. */
	pthread_mutex_lock(&engine->control_lock);
	pthread_mutex_lock(&engine->lock);
	had_errors = streamer->nr_errors;
	if (start == end) {
		/* The kernel will report that the job is complete. */
		streamer->idle = true;
	} else {
		if (!had_errors && streamer->pass_allocated_blocks ==
				   engine->info.allocated_blocks)
			streamer->not_before_ns = monotonic_ns() + RETRY_NS;
		claims_new_pass(engine);
		streamer->last_try |= had_errors;
	}
	pthread_mutex_unlock(&engine->lock);

	if (start != end && had_errors) {
		info("%s: trying again what could not be copied",
		     engine->options.name);
		channel->ops->set_on_error(channel,
					   DM_ALLOCTRACK_ON_ERROR_REPORT);
	}
	pthread_mutex_unlock(&engine->control_lock);
}

void streamer_run(struct worker *worker)
{
	struct engine *engine = worker->engine;
	struct transfer transfer = {
		.worker = worker,
		.stream = true,
		.answer_end = engine->device_bytes,
	};

	if (worker->ends_pass)
		end_pass(engine);
	else
		stream_claim(worker, &transfer);
	claim_release(worker, transfer.nr_errors, transfer.charged_bytes);
}
