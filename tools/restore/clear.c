// SPDX-License-Identifier: GPL-2.0-only
/* Clearing the volume before a restore; see clear.h. */
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
			   clearable_probe(&server->data);
}

static int clear(struct server *server, bool (*is_cancelled)(void))
{
	int r = clearable_clear(&server->data, server->device_bytes,
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

int clear_volume(struct server *server, bool (*is_cancelled)(void))
{
	return server->to_clear ? clear(server, is_cancelled) : EXIT_OK;
}

/*
 * Is it the device that was cleared, or that the user said is zero? Another one may have
 * its name now, so this is not known of a device without an identity, such as a loop
 * device: then zeros are written to it.
 */
static bool is_same_volume(const struct server *server,
			   const struct restore_description *recorded)
{
	char identity[512];

	blockdev_identity(&server->volume, identity, sizeof(identity));
	return recorded->volume_identity &&
	       !strcmp(identity, recorded->volume_identity);
}

/*
 * Blocks that were never written count as zero. They are, as long as the pool zeroes what
 * a write to a part of one of its blocks does not cover.
 */
static void warn_of_pool(const struct server *server)
{
	warning("%s: it was cleared for this restore, and cannot be relied on to read as zeros any more; if its pool does not zero new blocks now (lvchange -Z n), parts of it that were never written may show what others had there: lvchange -Z y, and keep it so",
		server->volume.path);
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
	bool same = is_same_volume(server, recorded);

	server->features.target_is_zero &= same;
	if (!recorded->to_clear || !same)
		return EXIT_OK;
	if (!clearable_probe(&server->data)) {
		if (recorded->cleared && !is_untouched(metadata))
			warn_of_pool(server);
		return EXIT_OK;
	}
	/* Even if it was cleared: someone may have used it since. */
	if (is_untouched(metadata))
		return clear(server, is_cancelled);
	server->features.target_is_zero |= recorded->cleared;
	return EXIT_OK;
}
