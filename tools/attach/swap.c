// SPDX-License-Identifier: GPL-2.0-only
/*
 * The swap of a table under I/O.
 *
 * The kernel suspends, swaps and resumes in one call. While that waits for I/O that
 * is under way, new I/O is held; a signal ends the wait, and the device goes on as
 * it was.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "attach/swap.h"
#include "lib/exit.h"
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

/* However far it went. */
static void put_back(const struct volume *volume)
{
	struct dm_device device;
	struct dm_table now = { 0 };
	bool same;

	dm_clear(volume->name);
	if (dm_get_table(volume->name, false, &now, &device))
		return;
	same = dm_table_equal(&volume->table, &now);
	dm_table_free(&now);
	/* The new table cannot be resumed, so it is suspended. */
	if (!same && dm_load_table(volume->name, &volume->table,
				   volume->dm.read_only))
		error("%s is suspended now and must get its table by hand: dmsetup load %s; dmsetup resume %s",
		      volume->name, volume->name, volume->name);
	else if (!same || (device.suspended && !volume->dm.suspended))
		dm_resume(volume->name);
}

int swap_table(struct volume *volume, const struct dm_table *table)
{
	int status;

	catch_signals();
	/* Paging in or out could need the very device. */
	process_lock_memory();
	if (dm_load_table(volume->name, table, volume->dm.read_only))
		return EXIT_ERROR;
	status = check_unchanged(volume);
	if (!status && interrupted) {
		error("interrupted; %s is as it was", volume->name);
		status = EXIT_ERROR;
	}
	if (status) {
		dm_clear(volume->name);
		return status;
	}
	if (!dm_swap(volume->name))
		return EXIT_OK;
	put_back(volume);
	return EXIT_ERROR;
}
