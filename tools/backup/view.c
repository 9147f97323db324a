// SPDX-License-Identifier: GPL-2.0-only
/* The view of a session: a mapped device that this process alone reads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/dm-uuid.h"
#include "lines/cbw-table.h"

void view_name(char name[32], dev_t devt)
{
	snprintf(name, 32, "dmlive-view-%u-%u", major(devt), minor(devt));
}

int view_make(struct volume *volume)
{
	char uuid[DM_UUID_BYTES], params[32];

	dm_uuid_make_view(major(volume->devt), minor(volume->devt), uuid);
	snprintf(params, sizeof(params), "%u:%u", major(volume->devt),
		 minor(volume->devt));
	if (dm_create_empty(volume->view, uuid))
		return EXIT_ERROR;
	volume->has_view = true;
	if (dm_load(volume->view, volume->bytes / SECTOR_BYTES,
		    CBW_VIEW_TARGET, params, false) ||
	    dm_resume_private(volume->view))
		return EXIT_ERROR;
	/* Opened exclusively, because a discard waits for exclusive opens of others. */
	volume->view_fd = open(dm_node_path(volume->view),
			       O_RDWR | O_EXCL | O_DIRECT | O_CLOEXEC);
	if (volume->view_fd >= 0)
		return EXIT_OK;
	error_errno(errno, "%s: cannot open the view %s",
		    volume_called(volume), volume->view);
	return EXIT_ERROR;
}

int view_remove(struct volume *volume)
{
	int r = 0;

	if (volume->view_fd >= 0)
		close(volume->view_fd);
	volume->view_fd = -1;
	if (volume->has_view)
		r = dm_remove(volume->view);
	volume->has_view = false;
	return r;
}
