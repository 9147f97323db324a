// SPDX-License-Identifier: GPL-2.0-only
/* Which disks of a virtual machine can be backed up. */
#include <stdio.h>
#include <string.h>

#include "vm/domain.h"

const char *domain_disk_check(const struct domain_disk *disk, bool *fails)
{
	static char text[4096 + 128];

	*fails = false;
	if (!strcmp(disk->device, "cdrom") || !strcmp(disk->device, "floppy"))
		return disk->device;
	if (disk->readonly && !disk->source)
		return "it is read-only and empty";
	*fails = true;
	if (strcmp(disk->device, "disk")) {
		snprintf(text, sizeof(text),
			 "it is passed through to the guest as a '%.64s'",
			 disk->device);
		return text;
	}
	if (!disk->source)
		return "it has no source";
	if (strcmp(disk->type, "block")) {
		snprintf(text, sizeof(text),
			 "its source is not a block device, but of the type '%.64s' (%.4000s)",
			 disk->type, disk->source);
		return text;
	}
	if (disk->readonly)
		return "it is read-only";
	if (disk->shareable)
		return "it is shared with other virtual machines, which may write to it elsewhere";
	if (disk->transient)
		return "it is transient: what the guest writes is in another file";
	if (disk->format && strcmp(disk->format, "raw")) {
		snprintf(text, sizeof(text),
			 "its format is '%.64s', which may depend on other images",
			 disk->format);
		return text;
	}
	*fails = false;
	return NULL;
}
