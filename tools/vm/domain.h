/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_DOMAIN_H
#define DMLIVE_DOMAIN_H

/*
 * The definition of a virtual machine, a libvirt domain: what is needed of its XML.
 * Functions that return an int return an exit status, after a message.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * @target: what the guest's device is called, such as vda; it names the disk
 * @device: disk, cdrom, floppy or lun
 * @type: of the source: block, file, network...
 * @source: the device, file or other name; NULL: there is none
 * @format: of the content, for QEMU; NULL: not given
 */
struct domain_disk {
	char *target;
	char *device;
	char *type;
	char *source;
	char *format;
	bool readonly;
	bool shareable;
	bool transient;
};

struct domain {
	char *name;
	char *uuid;
	bool runs;
	struct domain_disk *disks;
	unsigned int nr_disks;
	void *document;
};

/*
 * Parse what virsh dumpxml has printed, or has been kept of it. @from: for messages.
 * Whether it fails or not, domain_free() is due.
 */
int domain_parse(const char *text, const char *from, struct domain *domain);
void domain_free(struct domain *domain);

struct domain_disk *domain_find(const struct domain *domain, const char *target);

/* Let the disk have the block device @path as its source, in the definition. */
int domain_set_source(struct domain *domain, const char *target,
		      const char *path);

/* The definition as XML, to be freed; NULL after a message. */
char *domain_print(const struct domain *domain);

/*
 * domain-disks.c: can the disk be backed up? NULL: yes. Else it is left out, and the
 * reason is returned; or it can be neither, and *@fails is set. The text is valid until
 * the next call.
 */
const char *domain_disk_check(const struct domain_disk *disk, bool *fails);

#endif /* DMLIVE_DOMAIN_H */
