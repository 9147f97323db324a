// SPDX-License-Identifier: GPL-2.0-only
/*
 * The swap of a table under I/O.
 *
 * The kernel suspends, swaps and resumes in one call, unless something has to be done
 * in between. While that waits for I/O that is under way, new I/O is held; a signal
 * ends the wait, and the device goes on as it was.
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

/* System calls are not restarted, so that the kernel's wait ends. */
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
	error("interrupted; %s is as it was", dm_name_now(volume->name));
	return EXIT_ERROR;
}

/* Has somebody else loaded a table? One like @table was left by a killed command. */
static bool is_loaded_by_other(const struct volume *volume,
			       const struct dm_table *table)
{
	struct dm_table loaded;
	bool ours;

	if (dm_get_table(volume->name, true, &loaded, NULL))
		return false;
	ours = dm_table_equal(&loaded, table);
	dm_table_free(&loaded);
	return !ours;
}

static int say_changed(const struct volume *volume)
{
	error("%s got another table meanwhile, or was suspended: someone else is changing it; try again",
	      dm_name_now(volume->name));
	return EXIT_REFUSED;
}

/* Somebody else, lvm2 for example, may have given it a table meanwhile, or begun to. */
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

/* 1: it has another table. 0: it has its table. */
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

/* However far the swap went. A new table that cannot be resumed leaves it suspended. */
static void put_back(const struct volume *volume)
{
	bool suspended = true;
	int r;

	dm_clear(volume->name);
	r = lacks_its_table(volume, &suspended);
	if (!r && !suspended)
		return;
	if (r > 0)
		r = dm_load_table(volume->name, &volume->table,
				  volume->dm.read_only);
	if (!r)
		r = dm_resume_or_retry(volume->name);
	if (r)
		error("%s may be suspended now and must get its table by hand: dmsetup load %s; dmsetup resume %s",
		      dm_name_now(volume->name), dm_name_now(volume->name),
		      dm_name_now(volume->name));
}

/*
 * How long a volume may be held while it is settled: its metadata device may be slow or
 * dead. The drivers of a virtual machine give up a request after 30 s.
 */
#define SETTLE_LIMIT_S 15

/* @is_put_back: in the guard: it has done what there was to do */
struct guarded_swap {
	const struct volume *volume;
	struct guard guard;
	bool is_put_back;
};

/*
 * In the guard. Else it runs, with the one table or the other. A process that has
 * committed to the swap and is alive puts it back itself. Once only: who suspends it
 * after that has reasons of their own.
 */
static void put_back_abandoned(void *context)
{
	struct guarded_swap *swap = context;
	const struct volume *volume = swap->volume;

	if (swap->is_put_back ||
	    (!guard_is_alone(&swap->guard) && !guard_has_acted(&swap->guard)))
		return;
	if (!volume->dm.suspended && dm_is_suspended(volume->name)) {
		put_back(volume);
		swap->is_put_back = !dm_is_suspended(volume->name);
	}
}

static int hold_and_swap(struct guarded_swap *swap, swap_settle_fn settle,
			 void *context)
{
	const char *name = swap->volume->name;
	int r;

	if (!settle)
		return dm_swap(name);
	r = dm_hold(name);
	if (!r)
		r = settle(&swap->guard, context);
	/* The guard may have let it go with its old table, and cleared the new one. */
	if (!guard_commit(&swap->guard)) {
		error("%s could not be suspended and its metadata written within %d s, as I/O is under way or the metadata device is slow; it is as it was",
		      dm_name_now(name), SETTLE_LIMIT_S);
		return -ECANCELED;
	}
	return r ? r : dm_swap(name);
}

static int swap(struct volume *volume, swap_settle_fn settle, void *context)
{
	struct guarded_swap swap = { .volume = volume };
	struct process_state state;
	bool suspended;
	int r;

	/* A program that takes no lock may have changed it since the check. */
	if (lacks_its_table(volume, &suspended) || suspended) {
		dm_clear(volume->name);
		return say_changed(volume);
	}
	if (check_interrupted(volume) ||
	    guard_start_limited(&swap.guard, settle ? SETTLE_LIMIT_S : 0,
				put_back_abandoned, &swap)) {
		dm_clear(volume->name);
		return EXIT_ERROR;
	}
	process_become_independent(&state, true);
	r = hold_and_swap(&swap, settle, context);
	if (r)
		put_back(volume);
	guard_end(&swap.guard);
	process_become_ordinary(&state);
	return r ? EXIT_ERROR : EXIT_OK;
}

/* To take cbw away, it is enough that no lvm2 command holds a lock. */
static int lock_group(const struct volume *volume,
		      const struct dm_table *table, struct lvm_locks *locks)
{
	int r = lvm_lock(&volume->device.devt, 1, true, locks);

	if (r && r != -EBUSY && strcmp(table->lines[0].target, CBW_TARGET)) {
		warning("%s is changed all the same, with no lock held",
			dm_name_now(volume->name));
		r = 0;
	}
	if (!r)
		return EXIT_OK;
	return r == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
}

int swap_table_settled(struct volume *volume, const struct dm_table *table,
		       swap_settle_fn settle, void *context)
{
	struct lvm_locks locks;
	int status;

	catch_signals();
	status = lock_group(volume, table, &locks);
	if (!status)
		status = check_interrupted(volume);
	if (!status)
		status = check_unchanged(volume, table);
	if (!status &&
	    dm_load_table(volume->name, table, volume->dm.read_only))
		status = EXIT_ERROR;
	else if (!status)
		status = swap(volume, settle, context);
	lvm_unlock(&locks);
	return status;
}

int swap_table(struct volume *volume, const struct dm_table *table)
{
	return swap_table_settled(volume, table, NULL, NULL);
}
