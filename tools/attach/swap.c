// SPDX-License-Identifier: GPL-2.0-only
/*
 * The swap of a table under I/O.
 *
 * The kernel suspends, swaps and resumes in one call, unless something has to be done
 * in between. While it waits for I/O that is under way, new I/O is held. A signal ends
 * that wait, and the device goes on as it was.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "attach/swap.h"
#include "base/exit.h"
#include "base/guard.h"
#include "base/log.h"
#include "block/lvm.h"
#include "base/process.h"

static volatile sig_atomic_t interrupted;

static void take_signal(int number)
{
	interrupted = number;
}

/* Without SA_RESTART, so that a wait in the kernel ends. */
static void catch_signals(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = take_signal };
	unsigned int i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
}

static int check_interrupted(const struct volume *volume)
{
	if (!interrupted)
		return EXIT_OK;
	error("interrupted; %s is unchanged", dm_name_now(volume->name));
	return EXIT_ERROR;
}

/* The kernel fills in what a cbw table leaves to it. */
static bool is_cbw_table_of(const struct dm_table *loaded,
			    const struct dm_table *table)
{
	struct volume a = { .table = *loaded }, b = { .table = *table };
	struct cbw_table cbw_a, cbw_b;

	return volume_is_cbw(&a, &cbw_a) && volume_is_cbw(&b, &cbw_b) &&
	       !strcmp(cbw_a.origin, cbw_b.origin) &&
	       !strcmp(cbw_a.meta, cbw_b.meta);
}

/* 1: @volume has an inactive table like @table. 0: it has another one. */
static int has_loaded(const struct volume *volume, const struct dm_table *table)
{
	struct dm_table loaded;
	int r = dm_get_table(volume->name, true, &loaded, NULL);

	if (r)
		return r;
	r = dm_table_equal(&loaded, table) || is_cbw_table_of(&loaded, table);
	dm_table_free(&loaded);
	return r;
}

/* A table like @table was left by a killed command, others are somebody else's. */
static bool is_loaded_by_other(const struct volume *volume,
			       const struct dm_table *table)
{
	return !has_loaded(volume, table);
}

static void clear_ours(const struct volume *volume, const struct dm_table *table)
{
	if (!is_loaded_by_other(volume, table))
		dm_clear(volume->name);
}

static int say_changed(const struct volume *volume)
{
	error("%s has got another table or was suspended: someone else is changing it; try again",
	      dm_name_now(volume->name));
	return EXIT_REFUSED;
}

/* Another program, lvm2 for example, may have loaded a table, or swapped it. */
static int check_unchanged(const struct volume *volume,
			   const struct dm_table *table)
{
	struct dm_device device;
	struct dm_table now;
	bool same;

	if (dm_get_table(volume->name, false, &now, &device))
		return say_changed(volume);
	same = dm_table_equal(&volume->table, &now) &&
	       device.suspended == volume->dm.suspended &&
	       !(device.has_inactive_table && is_loaded_by_other(volume, table));
	dm_table_free(&now);
	return same ? EXIT_OK : say_changed(volume);
}

/* 1: it has another table than before. 0: it has the same. */
static int lacks_its_table(const struct volume *volume, bool *suspended)
{
	struct dm_table now = { 0 };
	struct dm_device device;
	int r = dm_get_table(volume->name, false, &now, &device);

	if (r)
		return r;
	*suspended = device.suspended && !volume->dm.suspended;
	r = !dm_table_equal(&volume->table, &now);
	dm_table_free(&now);
	return r;
}

#define RESUME_TRIES 3

/*
 * How long a volume may stay suspended: its metadata device may be slow or dead. Drivers
 * in a virtual machine give up a request after 30 s.
 */
#define SETTLE_LIMIT_S 15

/* @is_put_back: the guard has put the old table back */
struct guarded_swap {
	const struct volume *volume;
	const struct dm_table *table;
	const struct swap_steps *steps;
	struct guard guard;
	bool is_put_back;
};

/* udev is not waited for: it may need the inner device, which may be suspended. */
static int resume_or_retry(const char *name, uint32_t *udev_cookie)
{
	int r, tries;

	for (tries = 0; tries < RESUME_TRIES; tries++) {
		r = dm_resume_undone(name, udev_cookie);
		if (!r)
			break;
	}
	return r;
}

