// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine: its threads and its life.
 *
 * One thread takes faults from the kernel and queues them; workers serve them. Some
 * workers do nothing else, so a fault never waits until a chunk has been streamed. One
 * prefers streaming, so the job completes under any load. The others stream while there
 * are no faults. The thread that calls engine_run() follows the state of the job.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/process.h"
#include "restore/engine-internal.h"

#define MIN_BUFFER_BYTES	(1ull << 20)
#define MAX_WINDOW_BYTES	(64ull << 10)

/* Stacks are locked in memory. */
#define STACK_BYTES		(512u << 10)

/* More than one: they also wait for the image and for the volume. */
#define THREADS_PER_CPU		2
#define MIN_THREADS		4u
#define MAX_THREADS		16u

/* Ranges per call of WAIT. */
#define WAIT_RANGES		64

/* Streaming yields to the threads that serve faults. */
#define STREAM_NICE		5

/* A precaution: the kernel reports changes. */
#define CONTROL_TIMEOUT_MS	10000
#define DRAIN_POLL_MS		20

static void queue_faults(struct engine *engine,
			 const struct dm_alloctrack_range *ranges, int nr)
{
	int i;

	pthread_mutex_lock(&engine->lock);
	for (i = 0; i < nr; i++) {
		/* A fault must not be lost: retry until there is memory. */
		while (faults_add(engine, ranges[i].offset,
				  ranges[i].offset + ranges[i].length)) {
			pthread_mutex_unlock(&engine->lock);
			usleep(1000);
			pthread_mutex_lock(&engine->lock);
		}
	}
	pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
}

static uint32_t current_state(struct engine *engine, uint64_t *fault_count)
{
	uint32_t state;

	pthread_mutex_lock(&engine->lock);
	state = engine->info.state;
	*fault_count = engine->info.fault_count;
	pthread_mutex_unlock(&engine->lock);
	return state;
}

static bool is_over(struct engine *engine)
{
	bool over;

	pthread_mutex_lock(&engine->lock);
	over = engine->stopping || engine->gone;
	pthread_mutex_unlock(&engine->lock);
	return over;
}

static void *fault_thread(void *argument)
{
	struct engine *engine = argument;
	struct channel *channel = engine->channel;
	struct dm_alloctrack_range ranges[WAIT_RANGES];
	int r;

	while (!is_over(engine)) {
		r = channel->ops->wait(channel, ranges, WAIT_RANGES);
		if (r > 0)
			queue_faults(engine, ranges, r);
		engine_note(engine, r);
		if (r < 0 && !is_over(engine)) {
			error_errno(r, "%s: cannot get what guest I/O waits for; trying again",
				    engine->options.name);
			usleep(100000);
		}
	}
	return NULL;
}

/* Sleep until there may be something to do, or until @wake_ns if that is not 0. */
static void sleep_until_work(struct engine *engine, uint64_t wake_ns)
{
	struct timespec until = {
		.tv_sec = wake_ns / NS_PER_SECOND,
		.tv_nsec = wake_ns % NS_PER_SECOND,
	};

	if (wake_ns)
		pthread_cond_timedwait(&engine->work, &engine->lock, &until);
	else
		pthread_cond_wait(&engine->work, &engine->lock);
}

static bool serve_one_fault(struct worker *worker)
{
	struct engine *engine = worker->engine;
	struct fault *fault = faults_take(engine);

	if (!fault)
		return false;
	pthread_mutex_unlock(&engine->lock);
	fault_serve(worker, fault);
	pthread_mutex_lock(&engine->lock);
	return true;
}

static bool stream_one_claim(struct worker *worker, uint64_t *wake_ns)
{
	struct engine *engine = worker->engine;

	if (!worker->streams || !claim_take(worker, wake_ns))
		return false;
	pthread_mutex_unlock(&engine->lock);
	streamer_run(worker);
	pthread_mutex_lock(&engine->lock);
	return true;
}

static void *worker_thread(void *argument)
{
	struct worker *worker = argument;
	struct engine *engine = worker->engine;
	/* The job must complete however many faults there are. */
	bool streams_first = worker == &engine->workers[0];
	uint64_t wake_ns;

	if (worker->streams)
		setpriority(PRIO_PROCESS, gettid(), STREAM_NICE);

	pthread_mutex_lock(&engine->lock);
	while (!engine->stopping && !engine->gone) {
		wake_ns = 0;
		if (streams_first && stream_one_claim(worker, &wake_ns))
			continue;
		if (serve_one_fault(worker) ||
		    stream_one_claim(worker, &wake_ns))
			continue;
		sleep_until_work(engine, wake_ns);
	}
	pthread_mutex_unlock(&engine->lock);
	return NULL;
}

static void init_locks(struct engine *engine)
{
	pthread_condattr_t attributes;

	pthread_mutex_init(&engine->control_lock, NULL);
	pthread_mutex_init(&engine->lock, NULL);
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&engine->work, &attributes);
	pthread_condattr_destroy(&attributes);
}

