// SPDX-License-Identifier: GPL-2.0-only
/* Finding out an image's format. */
#include <errno.h>
#include <string.h>

#include "error.h"
#include "probe.h"
#include "qcow2-header.h"

#define PROBE_BYTES 512

/* Formats that QEMU would recognize and that would be misread as raw. */
static const struct foreign_format {
	const char *name;
	unsigned int offset;
	unsigned int length;
	const char *magic;
} foreign_formats[] = {
	{ "qcow", 0, 8, "QFI\xfb\0\0\0\1" },
	{ "vmdk", 0, 4, "KDMV" },
	{ "vmdk", 0, 4, "COWD" },
	{ "vmdk", 0, 21, "# Disk DescriptorFile" },
	{ "vdi", 64, 4, "\x7f\x10\xda\xbe" },
	{ "vhdx", 0, 8, "vhdxfile" },
	{ "vpc", 0, 8, "conectix" },
	{ "qed", 0, 4, "QED\0" },
	{ "luks", 0, 6, "LUKS\xba\xbe" },
	{ "parallels", 0, 16, "WithoutFreeSpace" },
	{ "parallels", 0, 16, "WithouFreSpacExt" },
	{ "bochs", 0, 22, "Bochs Virtual HD Image" },
};

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

static int refuse_foreign(const struct host_file *file,
			  const unsigned char *start, struct image_error *err)
{
	size_t i;

	for (i = 0; i < sizeof(foreign_formats) / sizeof(foreign_formats[0]);
	     i++) {
		const struct foreign_format *f = &foreign_formats[i];

		if (!memcmp(start + f->offset, f->magic, f->length))
			return image_fail(err, -ENOTSUP,
					  "%s: looks like format %s, which is not supported; convert it with qemu-img convert, or say that it is raw (--format raw)",
					  host_file_path(file), f->name);
	}
	return 0;
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
	if (qcow2_probe(start, sizeof(start))) {
		*format = FORMAT_QCOW2;
		return 0;
	}
	*format = FORMAT_RAW;
	return refuse_foreign(file, start, err);
}