/*
 * Also when it has another table. @keep: that one is right too, and better than to stay
 * suspended: what the old table lay on may be gone. Gets whether it was kept.
 */
static int give_old_table(const struct volume *volume, bool load, bool *keep,
			  uint32_t *udev_cookie)
{
	int r = load ? dm_load_table(volume->name, &volume->table,
				     volume->dm.read_only) : 0;

	*keep = *keep && r;
	if (r && !*keep)
		return r;
	r = resume_or_retry(volume->name, udev_cookie);
	if (!r && *keep)
		error("%s cannot get its old table again, and keeps the new one",
		      dm_name_now(volume->name));
	return r;
}

/*
 * Undo, however far the swap went. A new table that cannot be resumed leaves the device
 * suspended.
 */
static void undo_swap(const struct guarded_swap *swap)
{
	struct hand_over *hand_over = swap->steps->hand_over;
	const struct volume *volume = swap->volume;
	bool suspended = true, load, keep;
	uint32_t cookie = 0;
	int r;

	r = lacks_its_table(volume, &suspended);
	if (hand_over && volume->dm.suspended)
		suspended = true;
	/* With a table that must not be live twice, it was swapped after all. */
	if (r > 0 && !suspended && hand_over)
		return;
	load = r > 0;
	keep = load && !(hand_over && hand_over->inserting);
	if (suspended && hand_over && hand_over_start_undo(hand_over))
		load = true;
	/* The inner device may go with it. */
	dm_clear(volume->name);
	if (r >= 0 && (load || suspended))
		r = give_old_table(volume, load, &keep, &cookie);
	if (hand_over) {
		/* Its table must not be live twice. */
		if (!keep)
			hand_over_end_undo(hand_over, load);
		dm_wait_for_udev(hand_over->udev_cookie);
		hand_over->udev_cookie = 0;
	}
	dm_wait_for_udev(cookie);
	if (r)
		error("%s may be suspended, and needs its table by hand: dmsetup load %s; dmsetup resume %s",
		      dm_name_now(volume->name), dm_name_now(volume->name),
		      dm_name_now(volume->name));
}

/*
 * What another program has loaded meanwhile must not go live before that program resumes
 * the volume, and is loaded again after the undo: otherwise it would resume the old table.
 */
static void put_back(const struct guarded_swap *swap)
{
	const struct volume *volume = swap->volume;
	struct dm_table others = { 0 };

	if (is_loaded_by_other(volume, swap->table))
		dm_get_table(volume->name, true, &others, NULL);
	undo_swap(swap);
	if (others.nr_lines)
		dm_load_table(volume->name, &others, volume->dm.read_only);
	dm_table_free(&others);
}

static bool is_under_way(const struct guarded_swap *swap)
{
	const struct hand_over *hand_over = swap->steps->hand_over;

	return dm_is_suspended(swap->volume->name) ||
	       (hand_over && hand_over_is_under_way(hand_over));
}

/*
 * In the guard. Otherwise the volume runs, with the one table or the other. A process
 * that has committed to the swap and is alive puts it back itself. Once only: if somebody
 * suspends it after that, they have their own reasons.
 */
static void put_back_abandoned(void *context)
{
	struct guarded_swap *swap = context;

	if (swap->is_put_back ||
	    (!guard_is_alone(&swap->guard) && !guard_has_acted(&swap->guard)))
		return;
	if (!swap->volume->dm.suspended && is_under_way(swap)) {
		put_back(swap);
		swap->is_put_back = !is_under_way(swap);
	}
}

static int hold_and_prepare(struct guarded_swap *swap)
{
	const struct swap_steps *steps = swap->steps;
	const char *name = swap->volume->name;
	int r = swap->volume->dm.suspended ? 0 : dm_hold(name);

	if (!r && steps->hand_over)
		r = hand_over_prepare(steps->hand_over);
	if (!r && steps->settle)
		r = steps->settle(&swap->guard, steps->context);
	/* The guard may have let it go with its old table, and cleared the new one. */
	if (!guard_commit(&swap->guard)) {
		error("%s could not be suspended and its metadata written within %d s: I/O takes long, or the metadata device is slow; it is unchanged",
		      dm_name_now(name), SETTLE_LIMIT_S);
		return -ECANCELED;
	}
	/* lvm2 loads tables for suspended volumes, too. */
	if (!r && has_loaded(swap->volume, swap->table) <= 0) {
		say_changed(swap->volume);
		r = -EBUSY;
	}
	return r;
}

