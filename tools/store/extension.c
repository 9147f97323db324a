// SPDX-License-Identifier: GPL-2.0-only
/*
 * Header extensions that are added in place, see extension.h. A new one is written
 * behind the mark that ends the others, where nothing is read; then, after a sync,
 * its first eight bytes replace that mark. The name of the backing file, which is
 * there, is copied further back first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/extensions.h"
#include "base/log.h"
#include "store/extension.h"

/* Texts replace earlier ones, which are about as long. */
#define TEXT_UNIT_BYTES	64u

size_t meta_find_extension(const struct meta_store *store, uint32_t type,
			   uint32_t *bytes)
{
	return qcow2_extensions_find(store->first_cluster,
				     1UL << store->header.cluster_bits, type, 0,
				     bytes);
}

size_t meta_extensions_end(const struct meta_store *store)
{
	return qcow2_extensions_end_mark(store->first_cluster,
					 1UL << store->header.cluster_bits);
}

/* Write a part of the first cluster that is changed in memory. */
static int write_part(struct meta_writer *writer, size_t at, size_t bytes)
{
	return meta_write_sync(writer, at, writer->store.first_cluster + at,
			       bytes);
}

static int no_room(const struct meta_writer *writer)
{
	error("%s: no room for a header extension in the first cluster",
	      writer->store.path);
	return -EINVAL;
}

/* The name of the backing file makes room for extensions up to @end. */
static int move_backing_name(struct meta_writer *writer, size_t end)
{
	struct qcow2_store_header *header = &writer->store.header;
	const uint64_t bytes = header->backing_bytes;
	uint64_t old = header->backing_offset, new;
	uint8_t *data = writer->store.first_cluster;
	int r;

	if (!old || old >= end)
		return 0;
	new = (old + bytes + 7) & ~7ULL;
	if (new < end)
		new = end;
	if (new + bytes > writer->cluster_bytes)
		return no_room(writer);
	memcpy(data + new, data + old, bytes);
	r = write_part(writer, new, bytes);
	if (r)
		return r;
	header->backing_offset = new;
	return write_part(writer, qcow2_set_backing_offset(data, new),
			  sizeof(__be64));
}

int meta_add_extension(struct meta_writer *writer, uint32_t type,
		       const void *payload, uint32_t bytes)
{
	const size_t start = meta_extensions_end(&writer->store);
	const size_t head = qcow2_extension_bytes(0);
	const size_t mark = start + qcow2_extension_bytes(bytes);
	const size_t end = mark + head;
	uint8_t *data = writer->store.first_cluster;
	int r;

	if (!start || end > writer->cluster_bytes)
		return no_room(writer);
	r = move_backing_name(writer, end);
	if (r)
		return r;
	/*
	 * What is behind the old end mark is ignored: the payload and a new mark are
	 * there before the type replaces the old one.
	 */
	memset(data + start, 0, end - start);
	qcow2_put_extension(data, end, start, type, payload, bytes);
	qcow2_put_end_mark(data, end, mark);
	r = write_part(writer, start + head, end - start - head);
	return r ? r : write_part(writer, start, head);
}

int meta_retype_extension(struct meta_writer *writer, size_t at, uint32_t type)
{
	at = qcow2_set_extension_type(writer->store.first_cluster, at, type);
	return write_part(writer, at, sizeof(__be32));
}

int meta_add_text_extension(struct meta_writer *writer, uint32_t type,
			    const char *text)
{
	uint32_t length = strlen(text), bytes;
	size_t at;
	char *padded;
	int r;

	at = qcow2_extensions_find(writer->store.first_cluster,
				   writer->cluster_bytes, QCOW2_EXT_DMLIVE_FREE,
				   length, &bytes);
	if (!at)
		bytes = (length + TEXT_UNIT_BYTES - 1) & ~(TEXT_UNIT_BYTES - 1);
	padded = malloc(bytes + 1);
	if (!padded) {
		error("out of memory");
		return -ENOMEM;
	}
	memset(padded, ' ', bytes);
	memcpy(padded, text, length);
	if (!at) {
		r = meta_add_extension(writer, type, padded, bytes);
	} else {
		memcpy(writer->store.first_cluster + at, padded, bytes);
		/* Crash before the last write: a free extension is ignored. */
		r = write_part(writer, at, bytes) ?:
		    meta_retype_extension(writer, at, type);
	}
	free(padded);
	return r;
}
