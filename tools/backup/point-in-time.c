// SPDX-License-Identifier: GPL-2.0-only
/*
 * The point in time: load all tables, freeze the guest, freeze all file systems, suspend
 * all devices, resume all devices, thaw all file systems, thaw the guest.
 *
 * While a device is suspended, this process must not depend on it, so it is independent
 * (see process.h), and cannot be stopped. A signal to terminate only interrupts a
 * suspend that waits. If the process is killed, or takes too long, its guard resumes
 * the devices and thaws the file systems. A device that cannot be resumed with its new
 * table gets the old one back before anything is reported.
 */
#include <assert.h>
#include <errno.h>

#include "backup/guest.h"
#include "backup/recovery.h"
#include "backup/volume.h"
#include "base/exit.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/process.h"
#include "block/freeze.h"
#include "block/lvm.h"
#include "block/stacking.h"
#include "lines/cbw-table.h"

static bool is_as_before(const struct volume *volume, struct dm_device *device)
{
	return session_find_table(volume->name, false, volume->before,
				  volume->old_data_number, device) ==
	       SESSION_TABLE_BEFORE;
}

/* Somebody else, such as lvm2, may have loaded a table, or suspended the device. */
static int check_unchanged(const struct volume *volume)
{
	struct dm_device device;

	if (is_as_before(volume, &device) && !device.suspended &&
	    !device.has_inactive_table)
		return 0;
	error("%s was given another table, or suspended, by someone else just now; try again",
	      dm_name_now(volume->name));
	return -EBUSY;
}