static bool has_steps(const struct swap_steps *steps)
{
	return steps->settle || steps->hand_over;
}

static int hold_and_swap(struct guarded_swap *swap)
{
	const struct swap_steps *steps = swap->steps;
	int r = has_steps(steps) ? hold_and_prepare(swap) : 0;

	if (!r && steps->hand_over)
		r = hand_over_commit(steps->hand_over);
	return r ? r : dm_swap(swap->volume->name);
}

static int swap(struct volume *volume, const struct dm_table *table,
		const struct swap_steps *steps)
{
	struct guarded_swap swap = {
		.volume = volume,
		.table = table,
		.steps = steps,
	};
	struct process_state state;
	bool suspended;
	int r;

	/* A program without lvm2's lock may have changed it since the check. */
	if (lacks_its_table(volume, &suspended) || suspended ||
	    is_loaded_by_other(volume, table)) {
		clear_ours(volume, table);
		return say_changed(volume);
	}
	if (check_interrupted(volume) ||
	    guard_start_limited(&swap.guard,
				has_steps(steps) ? SETTLE_LIMIT_S : 0,
				put_back_abandoned, &swap)) {
		clear_ours(volume, table);
		return EXIT_ERROR;
	}
	process_become_independent(&state, true);
	r = hold_and_swap(&swap);
	if (r)
		put_back(&swap);
	guard_end(&swap.guard);
	if (steps->hand_over)
		dm_wait_for_udev(steps->hand_over->udev_cookie);
	process_become_ordinary(&state);
	return r ? EXIT_ERROR : EXIT_OK;
}

/* Taking cbw away goes on without the lock, unless an lvm2 command holds it. */
static int lock_group(const struct volume *volume,
		      const struct dm_table *table, struct lvm_locks *locks)
{
	int r;

	memset(locks, 0, sizeof(*locks));
	if (volume->is_locked)
		return EXIT_OK;
	r = lvm_lock(&volume->device.devt, 1, true, locks);
	if (r && r != -EBUSY && strcmp(table->lines[0].target, CBW_TARGET)) {
		warning("%s is changed without a lock",
			dm_name_now(volume->name));
		r = 0;
	}
	if (!r)
		return EXIT_OK;
	return r == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
}

/* A table that is loaded late is loaded by hand_over_prepare(), if it is the volume's. */
static bool is_loaded_now(const struct swap_steps *steps)
{
	const struct hand_over *hand_over = steps->hand_over;

	return !hand_over || hand_over->inserting ||
	       hand_over->how != MOVABLE_LOADED_LATE;
}

int swap_table(struct volume *volume, const struct dm_table *table,
	       const struct swap_steps *steps)
{
	struct lvm_locks locks;
	int status;

	catch_signals();
	status = lock_group(volume, table, &locks);
	if (!status)
		status = check_interrupted(volume);
	if (!status)
		status = check_unchanged(volume, table);
	if (!status && is_loaded_now(steps) &&
	    dm_load_table(volume->name, table, volume->dm.read_only)) {
		movable_explain(table, dm_name_now(volume->name));
		status = EXIT_ERROR;
	} else if (!status) {
		if (steps->remove_when_closed)
			dm_remove_when_closed(steps->remove_when_closed);
		status = swap(volume, table, steps);
	}
	lvm_unlock(&locks);
	return status;
}

int swap_loaded(const char *name)
{
	struct process_state state;
	int r;

	process_become_independent(&state, true);
	r = dm_swap(name);
	if (r && !dm_is_suspended(name))
		dm_clear(name);
	else if (r)
		r = dm_resume_or_retry(name);
	if (r && dm_is_suspended(name))
		error("%s may be suspended; to resume it: dmsetup resume %s", name,
		      name);
	process_become_ordinary(&state);
	return r;
}
