// SPDX-License-Identifier: GPL-2.0-only
/*
 * The point in time: all tables are loaded, then all devices suspended, then all
 * resumed.
 *
 * While one is suspended, this process must not need any of them: it is independent,
 * see process.h, and cannot be stopped. A signal to terminate ends only a suspend that
 * waits. If it is killed all the same, its guard resumes what is suspended. A device
 * whose new table cannot be resumed gets the old one back before anybody is told.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "backup/leftovers.h"
#include "backup/volume.h"
#include "lib/cbw-table.h"
#include "lib/cbw-tracking.h"
#include "lib/exit.h"
#include "lib/guard.h"
#include "lib/log.h"
#include "lib/process.h"
#include "lib/stacking.h"

#define SECTOR_BYTES 512u

static int load_all(struct volume *volumes, unsigned int nr)
{
	struct volume *volume;

	for (volume = volumes; volume < volumes + nr; volume++) {
		if (leftovers_record(volume))
			return -EIO;
		volume->on_record = true;
		if (dm_load(volume->name, volume->bytes / SECTOR_BYTES,
			    CBW_TARGET, volume->during, volume->read_only)) {
			if (!volume->by_job)
				return -EIO;
			error("%s: is %s in use, or too small for it?",
			      dm_name_now(volume->name), volume->store);
			return -EIO;
		}
		volume->is_loaded = true;
	}
	return 0;
}

static void drop_all(struct volume *const *volumes, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (volumes[i]->is_loaded)
			dm_clear(volumes[i]->name);
		volumes[i]->is_loaded = false;
	}
}

/*
 * Suspend a device after those that lie on it, which have to write to it till they
 * are suspended themselves.
 */
static struct volume *next_to_suspend(struct volume *volumes, unsigned int nr)
{
	struct volume *volume, *above, *best = NULL;

	for (volume = volumes; volume < volumes + nr; volume++) {
		if (volume->is_sorted)
			continue;
		best = volume;
		for (above = volumes; above < volumes + nr; above++)
			if (above != volume && !above->is_sorted &&
			    blockdev_is_above(above->devt, volume->devt))
				break;
		if (above == volumes + nr)
			break;
	}
	assert(best);
	return best;
}

static bool has_increment(struct volume *const *volumes, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		if (volumes[i]->increment.base)
			return true;
	return false;
}

/*
 * The last one is suspended by its resume, in one step. But for an increment all must
 * be suspended, as only then the metadata devices say what it is about.
 */
static unsigned int count_to_suspend(struct volume *const *volumes,
				     unsigned int nr)
{
	return nr - !has_increment(volumes, nr);
}

/* Suspend the devices in this order, and resume them in the opposite one. */
static int switch_tables(struct volume *const *sorted, unsigned int nr,
			 uint32_t *cookie)
{
	unsigned int nr_to_suspend = count_to_suspend(sorted, nr);
	const char *names[BACKUP_MAX_VOLUMES];
	unsigned int nr_suspended, i;
	int r = 0;

	for (i = 0; i < nr; i++)
		names[nr - 1 - i] = sorted[i]->name;
	for (nr_suspended = 0; nr_suspended < nr_to_suspend; nr_suspended++) {
		r = dm_suspend(sorted[nr_suspended]->name);
		if (r)
			break;
	}
	for (i = 0; !r && i < nr; i++)
		r = increment_take_scope(sorted[i]);
	if (!r)
		return dm_resume_group(names, nr, cookie);
	/* Those that are suspended go on with their old tables. */
	drop_all(sorted, nr);
	dm_resume_group(names + nr - nr_suspended, nr_suspended, cookie);
	return r;
}

struct order {
	struct volume *sorted[BACKUP_MAX_VOLUMES];
	unsigned int nr;
};

static void resume_abandoned(void *context)
{
	const struct order *order = context;

	uint32_t cookie = 0;

	if (leftovers_resume(order->sorted, order->nr, &cookie))
		dm_wait_for_udev(cookie);
}

/* Load all tables, and start the guard. */
static int prepare(struct volume *volumes, struct order *order,
		   struct guard *guard)
{
	int r = load_all(volumes, order->nr);

	if (!r)
		r = guard_start(guard, resume_abandoned, order);
	if (r)
		drop_all(order->sorted, order->nr);
	return r;
}