static int load_all(struct volume *volumes, unsigned int nr)
{
	struct volume *volume;

	for (volume = volumes; volume < volumes + nr; volume++) {
		if (check_unchanged(volume) || recovery_record(volume, RECOVERY_SESSION))
			return -EIO;
		volume->on_record = true;
		if (dm_load(volume->name, volume->bytes / SECTOR_BYTES,
			    CBW_TARGET, volume->during, volume->read_only)) {
			if (!volume->by_job)
				return -EIO;
			error("%s: is %s in use, or too small for it?",
			      dm_name_now(volume->name), volume->old_data);
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
 * A device is suspended after those that are stacked on it, because they write to it
 * until they are suspended themselves.
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
 * A single device is suspended and resumed in one step. But an increment needs it to be
 * suspended first: only then does the metadata device hold all changes.
 */
static unsigned int count_to_suspend(struct volume *const *volumes,
				     unsigned int nr)
{
	return nr > 1 || has_increment(volumes, nr) ? nr : 0;
}

/*
 * What is held at the point in time. @sorted: the volumes in the order of suspending;
 * @devices: their numbers; @freeze: the file systems on them; @current: the device that
 * is being suspended; @guest: may be NULL; @is_guest_late: it is being frozen.
 */
struct order {
	struct volume *sorted[BACKUP_MAX_VOLUMES];
	dev_t devices[BACKUP_MAX_VOLUMES];
	unsigned int nr;
	struct lvm_locks locks;
	struct freeze *freeze;
	struct guard guard;
	const struct backup_guest *guest;
	bool is_guest_late;
	const char *current;
};

static bool may_continue(void *context)
{
	const struct order *order = context;

	return !guard_has_acted(&order->guard);
}

static int suspend(struct order *order, const struct volume *volume)
{
	if (!may_continue(order))
		return -ECANCELED;
	order->current = volume->name;
	return freeze_holds(order->freeze, volume->devt) ?
	       dm_suspend_frozen(volume->name) : dm_suspend(volume->name);
}

static int replace(struct order *order, const struct volume *volume,
		   uint32_t *cookie)
{
	if (!may_continue(order))
		return -ECANCELED;
	order->current = volume->name;
	return dm_replace(volume->name,
			  freeze_holds(order->freeze, volume->devt), cookie);
}

/* Suspend the devices in order, and resume them in reverse order. */
static int switch_tables(struct order *order, uint32_t *cookie)
{
	unsigned int nr = order->nr;
	unsigned int nr_to_suspend = count_to_suspend(order->sorted, nr);
	const char *names[BACKUP_MAX_VOLUMES];
	unsigned int nr_suspended, i;
	int r = 0;

	for (i = 0; i < nr; i++)
		names[nr - 1 - i] = order->sorted[i]->name;
	for (nr_suspended = 0; nr_suspended < nr_to_suspend; nr_suspended++) {
		r = suspend(order, order->sorted[nr_suspended]);
		if (r)
			break;
	}
	for (i = 0; !r && i < nr; i++)
		r = increment_take_scope(order->sorted[i]);
	if (!r)
		return nr_to_suspend ? dm_resume_group(names, nr, cookie) :
				       replace(order, order->sorted[0], cookie);
	/* The devices that were suspended resume with their old tables. */
	drop_all(order->sorted, nr);
	dm_resume_group(names + nr - nr_suspended, nr_suspended, cookie);
	return r;
}

/* Devices that a failure has left with their old tables have no session to end. */
static void drop_unused(struct order *order)
{
	unsigned int i;

	for (i = 0; i < order->nr; i++)
		if (order->sorted[i]->is_loaded &&
		    is_as_before(order->sorted[i], NULL))
			drop_all(&order->sorted[i], 1);
}

/*
 * File systems are frozen before the first device is suspended, and thawed after all
 * have been resumed, because freezing and thawing may write to any of the devices.
 */
static int hold_and_switch(struct order *order)
{
	uint32_t cookie = 0;
	bool all_run = true;
	int r = freeze_all(order->freeze, may_continue, order);

	if (!r)
		r = switch_tables(order, &cookie);
	else
		drop_all(order->sorted, order->nr);
	/* The guard was faster: some devices may have resumed with their old tables. */
	if (!r && !guard_commit(&order->guard))
		r = -ECANCELED;
	/* The first failure is reported, whether or not all devices resume. */
	if (r) {
		all_run = recovery_resume(order->sorted, order->nr, &cookie);
		drop_unused(order);
	}
	freeze_thaw(order->freeze, false);
	guest_thaw(order->guest, false);
	if (all_run)
		dm_wait_for_udev(cookie);
	return r;
}

/* Runs in the guard. */
static void free_all(void *context)
{
	const struct order *order = context;
	uint32_t cookie = 0;
	bool all_run;

	all_run = recovery_resume(order->sorted, order->nr, &cookie);
	freeze_thaw(order->freeze, guard_is_alone(&order->guard));
	guest_thaw(order->guest, guard_is_alone(&order->guard));
	if (all_run)
		dm_wait_for_udev(cookie);
}

/* Load all tables, and start the guard. */
static int prepare(struct volume *volumes, struct order *order,
		   unsigned int limit_s)
{
	int r;

	/* Writes out dirty data, which may take long: so before lvm2 is locked out. */
	order->freeze = freeze_prepare(order->devices, order->nr);
	if (!order->freeze)
		return -ENOMEM;
	r = lvm_lock(order->devices, order->nr, true, &order->locks);
	if (!r)
		r = load_all(volumes, order->nr);
	if (!r)
		r = guard_start_limited(&order->guard, limit_s, free_all,
					order);
	if (r) {
		drop_all(order->sorted, order->nr);
		freeze_free(order->freeze);
		lvm_unlock(&order->locks);
	}
	return r;
}

static void say_too_late(const struct order *order, unsigned int limit_s)
{
	const char *target = freeze_current(order->freeze);

	if (order->is_guest_late)
		error("no point in time within %u s (--freeze-timeout): the guest agent took too long to freeze or thaw the file systems of the guest; nothing was changed",
		      limit_s);
	else if (target)
		error("no point in time within %u s (--freeze-timeout): freezing the file system on %s took too long; nothing was changed",
		      limit_s, target);
	else
		error("no point in time within %u s (--freeze-timeout): %s could not be suspended and resumed in that time, because of I/O under way or slow metadata; nothing was changed",
		      limit_s, order->current ? dm_name_now(order->current) :
		      dm_name_now(order->sorted[0]->name));
}

int point_in_time_begin(struct volume *volumes, unsigned int nr,
			unsigned int limit_s, const struct backup_guest *guest,
			uint64_t *suspended_ns)
{
	struct order order = { .nr = nr, .guest = guest };
	struct process_state state;
	uint64_t start_ns;
	unsigned int i;
	int r;

	assert(nr);
	for (i = 0; i < nr; i++) {
		order.sorted[i] = next_to_suspend(volumes, nr);
		order.sorted[i]->is_sorted = true;
		order.devices[i] = order.sorted[i]->devt;
	}
	if (prepare(volumes, &order, limit_s))
		return EXIT_ERROR;
	order.is_guest_late = true;
	order.is_guest_late = guest_freeze(guest, limit_s, may_continue, &order);
	process_become_independent(&state, true);
	start_ns = monotonic_ns();
	r = hold_and_switch(&order);
	*suspended_ns = monotonic_ns() - start_ns;
	if (guard_has_acted(&order.guard)) {
		say_too_late(&order, limit_s);
		r = -ECANCELED;
	}
	guard_end(&order.guard);
	freeze_free(order.freeze);
	lvm_unlock(&order.locks);
	process_become_ordinary(&state);
	for (i = 0; i < nr; i++) {
		/* Even after a failure the session may have begun. */
		volumes[i].in_session = volumes[i].is_loaded;
		volumes[i].is_loaded = false;
		volumes[i].is_sorted = false;
	}
	if (r == -ESTALE)
		return POINT_IN_TIME_STALE;
	return r ? EXIT_ERROR : EXIT_OK;
}
