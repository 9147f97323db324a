// SPDX-License-Identifier: GPL-2.0-only
/* Takes cbw away from a volume. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "attach/attach.h"
#include "attach/swap.h"
#include "lines/cbw-status.h"
#include "base/exit.h"
#include "base/log.h"

/* The restore works with the inner device, and its table must not be live twice. */
static int check_not_restored(const struct volume *volume,
			      const struct inner *inner)
{
	if (!dm_runs_target(inner->name, "alloctrack"))
		return EXIT_OK;
	error("%s is being restored; wait until that has completed: dmlive status %s",
	      volume->name, volume->name);
	return EXIT_REFUSED;
}

struct view_search {
	const char *number;
	const char *volume;
	bool found;
};

static int check_view(const char *name, void *argument)
{
	struct view_search *search = argument;
	struct dm_line line;

	if (dm_get_line(name, DM_LINE_TABLE, &line, NULL))
		return 0;
	if (!strcmp(line.target, CBW_VIEW_TARGET) &&
	    !strcmp(line.params, search->number)) {
		error("%s has the snapshot view %s; remove that first: dmsetup remove %s",
		      search->volume, name, name);
		search->found = true;
	}
	dm_line_free(&line);
	return search->found;
}

static int check_views(const struct volume *volume)
{
	char number[32];
	struct view_search search = {
		.number = volume_number(volume, number),
		.volume = volume->name,
	};

	if (dm_for_each(check_view, &search) < 0)
		return EXIT_ERROR;
	return search.found ? EXIT_REFUSED : EXIT_OK;
}

static int check_session(const struct volume *volume, bool force)
{
	struct cbw_status status;
	int r = cbw_status_get(volume->name, &status, NULL);

	if (r) {
		error_errno(r, "%s: cannot understand its status",
			    volume->name);
		return force ? EXIT_OK : EXIT_ERROR;
	}
	if (status.session != CBW_SESSION_ACTIVE)
		return EXIT_OK;
	if (!force) {
		error("%s has a session, as a backup of it is being made; wait until that has completed, or end it with --force",
		      volume->name);
		return EXIT_REFUSED;
	}
	/* Otherwise the suspend waits for writes, and these for copies. */
	r = dm_message(volume->name, "session cancel");
	if (r)
		warning("%s: its session cannot be cancelled: %s", volume->name,
			strerrordesc_np(-r));
	return EXIT_OK;
}

static int check_state(const struct volume *volume, bool force)
{
	if (volume->dm.suspended && !force) {
		error("%s is suspended; resume it first with dmsetup resume %s, or detach it as it is with --force",
		      volume->name, volume->name);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}

/* An inactive table may have been left by a detach that was killed. */
static int check_loaded(const struct volume *volume,
			const struct dm_table *inner_table)
{
	struct dm_table loaded;
	bool ours;

	if (!volume->dm.has_inactive_table)
		return EXIT_OK;
	if (dm_get_table(volume->name, true, &loaded, NULL))
		return EXIT_OK;
	ours = dm_table_equal(&loaded, inner_table);
	dm_table_free(&loaded);
	if (ours)
		return EXIT_OK;
	error("%s has an inactive table: someone else is changing it; if not: dmsetup clear %s",
	      volume->name, volume->name);
	return EXIT_REFUSED;
}

/* The metadata device is not in use any more. */
static void add_digest(const struct blockdev *volume,
		       const struct cbw_table *cbw)
{
	char meta[PATH_MAX];

	if (strcmp(cbw->meta, "-"))
		trust_add_digest(volume, blockdev_path_of(cbw->meta, meta,
							  sizeof(meta)));
}

static int take_out(struct volume *volume, const struct cbw_table *cbw,
		    const struct inner *inner)
{
	struct dm_table table;
	struct hand_over hand_over = {
		.volume = volume,
		.inner = inner,
		.table = &table,
	};
	struct swap_steps steps = { NULL };
	int status;
	int r = dm_get_table(inner->name, false, &table, NULL);

	if (r) {
		error_errno(r, "%s: cannot get its table", inner->name);
		return EXIT_ERROR;
	}
	movable_hide_keys(&table);
	hand_over.how = movable_how(&table);
	if (hand_over.how != MOVABLE_SHARED)
		steps.hand_over = &hand_over;
	status = check_loaded(volume, &table);
	if (!status)
		status = swap_table(volume, &table, &steps);
	dm_table_free(&table);
	if (!status && dm_remove(inner->name)) {
		error("%s is detached, but its inner device %s is left; remove it: dmsetup remove %s",
		      dm_name_now(volume->name), dm_name_now(inner->name),
		      dm_name_now(inner->name));
		status = EXIT_ERROR;
	}
	if (!status)
		add_digest(&volume->device, cbw);
	return status;
}

static int remove_device(const struct volume *volume,
			 const struct cbw_table *cbw)
{
	struct blockdev origin;
	char path[PATH_MAX];

	if (blockdev_check_unused(&volume->device))
		return EXIT_REFUSED;
	/* A suspended device that has I/O cannot be removed: it would hang. */
	if (volume->dm.suspended && dm_resume(volume->name))
		return EXIT_ERROR;
	switch (dm_remove(volume->name)) {
	case 0:
		if (!blockdev_open(blockdev_path_of(cbw->origin, path,
						    sizeof(path)), &origin))
			add_digest(&origin, cbw);
		return EXIT_OK;
	case -EBUSY:
		return EXIT_REFUSED;
	default:
		return EXIT_ERROR;
	}
}

/* @volume has no cbw table: remove what a killed command has left. */
static int clean(struct volume *volume)
{
	struct inner inner;
	bool found = false;
	int status = EXIT_OK;

	if (volume->is_mapped && !inner_is(volume)) {
		status = inner_find(volume, &inner);
		if (!status && (inner.exists || volume->dm.has_inactive_table))
			status = inner_clean(volume, &inner, &found);
	}
	if (status || found)
		return status;
	error("%s is not a cbw device; dmlive status lists them",
	      volume->is_mapped ? volume->name : volume->device.path);
	return EXIT_REFUSED;
}

int attach_undo(struct volume *volume, bool force, bool *inserted)
{
	struct cbw_table cbw;
	struct inner inner;
	int status;

	*inserted = true;
	if (!volume->is_mapped || !volume_is_cbw(volume, &cbw))
		return clean(volume);
	*inserted = inner_of_table(&cbw, &inner);
	status = *inserted ? check_not_restored(volume, &inner) : EXIT_OK;
	if (!status)
		status = check_state(volume, force);
	if (!status)
		status = check_views(volume);
	if (!status && !*inserted && blockdev_check_unused(&volume->device))
		status = EXIT_REFUSED;
	if (!status)
		status = check_session(volume, force);
	if (!status)
		status = *inserted ? take_out(volume, &cbw, &inner) :
				     remove_device(volume, &cbw);
	return status;
}
