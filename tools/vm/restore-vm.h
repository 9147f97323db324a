/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_VM_H
#define DMLIVE_RESTORE_VM_H

/*
 * `dmlive restore --vm`: all disks of a backup that `dmlive backup --vm` has made, each in
 * place and by a `dmlive restore` of its own, which goes on in the background; and the
 * definition with the devices that they are restored to.
 */

#include <stdbool.h>

#define VM_MAX_MAPS 64
#define VM_MAX_PASSED 16

/* The volume that a disk is restored to. */
struct vm_map {
	const char *target;
	const char *device;
};

/*
 * @given: the record, or its folder
 * @uri: of libvirt, NULL: its default
 * @group: volume group of the disks that are not in @maps; NULL: where they were
 * @create: make the volumes
 * @define: let libvirt define the machine
 * @xml_path: write the definition there, or NULL
 * @passed: options of each restore
 */
struct restore_vm {
	const char *given;
	const char *uri;
	const char *group;
	struct vm_map maps[VM_MAX_MAPS];
	unsigned int nr_maps;
	bool create;
	bool define;
	bool json;
	const char *xml_path;
	const char *passed[VM_MAX_PASSED];
	unsigned int nr_passed;
};

/* Returns the exit status. */
int restore_vm_run(const struct restore_vm *request);

/* definition.c */

struct domain;

/*
 * May libvirt define it? Not if a machine of this UUID runs or has other disks, or another
 * one has its name. Return: an exit status, after a message.
 */
int definition_check(const struct domain *domain, const char *uri);

/*
 * Has the machine of this UUID a managed save image? Then it may not be restored.
 * @must_know: libvirt is needed. Return: as above.
 */
int definition_check_saved(const struct domain *domain, const char *uri,
			   bool must_know);

/* Let libvirt define it, by its XML. Return: as above. */
int definition_make(const struct domain *domain, const char *uri,
		    const char *xml);

#endif /* DMLIVE_RESTORE_VM_H */
