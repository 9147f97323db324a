// SPDX-License-Identifier: GPL-2.0-only
/* What an event means for the store of a volume, see event-store.h. */
#include <string.h>

#include "attach/persist.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "cmd/event-log.h"
#include "cmd/event-store.h"
#include "store/resize.h"
#include "store/seal.h"

uint64_t event_store_bytes(const struct volume *volume,
			   const struct blockdev *meta)
{
	char identity[QCOW2_DMLIVE_IDENTITY_BYTES + 1];
	struct meta_store store;
	struct qcow2_seal seal;
	uint64_t bytes = 0;

	volume_identity(volume, identity, sizeof(identity));
	event_log_hush(true);
	if (!meta_store_open(meta->path, &store)) {
		meta_seal_read(&store, &seal);
		if (!*seal.identity || !strcmp(seal.identity, identity))
			bytes = store.header.size_bytes;
		meta_store_close(&store);
	}
	event_log_hush(false);
	return bytes;
}

void event_forget_size(const struct volume *volume)
{
	if (persist_changed_from(volume) == volume->device.bytes)
		persist_clear_mark(volume, PERSIST_CHANGED);
}

int event_store_fit(const struct volume *volume, const struct blockdev *meta)
{
	uint64_t bytes = event_store_bytes(volume, meta);
	char old[SIZE_TEXT_BYTES], new[SIZE_TEXT_BYTES];

	/* It has grown only. */
	if (persist_changed_from(volume) >= bytes)
		persist_clear_mark(volume, PERSIST_CHANGED);
	if (!bytes || bytes == volume->device.bytes)
		return EXIT_OK;
	if (meta_resize(meta->path, volume->device.bytes))
		return EXIT_REFUSED;
	info("%s has been resized from %s to %s, and so is its store on %s",
	     volume->name, size_format(bytes, old),
	     size_format(volume->device.bytes, new), meta->path);
	return EXIT_OK;
}

int event_store_distrust(const struct blockdev *meta)
{
	struct meta_writer writer;
	struct qcow2_seal seal;
	int r = meta_writer_open(meta->path, 0, &writer);

	if (r)
		return r;
	if (!meta_seal_read(&writer.store, &seal) ||
	    !(seal.flags & QCOW2_DMLIVE_SEAL_GAP))
		r = meta_distrust(&writer, &seal, QCOW2_DMLIVE_GAP_WRITTEN);
	meta_writer_close(&writer);
	return r;
}
