// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guest I/O waits for: the queue of faults, and how one is served.
 *
 * Every range that the kernel reports must be answered, even if it has been allocated
 * since: only the answer releases a write to a part of a block. An answer releases all
 * I/O that waits for its blocks, so a fault within the window of one that is being served
 * is attached to that. If the answer fails in part, attached faults are queued again, and
 * served separately.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/process.h"
#include "restore/engine-internal.h"

/* Zeros beyond the fault cost little. */
#define ZERO_AHEAD_BYTES (1ull << 20)

void faults_init(struct faults *faults)
{
	faults->first = NULL;
	faults->last_next = &faults->first;
}

static void free_list(struct fault *fault)
{
	struct fault *next;

	for (; fault; fault = next) {
		next = fault->next;
		free(fault);
	}
}

void faults_free(struct faults *faults)
{
	free_list(faults->first);
	free_list(faults->spare);
}

static struct fault *get_fault(struct faults *faults)
{
	struct fault *fault = faults->spare;

	if (!fault)
		return calloc(1, sizeof(*fault));
	faults->spare = fault->next;
	*fault = (struct fault) { };
	return fault;
}

static void put_fault(struct faults *faults, struct fault *fault)
{
	fault->next = faults->spare;
	faults->spare = fault;
}

int faults_add(struct engine *engine, uint64_t start, uint64_t end)
{
	struct faults *faults = &engine->faults;
	struct fault *fault = get_fault(faults);

	if (!fault)
		return -ENOMEM;
	fault->start = start;
	fault->end = end;
	*faults->last_next = fault;
	faults->last_next = &fault->next;
	faults->last_ns = monotonic_ns();
	return 0;
}

static struct fault *pop(struct faults *faults)
{
	struct fault *fault = faults->first;

	if (!fault)
		return NULL;
	faults->first = fault->next;
	if (!faults->first)
		faults->last_next = &faults->first;
	fault->next = NULL;
	return fault;
}

static void push_front(struct faults *faults, struct fault *fault)
{
	fault->next = faults->first;
	if (!faults->first)
		faults->last_next = &fault->next;
	faults->first = fault;
}

static struct fault *find_covering(struct faults *faults,
				   const struct fault *fault)
{
	struct fault *active;

	for (active = faults->active; active; active = active->next)
		if (fault->start >= active->window_start &&
		    fault->end <= active->window_end)
			return active;
	return NULL;
}

static void set_window(struct engine *engine, struct fault *fault,
		       uint64_t unit)
{
	fault->window_start = round_down_to(fault->start, unit);
	fault->window_end = min_u64(round_up_to(fault->end, unit),
				    engine->device_bytes);
}

struct fault *faults_take(struct engine *engine)
{
	struct faults *faults = &engine->faults;
	struct fault *fault, *covering;

	while ((fault = pop(faults))) {
		covering = find_covering(faults, fault);
		if (!covering)
			break;
		fault->next = covering->attached;
		covering->attached = fault;
	}
	if (!fault)
		return NULL;
	set_window(engine, fault, engine->window_bytes);
	fault->next = faults->active;
	faults->active = fault;
	return fault;
}

static void remove_active(struct faults *faults, struct fault *fault)
{
	struct fault **link = &faults->active;

	while (*link != fault)
		link = &(*link)->next;
	*link = fault->next;
}

/* The fault was answered, at least in part. */
static void finish(struct engine *engine, struct fault *fault, bool failed)
{
	struct faults *faults = &engine->faults;
	struct fault *attached, *next;

	pthread_mutex_lock(&engine->lock);
	remove_active(faults, fault);
	for (attached = fault->attached; attached; attached = next) {
		next = attached->next;
		if (failed)
			push_front(faults, attached);
		else
			put_fault(faults, attached);
	}
	put_fault(faults, fault);
	if (failed && faults->first)
		pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
}

/*
 * A compressed cluster has to be read as a whole, so the kernel gets all of it. Of zeros
 * the kernel gets more than the guest waits for.
 */
static void widen_window(struct engine *engine, struct fault *fault)
{
	struct image_error err = { "" };
	enum image_extent_kind kind;
	uint64_t extent_end, wide_end, zeros_end;

	wide_end = min_u64(round_down_to(fault->start, ZERO_AHEAD_BYTES) +
			   ZERO_AHEAD_BYTES, engine->device_bytes);
	wide_end = max_u64(wide_end, fault->window_end);
	if (transfer_map(engine, fault->start, wide_end, &extent_end, &kind,
			 &err))
		return;

	pthread_mutex_lock(&engine->lock);
	if (kind == IMAGE_EXTENT_COMPRESSED) {
		set_window(engine, fault, max_u64(engine->unit_bytes,
						  engine->window_bytes));
	} else if (kind == IMAGE_EXTENT_ZERO &&
		   !engine->options.zeroes_are_writes) {
		zeros_end = extent_end == engine->device_bytes ? extent_end :
			    round_down_to(extent_end, engine->block_bytes);
		fault->window_end = max_u64(fault->window_end, zeros_end);
	}
	pthread_mutex_unlock(&engine->lock);
}

void fault_serve(struct worker *worker, struct fault *fault)
{
	struct engine *engine = worker->engine;
	struct transfer transfer = {
		.worker = worker,
		.answer_start = fault->start,
		.answer_end = fault->end,
	};

	widen_window(engine, fault);
	transfer_range(&transfer, fault->window_start, fault->window_end);
	pthread_mutex_lock(&engine->lock);
	claims_hint(engine, fault->window_end);
	pthread_mutex_unlock(&engine->lock);
	finish(engine, fault, transfer.nr_errors);
}
