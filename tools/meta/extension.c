// SPDX-License-Identifier: GPL-2.0-only
/*
 * Header extensions that are added in place, see extension.h. A new one is written
 * behind the mark that ends the others, where nobody looks; then, after a sync,
 * its first eight bytes replace that mark. The name of the backing file, which
 * stands there, is copied further behind before.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/extensions.h"
#include "lib/log.h"
#include "meta/extension.h"

/* Texts take the place of earlier ones, which are about as long. */
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
	const size_t field = offsetof(struct qcow2_header, backing_file_offset);
	uint8_t *data = writer->store.first_cluster;
	struct qcow2_header header;
	uint64_t old, new, bytes;
	int r;

	memcpy(&header, data, sizeof(header));
	old = be64toh(header.backing_file_offset);
	bytes = be32toh(header.backing_file_size);
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
	header.backing_file_offset = htobe64(new);
	memcpy(data + field, (uint8_t *)&header + field, sizeof(__be64));
	return write_part(writer, field, sizeof(__be64));
}

int meta_add_extension(struct meta_writer *writer, uint32_t type,
		       const void *payload, uint32_t bytes)
{
	const struct qcow2_extension extension = {
		.type = htobe32(type),
		.length = htobe32(bytes),
	};
	const size_t padded = (bytes + 7) & ~7UL;
	uint8_t *data = writer->store.first_cluster;
	size_t at = meta_extensions_end(&writer->store), end;
	int r;

	end = at + 2 * sizeof(extension) + padded;
	if (!at || end > writer->cluster_bytes)
		return no_room(writer);
	r = move_backing_name(writer, end);
	if (r)
		return r;
	/* What stands behind the old mark of the end is not looked at. */
	memset(data + at + sizeof(extension), 0, end - at - sizeof(extension));
	memcpy(data + at + sizeof(extension), payload, bytes);
	r = write_part(writer, at + sizeof(extension),
		       end - at - sizeof(extension));
	if (r)
		return r;
	memcpy(data + at, &extension, sizeof(extension));
	return write_part(writer, at, sizeof(extension));
}

int meta_retype_extension(struct meta_writer *writer, size_t at, uint32_t type)
{
	__be32 value = htobe32(type);

	at -= sizeof(struct qcow2_extension);
	memcpy(writer->store.first_cluster + at, &value, sizeof(value));
	return write_part(writer, at, sizeof(value));
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
		/* Crash before the last write: nobody looks at what is free. */
		r = write_part(writer, at, bytes) ?:
		    meta_retype_extension(writer, at, type);
	}
	free(padded);
	return r;
}
