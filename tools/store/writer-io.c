// SPDX-License-Identifier: GPL-2.0-only
/* Reading and writing an image that is open to be changed, see writer.h. */
#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "store/writer.h"

/*
 * Autoclear bits that are not known here stand for something that a change of the
 * image may invalidate: they are cleared, durably, before the first change.
 */
static int begin_changes(struct meta_writer *writer)
{
	const char *path = writer->store.path;
	struct qcow2_header known;
	size_t at;
	int r;

	memcpy(&known, writer->store.first_cluster, sizeof(known));
	at = qcow2_drop_unknown_autoclear(&known);
	if (at) {
		r = io_write(writer->fd, path, at, (uint8_t *)&known + at,
			     sizeof(__be64)) ?:
		    io_sync(writer->fd, path);
		if (r)
			return r;
		memcpy(writer->store.first_cluster, &known, sizeof(known));
	}
	writer->is_changed = true;
	return 0;
}

int meta_write(struct meta_writer *writer, uint64_t offset, const void *data,
	       size_t bytes)
{
	int r = writer->is_changed ? 0 : begin_changes(writer);

	if (r)
		return r;
	/* Somebody else may use the store by now. */
	if (writer->guard && guard_has_acted(writer->guard))
		return -ECANCELED;
	return io_write(writer->fd, writer->store.path, offset, data, bytes);
}

int meta_read(struct meta_writer *writer, uint64_t offset, void *to,
	      size_t bytes)
{
	return io_read(writer->fd, writer->store.path, offset, to, bytes);
}

int meta_sync(struct meta_writer *writer)
{
	return io_sync(writer->fd, writer->store.path);
}

int meta_write_sync(struct meta_writer *writer, uint64_t offset,
		    const void *data, size_t bytes)
{
	return meta_write(writer, offset, data, bytes) ?: meta_sync(writer);
}

int meta_set_autoclear(struct meta_writer *writer, bool valid)
{
	uint8_t *header = writer->store.first_cluster;
	size_t at = qcow2_store_set_autoclear(header, valid);

	return meta_write_sync(writer, at, header + at, sizeof(__be64));
}

int meta_set_state(struct meta_writer *writer, uint32_t flags)
{
	uint8_t data[sizeof(__be32)];

	writer->store.header.state_flags = flags;
	qcow2_store_set_flags(data, flags);
	return meta_write_sync(writer, writer->store.header.state_offset, data,
			       sizeof(data));
}

int meta_finish_updating(struct meta_writer *writer)
{
	const struct qcow2_store_header *header = &writer->store.header;

	if (!header->state_offset ||
	    !(header->state_flags & QCOW2_DMLIVE_UPDATING))
		return 0;
	/* Only now may the mark be cleared that says that the bitmaps are good. */
	return meta_set_autoclear(writer, true) ?:
	       meta_set_state(writer, header->state_flags & ~QCOW2_DMLIVE_UPDATING);
}
