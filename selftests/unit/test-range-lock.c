// SPDX-License-Identifier: GPL-2.0-only
/*
 * The range lock keeps its promises: only compatible requests are held together, first
 * come, first served, no callback is called twice or too early, and callbacks may use the
 * lock.
 */
#include "unit.h"

#include "dm-live/core/range-lock.h"

#define SHARED		DM_LIVE_RANGE_SHARED
#define EXCLUSIVE	DM_LIVE_RANGE_EXCLUSIVE

/* A request of a test; @told counts the calls of the callback. */
struct request {
	struct dm_live_range range;	/* first: what the callback gets */
	bool held;
	unsigned int told;
	unsigned int order;		/* when it was told: 1, 2, ... */
	enum dm_live_range_mode mode;
};

static unsigned int told_so_far;

static void note_granted(struct dm_live_range *range)
{
	struct request *request = container_of(range, struct request, range);

	request->held = true;
	request->told++;
	request->order = ++told_so_far;
}

static bool ask(struct dm_live_range_lock *lock, struct request *request,
		u64 first, u64 last, enum dm_live_range_mode mode)
{
	memset(request, 0x5a, sizeof(*request));
	request->told = 0;
	request->order = 0;
	request->mode = mode;
	request->held = dm_live_range_acquire(lock, &request->range, first, last,
					      mode, note_granted);
	assert_int_equal(request->range.first, first);
	assert_int_equal(request->range.last, last);
	return request->held;
}

static void give_up(struct dm_live_range_lock *lock, struct request *request)
{
	assert_true(request->held);
	request->held = false;
	dm_live_range_release(lock, &request->range);
}

static struct dm_live_range_lock *new_lock(void)
{
	struct dm_live_range_lock *lock = dm_live_range_lock_create();

	assert_non_null(lock);
	assert_true(dm_live_range_lock_is_idle(lock));
	told_so_far = 0;
	return lock;
}

static void end_lock(struct dm_live_range_lock *lock)
{
	assert_true(dm_live_range_lock_is_idle(lock));
	dm_live_range_lock_destroy(lock);
}

/* All relations of a second range to the first, [100, 199]. */
static const struct relation {
	u64 first, last;
	bool overlaps;
} relations[] = {
	{ 0, 50, false }, { 0, 99, false }, { 99, 99, false },
	{ 0, 100, true }, { 99, 100, true }, { 100, 100, true },
	{ 0, 150, true }, { 100, 150, true }, { 120, 130, true },
	{ 100, 199, true }, { 99, 199, true }, { 100, 200, true },
	{ 0, U64_MAX, true }, { 150, 199, true }, { 199, 199, true },
	{ 199, 200, true }, { 150, U64_MAX, true }, { 200, 200, false },
	{ 200, 300, false }, { 201, U64_MAX, false },
	{ U64_MAX, U64_MAX, false },
};

static void one_pair(const struct relation *relation,
		     enum dm_live_range_mode held,
		     enum dm_live_range_mode asked)
{
	struct dm_live_range_lock *lock = new_lock();
	bool conflict = relation->overlaps &&
			(held == EXCLUSIVE || asked == EXCLUSIVE);
	struct request a, b;

	assert_true(ask(lock, &a, 100, 199, held));
	assert_false(dm_live_range_lock_is_idle(lock));
	assert_int_equal(ask(lock, &b, relation->first, relation->last, asked),
			 !conflict);
	give_up(lock, &a);
	assert_int_equal(b.told, conflict);
	assert_false(dm_live_range_lock_is_idle(lock));
	give_up(lock, &b);
	end_lock(lock);
}

static void only_shared_ones_overlap(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(relations); i++) {
		one_pair(&relations[i], SHARED, SHARED);
		one_pair(&relations[i], SHARED, EXCLUSIVE);
		one_pair(&relations[i], EXCLUSIVE, SHARED);
		one_pair(&relations[i], EXCLUSIVE, EXCLUSIVE);
	}
}

