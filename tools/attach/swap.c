// SPDX-License-Identifier: GPL-2.0-only
/*
 * The swap of a table under I/O.
 *
 * The kernel suspends, swaps and resumes in one call, unless something is to be done
 * between. While that waits for I/O that is under way, new I/O is held; a signal ends
 * the wait, and the device goes on as it was.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "attach/swap.h"
#include "lib/exit.h"
#include "lib/guard.h"
#include "lib/log.h"
#include "lib/process.h"

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

/* Somebody else, lvm2 for example, may have given it a table meanwhile. */
static int check_unchanged(const struct volume *volume)
{
	struct dm_table now;
	bool same = false;

	if (!dm_get_table(volume->name, false, &now, NULL)) {
		same = dm_table_equal(&volume->table, &now);
		dm_table_free(&now);
	}
	if (same)
		return EXIT_OK;
	error("%s got another table meanwhile: someone else is changing it; try again",
	      volume->name);
	return EXIT_REFUSED;
}

/* 1: it has not. 0: it has. */
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

/* However far it went. A new table that cannot be resumed leaves it suspended. */
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

/* In the guard: else it runs, with the one table or the other. */
static void put_back_abandoned(void *context)
{
	const struct volume *volume = context;

	if (!volume->dm.suspended && dm_is_suspended(volume->name))
		put_back(volume);
}

static int hold_and_swap(const char *name, int (*settle)(void *context),
			 void *context)
{
	int r = settle ? dm_hold(name) : 0;

	if (!r && settle)
		r = settle(context);
	return r ? r : dm_swap(name);
}

static int swap(struct volume *volume, int (*settle)(void *context),
		void *context)
{
	struct process_state state;
	struct guard guard;
	int r;

	if (guard_start(&guard, put_back_abandoned, volume)) {
		dm_clear(volume->name);
		return EXIT_ERROR;
	}
	process_become_independent(&state, true);
	r = hold_and_swap(volume->name, settle, context);
	if (r)
		put_back(volume);
	guard_end(&guard);
	process_become_ordinary(&state);
	return r ? EXIT_ERROR : EXIT_OK;
}

int swap_table_settled(struct volume *volume, const struct dm_table *table,
		       int (*settle)(void *context), void *context)
{
	int status;

	catch_signals();
	if (dm_load_table(volume->name, table, volume->dm.read_only))
		return EXIT_ERROR;
	status = check_unchanged(volume);
	if (!status && interrupted) {
		error("interrupted; %s is as it was",
		      dm_name_now(volume->name));
		status = EXIT_ERROR;
	}
	if (status) {
		dm_clear(volume->name);
		return status;
	}
	return swap(volume, settle, context);
}

int swap_table(struct volume *volume, const struct dm_table *table)
{
	return swap_table_settled(volume, table, NULL, NULL);
}