static unsigned int clamp(unsigned int value, unsigned int low,
			  unsigned int high)
{
	return value < low ? low : value > high ? high : value;
}

static int make_workers(struct engine *engine)
{
	unsigned int nr_default = clamp(sysconf(_SC_NPROCESSORS_ONLN) *
					THREADS_PER_CPU, MIN_THREADS,
					MAX_THREADS);
	unsigned int nr = engine->options.nr_threads;
	unsigned int i;

	if (!nr)
		nr = nr_default;
	engine->nr_streaming_workers = nr;
	engine->nr_workers = nr + nr_default;
	engine->workers = calloc(engine->nr_workers, sizeof(*engine->workers));
	if (!engine->workers)
		return -ENOMEM;
	for (i = 0; i < engine->nr_workers; i++) {
		struct worker *worker = &engine->workers[i];

		worker->engine = engine;
		worker->streams = i < nr;
		if (posix_memalign(&worker->buffer, 4096,
				   engine->buffer_bytes))
			return -ENOMEM;
	}
	return 0;
}

int engine_create(struct channel *channel, struct backing *backing,
		  const struct engine_options *options, struct engine **engine_out)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	int r;

	if (!engine)
		return -ENOMEM;
	init_locks(engine);
	faults_init(&engine->faults);
	engine->options = *options;
	engine->channel = channel;
	engine->backing = backing;
	r = channel->ops->info(channel, &engine->info);
	if (r) {
		error_errno(r, "%s: cannot get its state from the kernel",
			    options->name);
		goto destroy;
	}
	engine->device_bytes = engine->info.device_bytes;
	engine->block_bytes = engine->info.block_bytes;
	engine->unit_bytes = max_u64(backing->unit_bytes, engine->block_bytes);
	engine->window_bytes = max_u64(min_u64(backing->unit_bytes,
					       MAX_WINDOW_BYTES),
				       engine->block_bytes);
	engine->buffer_bytes = max_u64(MIN_BUFFER_BYTES, engine->unit_bytes);
	/* So that the first refresh notices a job that is already running. */
	engine->info.state = DM_ALLOCTRACK_IDLE;
	r = make_workers(engine);
	if (r) {
		error_errno(r, "%s: no memory for buffers", options->name);
		goto destroy;
	}
	*engine_out = engine;
	return 0;
destroy:
	engine_destroy(engine);
	return r;
}

int engine_start(struct engine *engine)
{
	pthread_attr_t attributes;
	sigset_t all, old;
	unsigned int i;
	int r;

	/* Signals are for the thread that calls engine_run(). */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	r = pthread_create(&engine->fault_thread, &attributes, fault_thread,
			   engine);
	engine->fault_thread_started = !r;
	for (i = 0; !r && i < engine->nr_workers; i++) {
		struct worker *worker = &engine->workers[i];

		r = pthread_create(&worker->thread, &attributes, worker_thread,
				   worker);
		worker->started = !r;
	}
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r)
		return 0;
	error_errno(r, "%s: cannot start threads", engine->options.name);
	engine_stop(engine);
	return -r;
}

enum engine_end engine_run(struct engine *engine)
{
	struct channel *channel = engine->channel;
	uint64_t fault_count;
	int r;

	for (;;) {
		if (!engine_refresh(engine) &&
		    current_state(engine, &fault_count) ==
		    DM_ALLOCTRACK_COMPLETE)
			return ENGINE_COMPLETE;
		if (is_over(engine))
			return ENGINE_GONE;
		r = channel->ops->wait_control(channel, CONTROL_TIMEOUT_MS);
		engine_note(engine, r);
	}
}

void engine_drain(struct engine *engine)
{
	uint64_t fault_count;

	while (!engine_refresh(engine)) {
		current_state(engine, &fault_count);
		if (!fault_count)
			break;
		usleep(DRAIN_POLL_MS * 1000);
	}
}

void engine_stop(struct engine *engine)
{
	unsigned int i;

	pthread_mutex_lock(&engine->lock);
	engine->stopping = true;
	pthread_cond_broadcast(&engine->work);
	pthread_mutex_unlock(&engine->lock);
	engine->channel->ops->stop(engine->channel);

	for (i = 0; i < engine->nr_workers; i++)
		if (engine->workers[i].started)
			pthread_join(engine->workers[i].thread, NULL);
	if (engine->fault_thread_started)
		pthread_join(engine->fault_thread, NULL);
	engine->fault_thread_started = false;
}

void engine_destroy(struct engine *engine)
{
	unsigned int i;

	if (!engine)
		return;
	for (i = 0; engine->workers && i < engine->nr_workers; i++)
		free(engine->workers[i].buffer);
	free(engine->workers);
	faults_free(&engine->faults);
	pthread_cond_destroy(&engine->work);
	pthread_mutex_destroy(&engine->lock);
	pthread_mutex_destroy(&engine->control_lock);
	free(engine);
}
