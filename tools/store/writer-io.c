// SPDX-License-Identifier: GPL-2.0-only
/* Reading and writing an image that is open to be changed, see writer.h. */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/io.h"
#include "store/writer.h"

/*
 * Autoclear bits that are not known here stand for something that a change of the
 * image may invalidate: they are cleared, durably, before the first change.
 */
static int begin_changes(struct meta_writer *writer)
{
	const size_t at = offsetof(struct qcow2_header, autoclear_features);
	uint8_t *header = writer->store.first_cluster;
	const char *path = writer->store.path;
	struct qcow2_header known;
	__be64 *bits = &known.autoclear_features;
	int r = 0;

	memcpy(&known, header, sizeof(known));
	if (be64toh(*bits) & ~QCOW2_AUTOCLEAR_KNOWN) {
		*bits &= htobe64(QCOW2_AUTOCLEAR_KNOWN);
		r = io_write(writer->fd, path, at, bits, sizeof(*bits)) ?:
		    io_sync(writer->fd, path);
	}
	if (r)
		return r;
	memcpy(header + at, bits, sizeof(*bits));
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
	const size_t at = offsetof(struct qcow2_header, autoclear_features);
	uint8_t *header = writer->store.first_cluster;

	qcow2_store_set_autoclear(header, valid);
	return meta_write_sync(writer, at, header + at, sizeof(__be64));
}

int meta_finish_updating(struct meta_writer *writer)
{
	struct qcow2_store_header *header = &writer->store.header;
	__be32 flags;
	int r;

	if (!header->state_offset ||
	    !(header->state_flags & QCOW2_DMLIVE_UPDATING))
		return 0;
	/* Only now may the mark be cleared that says that the bitmaps are good. */
	r = meta_set_autoclear(writer, true);
	if (r)
		return r;
	header->state_flags &= ~QCOW2_DMLIVE_UPDATING;
	flags = htobe32(header->state_flags);
	return meta_write_sync(writer, header->state_offset, &flags,
			       sizeof(flags));
}
