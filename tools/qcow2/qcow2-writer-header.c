// SPDX-License-Identifier: GPL-2.0-only
/*
 * The header of a qcow2 file that is being written: the fixed part, the header
 * extensions and the name of the backing file, all in the first cluster. That it
 * fits is certain from the moment that an extension is accepted.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "qcow2-writer.h"

struct qcow2_stored_extension {
	struct qcow2_stored_extension *next;
	uint32_t type;
	uint32_t length;
	unsigned char data[];
};

static size_t padded(size_t length)
{
	return (length + 7) & ~(size_t)7;
}

static size_t extension_bytes(size_t length)
{
	return sizeof(struct qcow2_extension) + padded(length);
}

/* Bytes of the cluster that are in use, without the extension @without. */
static size_t used_bytes(const struct qcow2_header_writer *header,
			 uint32_t without)
{
	const struct qcow2_stored_extension *e;
	size_t used = sizeof(struct qcow2_header) + extension_bytes(0);

	for (e = header->extensions; e; e = e->next)
		if (e->type != without)
			used += extension_bytes(e->length);
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
	    used_bytes(header, type) + extension_bytes(length) > room)
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
	    used_bytes(header, QCOW2_EXT_END) > 1ULL << cluster_bits)
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

/* Returns where the next one goes. */
static unsigned char *put_extension(unsigned char *at, uint32_t type,
				    const void *data, uint32_t length)
{
	struct qcow2_extension extension = {
		.type = htobe32(type),
		.length = htobe32(length),
	};

	memcpy(at, &extension, sizeof(extension));
	if (length)
		memcpy(at + sizeof(extension), data, length);
	return at + extension_bytes(length);
}

int header_write(const struct qcow2_header_writer *writer,
		 struct output *output, struct qcow2_header *header,
		 struct image_error *err)
{
	const struct qcow2_stored_extension *e;
	unsigned char *cluster, *at;
	size_t length;
	int ret;

	cluster = calloc(1, 1ULL << writer->cluster_bits);
	if (!cluster)
		return image_fail_memory(err, output_path(output));
	at = cluster + sizeof(*header);
	for (e = writer->extensions; e; e = e->next)
		at = put_extension(at, e->type, e->data, e->length);
	at = put_extension(at, QCOW2_EXT_END, NULL, 0);
	if (writer->backing_file) {
		length = strlen(writer->backing_file);
		memcpy(at, writer->backing_file, length);
		header->backing_file_offset = htobe64(at - cluster);
		header->backing_file_size = htobe32(length);
	}
	header->header_length = htobe32(sizeof(*header));
	memcpy(cluster, header, sizeof(*header));
	ret = output_write(output, 0, cluster, 1ULL << writer->cluster_bits, err);
	free(cluster);
	return ret;
}
