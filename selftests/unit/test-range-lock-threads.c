// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range lock with many threads: two conflicting requests are never held at the same
 * time, each request is granted in the end, and the next holder sees the writes of the
 * one before (checked by the thread sanitizer).
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "unit.h"

#include "dm-live/core/range-lock.h"

#define NR_THREADS	4
#define NR_BLOCKS	32u
/* A request that is never granted ends the program. */
#define DEADLINE_S	120

struct worker {
	pthread_t thread;
	unsigned int number;
	unsigned int errors;
	unsigned int written[NR_BLOCKS];
};

static struct dm_live_range_lock *lock;
static struct worker workers[NR_THREADS];
static pthread_barrier_t start;

static void run_workers(void *(*run)(void *))
{
	unsigned int i;

	pthread_barrier_init(&start, NULL, NR_THREADS);
	memset(workers, 0, sizeof(workers));
	for (i = 0; i < NR_THREADS; i++) {
		workers[i].number = i;
		assert_int_equal(pthread_create(&workers[i].thread, NULL, run,
						&workers[i]), 0);
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	for (i = 0; i < NR_THREADS; i++)
		assert_int_equal(workers[i].errors, 0);
	pthread_barrier_destroy(&start);
}

static void random_range(struct rng *rng, u64 *first, u64 *last,
			 enum dm_live_range_mode *mode)
{
	*first = rng_below(rng, NR_BLOCKS);
	*last = *first + rng_below(rng, min(8ULL, NR_BLOCKS - *first));
	*mode = rng_below(rng, 2) ? DM_LIVE_RANGE_SHARED :
				    DM_LIVE_RANGE_EXCLUSIVE;
}

/* Plain counters: without the lock they would race and lose counts. */
static unsigned int counters[NR_BLOCKS];

static void *count_under_lock(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = rng_new(worker->number);
	enum dm_live_range_mode mode;
	struct dm_live_range range;
	u64 first, last, block;
	unsigned int i, before;

	pthread_barrier_wait(&start);
	for (i = 0; i < 20000; i++) {
		random_range(&rng, &first, &last, &mode);
		dm_live_range_acquire_wait(lock, &range, first, last, mode);
		before = counters[first];
		for (block = first; block <= last; block++) {
			if (mode == DM_LIVE_RANGE_SHARED)
				continue;
			counters[block]++;
			worker->written[block]++;
		}
		if (mode == DM_LIVE_RANGE_SHARED)
			worker->errors += counters[first] != before;
		dm_live_range_release(lock, &range);
	}
	return NULL;
}

static void holders_do_not_disturb_each_other(void **state)
{
	unsigned int block, i, sum;

	(void)state;
	lock = dm_live_range_lock_create();
	memset(counters, 0, sizeof(counters));
	run_workers(count_under_lock);
	for (block = 0; block < NR_BLOCKS; block++) {
		for (sum = 0, i = 0; i < NR_THREADS; i++)
			sum += workers[i].written[block];
		assert_int_equal(counters[block], sum);
	}
	assert_true(dm_live_range_lock_is_idle(lock));
	dm_live_range_lock_destroy(lock);
}

/*
 * Asynchronous: a thread that releases runs the callbacks of others, which put granted
 * requests into a common queue. Any thread takes them out and releases them. users[] has
 * the holders of each block: -1 one exclusive holder, N shared holders.
 */
struct job {
	struct dm_live_range range;
	enum dm_live_range_mode mode;
	struct list_head link;
};

#define NR_JOBS		20000u
#define MAX_PENDING	64u

static int users[NR_BLOCKS];
static unsigned int conflicts, issued, finished;
static pthread_mutex_t queue_mutex = PTHREAD_MUTEX_INITIALIZER;
static LIST_HEAD(queue);

static void enter(struct job *job)
{
	u64 block;
	int was;

	for (block = job->range.first; block <= job->range.last; block++) {
		if (job->mode == DM_LIVE_RANGE_EXCLUSIVE)
			was = __atomic_fetch_sub(&users[block], 1, __ATOMIC_RELAXED);
		else
			was = __atomic_fetch_add(&users[block], 1, __ATOMIC_RELAXED);
		if (was < 0 || (was && job->mode == DM_LIVE_RANGE_EXCLUSIVE))
			__atomic_fetch_add(&conflicts, 1, __ATOMIC_RELAXED);
	}
}

static void leave(struct job *job)
{
	int one = job->mode == DM_LIVE_RANGE_EXCLUSIVE ? 1 : -1;
	u64 block;

	for (block = job->range.first; block <= job->range.last; block++)
		__atomic_fetch_add(&users[block], one, __ATOMIC_RELAXED);
}

static void queue_job(struct job *job)
{
	enter(job);
	pthread_mutex_lock(&queue_mutex);
	list_add_tail(&job->link, &queue);
	pthread_mutex_unlock(&queue_mutex);
}

static void job_granted(struct dm_live_range *range)
{
	queue_job(container_of(range, struct job, range));
}

static struct job *take_job(void)
{
	struct job *job = NULL;

	pthread_mutex_lock(&queue_mutex);
	if (!list_empty(&queue)) {
		job = container_of(queue.next, struct job, link);
		list_del(&job->link);
	}
	pthread_mutex_unlock(&queue_mutex);
	return job;
}

static void issue_job(struct rng *rng)
{
	unsigned int pending = __atomic_load_n(&issued, __ATOMIC_RELAXED) -
			       __atomic_load_n(&finished, __ATOMIC_RELAXED);
	struct job *job;
	u64 first, last;

	if ((int)pending > (int)MAX_PENDING)
		return;
	if (__atomic_fetch_add(&issued, 1, __ATOMIC_RELAXED) >= NR_JOBS)
		return;
	job = malloc(sizeof(*job));
	random_range(rng, &first, &last, &job->mode);
	if (dm_live_range_acquire(lock, &job->range, first, last, job->mode,
				  job_granted))
		queue_job(job);
}

static void *issue_and_release(void *argument)
{
	struct worker *worker = argument;
	struct rng rng = rng_new(10 + worker->number);
	struct job *job;

	pthread_barrier_wait(&start);
	while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < NR_JOBS) {
		if (rng_below(&rng, 2))
			issue_job(&rng);
		job = take_job();
		if (!job) {
			sched_yield();
			continue;
		}
		leave(job);
		dm_live_range_release(lock, &job->range);
		memset(job, 0xee, sizeof(*job));
		free(job);
		__atomic_fetch_add(&finished, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void callbacks_run_where_the_release_is(void **state)
{
	unsigned int block;

	(void)state;
	lock = dm_live_range_lock_create();
	run_workers(issue_and_release);
	assert_int_equal(conflicts, 0);
	assert_int_equal(finished, NR_JOBS);
	for (block = 0; block < NR_BLOCKS; block++)
		assert_int_equal(users[block], 0);
	assert_true(dm_live_range_lock_is_idle(lock));
	dm_live_range_lock_destroy(lock);
}

/* Readers hold the range without a gap in turn; a writer still gets it. */
static bool writers_done;

static void *share_without_gap(void *argument)
{
	struct worker *worker = argument;
	struct dm_live_range ranges[2];
	unsigned int i;

	pthread_barrier_wait(&start);
	if (worker->number == 0) {
		for (i = 0; i < 200; i++) {
			dm_live_range_acquire_wait(lock, &ranges[0], 3, 12,
						   DM_LIVE_RANGE_EXCLUSIVE);
			dm_live_range_release(lock, &ranges[0]);
		}
		__atomic_store_n(&writers_done, true, __ATOMIC_RELEASE);
		return NULL;
	}
	for (i = 0; !__atomic_load_n(&writers_done, __ATOMIC_ACQUIRE); i++) {
		dm_live_range_acquire_wait(lock, &ranges[i % 2], 10, 20,
					   DM_LIVE_RANGE_SHARED);
		dm_live_range_release(lock, &ranges[i % 2]);
	}
	return NULL;
}

static void readers_do_not_starve_a_writer(void **state)
{
	(void)state;
	lock = dm_live_range_lock_create();
	run_workers(share_without_gap);
	assert_true(writers_done);
	dm_live_range_lock_destroy(lock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holders_do_not_disturb_each_other),
		cmocka_unit_test(callbacks_run_where_the_release_is),
		cmocka_unit_test(readers_do_not_starve_a_writer),
	};

	alarm(DEADLINE_S);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
