// SPDX-License-Identifier: GPL-2.0-only
/* Clearing the target before a restore; see clear.h. */
#include <errno.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "block/clearable.h"
#include "restore/clear.h"

void clear_plan(struct server *server)
{
	const struct restore_request *request = server->request;

	server->to_clear = !request->target_is_zero && !request->no_discard &&
			   clearable_probe(&server->volume);
}

static int clear(struct server *server, bool (*is_cancelled)(void))
{
	int r = clearable_clear(&server->volume, server->device_bytes,
				is_cancelled);

	if (r == -ECANCELED) {
		error("%s: interrupted while what it held was being discarded",
		      server->volume.path);
		return EXIT_ERROR;
	}
	if (r == -EOPNOTSUPP)
		return EXIT_OK;
	if (r) {
		warning("%s: what it holds cannot be discarded (%s): zeros are written to it",
			server->volume.path, strerror(-r));
		return EXIT_OK;
	}
	if (server->meta.path[0] && metadata_mark_cleared(server->meta.path))
		return EXIT_ERROR;
	server->features.target_is_zero = true;
	return EXIT_OK;
}

int clear_target(struct server *server, bool (*is_cancelled)(void))
{
	return server->to_clear ? clear(server, is_cancelled) : EXIT_OK;
}

/* Is it the device that was cleared, or that the user said is zero? */
static bool is_same_target(const struct server *server,
			   const struct restore_description *recorded)
{
	char identity[512];

	blockdev_identity(&server->volume, identity, sizeof(identity));
	return recorded->volume_identity ?
	       !strcmp(identity, recorded->volume_identity) :
	       !server->request->moved_volume;
}

/* A target that has used the store may have allocated blocks. */
static bool is_untouched(const struct metadata *metadata)
{
	return !metadata->allocated_bytes &&
	       !(metadata->store.header.state_flags & QCOW2_DMLIVE_USED);
}

int clear_resumed(struct server *server, const struct metadata *metadata,
		  bool (*is_cancelled)(void))
{
	const struct restore_description *recorded = &metadata->description;
	bool same = is_same_target(server, recorded);

	server->features.target_is_zero &= same;
	if (!recorded->to_clear || !same || !clearable_probe(&server->volume))
		return EXIT_OK;
	/* Even if it was cleared: someone may have used it since. */
	if (is_untouched(metadata))
		return clear(server, is_cancelled);
	server->features.target_is_zero |= recorded->cleared;
	return EXIT_OK;
}
