// SPDX-License-Identifier: GPL-2.0-only
/*
 * The header of a qcow2 file that is being written: the fixed part, the header
 * extensions and the name of the backing file, all in the first cluster. Once an
 * extension is accepted, it is certain to fit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/extensions.h"
#include "error.h"
#include "qcow2-writer.h"

struct qcow2_stored_extension {
	struct qcow2_stored_extension *next;
	uint32_t type;
	uint32_t length;
	unsigned char data[];
};

/* Bytes of the cluster that are in use, without the extension @without; 0: with all. */
static size_t used_bytes(const struct qcow2_header_writer *header,
			 uint32_t without)
{
	const struct qcow2_stored_extension *e;
	size_t used = sizeof(struct qcow2_header) + qcow2_extension_bytes(0);

	for (e = header->extensions; e; e = e->next)
		if (e->type != without)
			used += qcow2_extension_bytes(e->length);
	return used + (header->backing_file ? strlen(header->backing_file) : 0);
}

static void remove_extension(struct qcow2_header_writer *header, uint32_t type)
{
	struct qcow2_stored_extension **at = &header->extensions, *gone;

	while (*at && (*at)->type != type)
		at = &(*at)->next;
	gone = *at;
	if (gone)
		*at = gone->next;
	free(gone);
}

int header_set_extension(struct qcow2_header_writer *header, const char *path,
			 uint32_t type, const void *data, size_t length,
			 struct image_error *err)
{
	size_t room = 1ULL << header->cluster_bits;
	struct qcow2_stored_extension *extension, **end;

	if (length > room ||
	    used_bytes(header, type) + qcow2_extension_bytes(length) > room)
		return image_fail(err, -E2BIG,
				  "%s: no room for a header extension of %zu bytes in a cluster of %zu; choose larger clusters",
				  path, length, room);
	extension = calloc(1, sizeof(*extension) + length);
	if (!extension)
		return image_fail_memory(err, path);
	extension->type = type;
	extension->length = length;
	if (length)
		memcpy(extension->data, data, length);
	remove_extension(header, type);
	for (end = &header->extensions; *end; end = &(*end)->next)
		;
	*end = extension;
	return 0;
}

int header_writer_init(struct qcow2_header_writer *header, const char *path,
		       unsigned int cluster_bits, const char *backing_file,
		       const char *backing_format, struct image_error *err)
{
	*header = (struct qcow2_header_writer) { .cluster_bits = cluster_bits };
	if (!backing_file)
		return 0;
	header->backing_file = strdup(backing_file);
	if (!header->backing_file)
		return image_fail_memory(err, path);
	if (strlen(backing_file) > QCOW2_MAX_BACKING_NAME_BYTES ||
	    used_bytes(header, 0) > 1ULL << cluster_bits)
		return image_fail(err, -ENAMETOOLONG,
				  "%s: the name of its backing file is too long",
				  path);
	return header_set_extension(header, path, QCOW2_EXT_BACKING_FORMAT,
				    backing_format, strlen(backing_format),
				    err);
}

void header_writer_release(struct qcow2_header_writer *header)
{
	while (header->extensions)
		remove_extension(header, header->extensions->type);
	free(header->backing_file);
}

int header_write(const struct qcow2_header_writer *writer,
		 struct output *output, struct qcow2_fields *fields,
		 struct image_error *err)
{
	const size_t room = 1ULL << writer->cluster_bits;
	const struct qcow2_stored_extension *e;
	size_t at = sizeof(struct qcow2_header);
	unsigned char *cluster;
	int ret;

	cluster = calloc(1, room);
	if (!cluster)
		return image_fail_memory(err, output_path(output));
	for (e = writer->extensions; e; e = e->next)
		at = qcow2_put_extension(cluster, room, at, e->type, e->data,
					 e->length);
	at = qcow2_put_end_mark(cluster, room, at);
	if (writer->backing_file) {
		fields->backing_offset = at;
		fields->backing_bytes = strlen(writer->backing_file);
		memcpy(cluster + at, writer->backing_file,
		       fields->backing_bytes);
	}
	qcow2_encode_fields(cluster, fields);
	ret = output_write(output, 0, cluster, room, err);
	free(cluster);
	return ret;
}