static void first_come_first_served(void **state)
{
	struct dm_live_range_lock *lock = new_lock();
	struct request held, exclusive[2], shared[2], last;

	(void)state;
	assert_true(ask(lock, &held, 5, 9, EXCLUSIVE));
	assert_false(ask(lock, &exclusive[0], 0, 7, EXCLUSIVE));
	assert_false(ask(lock, &exclusive[1], 6, 6, EXCLUSIVE));
	assert_false(ask(lock, &shared[0], 0, 20, SHARED));
	assert_false(ask(lock, &shared[1], 6, 7, SHARED));
	assert_false(ask(lock, &last, 6, 6, EXCLUSIVE));

	give_up(lock, &held);
	assert_int_equal(told_so_far, 1);
	give_up(lock, &exclusive[0]);
	assert_int_equal(told_so_far, 2);
	give_up(lock, &exclusive[1]);
	assert_int_equal(told_so_far, 4);
	give_up(lock, &shared[0]);
	assert_int_equal(told_so_far, 4);
	give_up(lock, &shared[1]);
	assert_int_equal(told_so_far, 5);
	give_up(lock, &last);

	assert_int_equal(exclusive[0].order, 1);
	assert_int_equal(exclusive[1].order, 2);
	assert_int_equal(shared[0].order + shared[1].order, 3 + 4);
	assert_int_equal(last.order, 5);
	end_lock(lock);
}

/* Compatible with the holder, but an exclusive request is before it. */
static void nobody_overtakes_a_waiter(void **state)
{
	struct dm_live_range_lock *lock = new_lock();
	struct request holder, waiter, late, elsewhere;

	(void)state;
	assert_true(ask(lock, &holder, 0, 9, SHARED));
	assert_false(ask(lock, &waiter, 5, 15, EXCLUSIVE));
	assert_false(ask(lock, &late, 9, 9, SHARED));
	assert_true(ask(lock, &elsewhere, 0, 4, SHARED));
	give_up(lock, &holder);
	assert_true(waiter.held);
	assert_false(late.held);
	give_up(lock, &waiter);
	assert_true(late.held);
	give_up(lock, &late);
	give_up(lock, &elsewhere);
	end_lock(lock);
}

/* The third conflicts only with a request that waits, not with a held one. */
static void a_waiter_is_waited_for(void **state)
{
	struct dm_live_range_lock *lock = new_lock();
	struct request a, b, c;

	(void)state;
	assert_true(ask(lock, &a, 0, 9, EXCLUSIVE));
	assert_false(ask(lock, &b, 9, 15, EXCLUSIVE));
	assert_false(ask(lock, &c, 15, 20, EXCLUSIVE));
	give_up(lock, &a);
	assert_true(b.held);
	assert_false(c.held);
	give_up(lock, &b);
	assert_true(c.held);
	give_up(lock, &c);
	end_lock(lock);
}

static void waits_for_every_holder(void **state)
{
	struct dm_live_range_lock *lock = new_lock();
	struct request holders[50], all;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(holders); i++)
		assert_true(ask(lock, &holders[i], i % 10 * 10, i % 10 * 10 + 9, SHARED));
	assert_false(ask(lock, &all, 0, 99, EXCLUSIVE));
	/* From the middle outwards; any order works. */
	for (i = 0; i < NR_OF(holders); i++) {
		assert_int_equal(all.told, 0);
		give_up(lock, &holders[(i * 7 + 25) % NR_OF(holders)]);
	}
	assert_int_equal(all.told, 1);
	give_up(lock, &all);
	end_lock(lock);
}

/* The model: the requests in order of arrival, which determines the holders. */
#define NR_MODEL 60

static bool should_hold(struct request *const requests[], unsigned int nr,
			unsigned int which)
{
	const struct dm_live_range *range = &requests[which]->range;
	unsigned int i;

	assert_true(which < nr);
	for (i = 0; i < which; i++) {
		const struct dm_live_range *other = &requests[i]->range;

		if (other->first <= range->last && other->last >= range->first &&
		    (requests[i]->mode == EXCLUSIVE ||
		     requests[which]->mode == EXCLUSIVE))
			return false;
	}
	return true;
}