int moment_begin(struct volume *volumes, unsigned int nr,
		 uint64_t *suspended_ns)
{
	struct order order = { .nr = nr };
	struct guard guard;
	struct process_state state;
	uint32_t cookie = 0;
	uint64_t start_ns;
	unsigned int i;
	int r;

	assert(nr);
	for (i = 0; i < nr; i++) {
		order.sorted[i] = next_to_suspend(volumes, nr);
		order.sorted[i]->is_sorted = true;
	}
	if (prepare(volumes, &order, &guard))
		return EXIT_ERROR;
	process_become_independent(&state, true);
	start_ns = monotonic_ns();
	r = switch_tables(order.sorted, nr, &cookie);
	*suspended_ns = monotonic_ns() - start_ns;
	/* The first failure is what counts: a device may run with its old table now. */
	if (!r || leftovers_resume(order.sorted, nr, &cookie))
		dm_wait_for_udev(cookie);
	guard_end(&guard);
	process_become_ordinary(&state);
	for (i = 0; i < nr; i++) {
		/* After a failure it may be any of them. */
		volumes[i].in_session = volumes[i].is_loaded;
		volumes[i].is_loaded = false;
		volumes[i].is_sorted = false;
	}
	if (r == -ESTALE)
		return MOMENT_STALE;
	return r ? EXIT_ERROR : EXIT_OK;
}

bool moment_is_session(const char *params, const char *before,
		       const char *store)
{
	struct cbw_table table, plain;

	return !cbw_table_parse(params, &table) &&
	       !cbw_table_parse(before, &plain) &&
	       table.features.store != CBW_STORE_NONE &&
	       !strcmp(table.features.store_device, store) &&
	       !strcmp(table.origin, plain.origin) &&
	       !strcmp(table.meta, plain.meta);
}

/*
 * Has somebody else, lvm2 for example, given the device another table? That ended
 * the session, and the one from before may lie on what is not there any more.
 */
static bool is_replaced(const struct volume *volume)
{
	struct dm_line line;
	bool replaced;
	int r = dm_get_line(volume->name, DM_LINE_TABLE, &line, NULL);

	if (r)
		return r == -ENXIO || r == -ENODATA;
	replaced = line.nr_lines != 1 || strcmp(line.target, CBW_TARGET) ||
		   (strcmp(line.params, volume->before) &&
		    !moment_is_session(line.params, volume->before,
				       volume->store_number));
	dm_line_free(&line);
	return replaced;
}

int moment_end(struct volume *volume)
{
	int r;

	if (volume->in_session && is_replaced(volume))
		volume->in_session = false;
	if (!volume->in_session)
		return EXIT_OK;
	r = moment_restore(volume->name, volume->bytes / SECTOR_BYTES,
			   volume->before, volume->read_only);
	volume->in_session = r;
	return r ? EXIT_ERROR : EXIT_OK;
}

static int swap(const char *name)
{
	int r = dm_swap(name);

	return r && dm_is_suspended(name) ? dm_resume_or_retry(name) : r;
}

/* The kernel resumes a device also without its metadata. */
static void check_metadata(const char *name)
{
	struct cbw_tracking tracking = { 0 };
	struct dm_line line = { 0 };
	bool failed;

	failed = !dm_get_line(name, DM_LINE_STATUS, &line, NULL) &&
		 !cbw_tracking_parse(line.params, &tracking) &&
		 !strcmp(tracking.state, "failed");
	name = dm_name_now(name);
	if (failed)
		warning("%s: its metadata device has failed: no change is recorded any more, and unless its table says on_meta_error break_tracking writes fail; when it is good again: dmsetup suspend %s, dmsetup resume %s; to go on without it: dmlive detach %s",
			name, name, name, name);
	cbw_tracking_free(&tracking);
	dm_line_free(&line);
}

int moment_restore(const char *name, uint64_t nr_sectors, const char *params,
		   bool read_only)
{
	int r = dm_load(name, nr_sectors, CBW_TARGET, params, read_only);
	struct process_state state;

	process_become_independent(&state, true);
	if (!r)
		r = swap(name);
	if (!r) {
		check_metadata(name);
	} else if (dm_is_suspended(name)) {
		error("%s is suspended, and the kernel does not resume it; its log says why; when that is mended: dmsetup resume %s",
		      dm_name_now(name), dm_name_now(name));
	} else {
		dm_clear(name);
		error("%s keeps its session; to end it load the table '0 %llu %s %s' with dmsetup, suspend and resume",
		      dm_name_now(name), (unsigned long long)nr_sectors,
		      CBW_TARGET, params);
	}
	process_become_ordinary(&state);
	return r;
}
