// SPDX-License-Identifier: GPL-2.0-only
/* The move of a table that must not be live twice, see hand-over.h. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/hand-over.h"
#include "base/log.h"

#define PLACEHOLDER_TARGET "error"

int hand_over_load_placeholder(const struct inner *inner,
			       const struct dm_table *table)
{
	return dm_load(inner->name, dm_table_sectors(table), PLACEHOLDER_TARGET,
		       "", false);
}

/* Give the inner device the table that is loaded, or resume it. */
static int resume_inner(struct hand_over *hand_over)
{
	return dm_swap_private(hand_over->inner->name, &hand_over->udev_cookie);
}

int hand_over_prepare(const struct hand_over *hand_over)
{
	const char *name = hand_over->inserting ? hand_over->inner->name :
						  hand_over->volume->name;
	int r = 0;

	/* A killed detach may have left it suspended. */
	if (!hand_over->inserting && !dm_is_suspended(hand_over->inner->name))
		r = dm_hold(hand_over->inner->name);
	if (!r && hand_over->how == MOVABLE_LOADED_LATE)
		r = dm_load_table(name, hand_over->table,
				  hand_over->volume->dm.read_only);
	return r;
}

/*
 * md and device mapper both count what is written to a raid device, so its counts cannot
 * be compared with those of the volume. Without them, the target compares only the latter.
 */
static void stop_counting(const struct inner *inner)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/queue/iostats",
		 inner->dm.major, inner->dm.minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		warning("%s: cannot be written (%m), so a gap in tracking may be found where there is none",
			path);
	if (fd >= 0)
		close(fd);
}

int hand_over_commit(struct hand_over *hand_over)
{
	int r = hand_over->inserting ? resume_inner(hand_over) : 0;

	/* A swap makes it count again. */
	if (!r && hand_over->inserting && hand_over->how == MOVABLE_LOADED_LATE)
		stop_counting(hand_over->inner);
	return r;
}

bool hand_over_start_undo(struct hand_over *hand_over)
{
	if (!hand_over->inserting ||
	    dm_runs_target(hand_over->inner->name, PLACEHOLDER_TARGET))
		return false;
	/* So that its state is written. It is not resumed any more. */
	if (!dm_is_suspended(hand_over->inner->name))
		dm_hold(hand_over->inner->name);
	return true;
}

void hand_over_end_undo(struct hand_over *hand_over, bool renewed)
{
	const char *name = hand_over->inner->name;

	if (hand_over->inserting || !dm_is_suspended(name))
		return;
	if (renewed)
		dm_load_table(name, hand_over->table,
			      hand_over->volume->dm.read_only);
	resume_inner(hand_over);
}

bool hand_over_is_under_way(const struct hand_over *hand_over)
{
	return !hand_over->inserting && dm_is_suspended(hand_over->inner->name);
}
