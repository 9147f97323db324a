// SPDX-License-Identifier: GPL-2.0-only
/* Volumes that must not be used with their own tables, see event-fence.h. */
#include <stdio.h>
#include <string.h>

#include "attach/in-place.h"
#include "base/exit.h"
#include "base/log.h"
#include "cmd/event-fence.h"

static bool is_bare(const struct volume *volume)
{
	return volume->table.nr_lines && !in_place_is_live(volume, NULL) &&
	       !in_place_is_fenced(volume);
}

bool event_fence_find(const char *uuid, struct volume *volume)
{
	char name[DM_NAME_BYTES], path[32];
	struct dm_device device;
	struct in_place record;
	int r;

	memset(volume, 0, sizeof(*volume));
	r = in_place_look(uuid, &record);
	if (r < 0)
		warning(IN_PLACE_FOLDER "/%s.conf cannot be read (%s): if its volume is restored in place, it may be used half restored",
			uuid, strerror(-r));
	if (r <= 0 || record.complete || !dm_name_of_uuid(uuid, name) ||
	    dm_get_device(name, &device))
		return false;
	/* There may be no other node yet. */
	snprintf(path, sizeof(path), "/dev/dm-%u", device.minor);
	return !volume_find(path, volume) && volume->is_mapped &&
	       is_bare(volume);
}

int event_fence(struct volume *volume, bool is_locked, bool is_stable)
{
	struct inner inner;
	int status = volume_refresh(volume);

	if (status || volume->dm.suspended || !is_bare(volume) ||
	    (!is_locked && in_place_is_loaded_by_other(volume)) ||
	    !in_place_is_unfinished(volume->dm.uuid))
		return status;
	status = in_place_fence(volume, &inner, is_stable);
	if (status)
		return status;
	info("%s is being restored in place, and that is not finished: its I/O fails until it is continued: dmlive resume %s",
	     volume->name, volume->name);
	/* No bitmap has what was written before the fence. */
	if (volume->dm.open_count > 0)
		warning("%s was in use when lvm2 gave it its own table: anything that was written in that moment will be lost when the restore is continued",
			volume->name);
	return EXIT_OK;
}
