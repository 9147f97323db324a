// SPDX-License-Identifier: GPL-2.0-only
/* Finding out an image's format. */
#include <errno.h>
#include <string.h>

#include "../dm-live/qcow2/header.h"
#include "error.h"
#include "foreign.h"
#include "probe.h"

#define PROBE_BYTES 512

static const struct known_format {
	const char *name;
	enum probe_format format;
} known_formats[] = {
	{ "qcow2", FORMAT_QCOW2 },
	{ "raw", FORMAT_RAW },
	/* Names of QEMU's protocols, which old tools gave as format. */
	{ "file", FORMAT_RAW },
	{ "host_device", FORMAT_RAW },
};

static int find_by_name(const struct host_file *file, const char *name,
			enum probe_format *format, struct image_error *err)
{
	size_t i;

	for (i = 0; i < sizeof(known_formats) / sizeof(known_formats[0]); i++) {
		if (strcmp(name, known_formats[i].name))
			continue;
		*format = known_formats[i].format;
		return 0;
	}
	return image_fail(err, -ENOTSUP,
			  "%s: format '%s' is not supported, only qcow2 and raw are; qemu-img convert makes one of the other",
			  host_file_path(file), name);
}

int image_format_find(const struct host_file *file, const char *name,
		      enum probe_format *format, struct image_error *err)
{
	unsigned char start[PROBE_BYTES];
	int ret;

	if (name)
		return find_by_name(file, name, format, err);
	ret = host_file_read(file, 0, start, sizeof(start), err);
	if (ret)
		return ret;
	if (qcow2_is_image(start, sizeof(start))) {
		*format = FORMAT_QCOW2;
		return 0;
	}
	*format = FORMAT_RAW;
	return foreign_refuse(file, err);
}