static void check_model(struct request *const requests[], unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		assert_int_equal(requests[i]->held, should_hold(requests, nr, i));
		assert_true(requests[i]->told <= 1);
	}
}

static void random_steps_are_those_of_a_queue(void **state)
{
	struct dm_live_range_lock *lock = new_lock();
	struct request *requests[NR_MODEL];
	struct rng rng = rng_new(0);
	unsigned int step, i, nr = 0;

	(void)state;
	for (step = 0; step < 20000 || nr; step++) {
		bool ending = step >= 20000;

		if (!ending && nr < NR_MODEL && rng_below(&rng, 2)) {
			u64 first = rng_below(&rng, 100);
			u64 last = first + rng_below(&rng, rng_below(&rng, 3) ? 8 : 60);

			requests[nr] = malloc(sizeof(*requests[nr]));
			ask(lock, requests[nr], first, last,
			    rng_below(&rng, 2) ? SHARED : EXCLUSIVE);
			nr++;
		} else if (nr) {
			/* The oldest request is always held, so there is one. */
			for (i = rng_below(&rng, nr); !requests[i]->held;)
				i = (i + 1) % nr;
			give_up(lock, requests[i]);
			/* Its memory is the caller's again. */
			memset(requests[i], 0xff, sizeof(*requests[i]));
			free(requests[i]);
			memmove(&requests[i], &requests[i + 1],
				(nr - i - 1) * sizeof(requests[0]));
			nr--;
		}
		check_model(requests, nr);
	}
	end_lock(lock);
}

/* Callbacks that use the lock: release, request again, free the memory. */

struct busy {
	struct dm_live_range range;
	struct dm_live_range_lock *lock;
	u64 first, last;
	unsigned int rounds;
};

static unsigned int nr_busy, busy_grants;

static void work_in_callback(struct dm_live_range *range);

/* Acquire and release until it has to wait, or has completed. */
static void work(struct busy *busy)
{
	while (busy->rounds--) {
		if (!dm_live_range_acquire(busy->lock, &busy->range, busy->first,
					   busy->last, EXCLUSIVE, work_in_callback))
			return;
		busy_grants++;
		dm_live_range_release(busy->lock, &busy->range);
		memset(&busy->range, 0x77, sizeof(busy->range));
	}
	nr_busy--;
	free(busy);
}

static void work_in_callback(struct dm_live_range *range)
{
	struct busy *busy = container_of(range, struct busy, range);

	busy_grants++;
	dm_live_range_release(busy->lock, range);
	memset(range, 0x77, sizeof(*range));
	work(busy);
}

static void callbacks_may_ask_and_release(void **state)
{
	struct dm_live_range_lock *lock = new_lock();
	struct request holder;
	unsigned int i;

	(void)state;
	nr_busy = 20;
	busy_grants = 0;
	assert_true(ask(lock, &holder, 0, 99, EXCLUSIVE));
	for (i = 0; i < 20; i++) {
		struct busy *busy = calloc(1, sizeof(*busy));

		busy->lock = lock;
		busy->first = i;
		busy->last = i + 5;
		busy->rounds = 50;
		work(busy);
	}
	assert_int_equal(nr_busy, 20);
	assert_int_equal(busy_grants, 0);
	give_up(lock, &holder);
	assert_int_equal(nr_busy, 0);
	assert_int_equal(busy_grants, 20 * 50);
	end_lock(lock);
}

static void nothing_to_destroy_is_no_error(void **state)
{
	(void)state;
	dm_live_range_lock_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_shared_ones_overlap),
		cmocka_unit_test(first_come_first_served),
		cmocka_unit_test(nobody_overtakes_a_waiter),
		cmocka_unit_test(a_waiter_is_waited_for),
		cmocka_unit_test(waits_for_every_holder),
		cmocka_unit_test(random_steps_are_those_of_a_queue),
		cmocka_unit_test(callbacks_may_ask_and_release),
		cmocka_unit_test(nothing_to_destroy_is_no_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
