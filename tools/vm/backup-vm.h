/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_VM_H
#define DMLIVE_BACKUP_VM_H

/*
 * `dmlive backup --vm`: the disks of a virtual machine that libvirt knows, and its
 * definition.
 */

#include "backup/backup.h"
#include "backup/guest.h"
#include "base/time.h"
#include "vm/domain.h"
#include "vm/record.h"

/* Disks that are left out by name, at most. */
#define VM_MAX_EXCLUDED 64

struct agent;

/*
 * @domain: name, UUID or ID
 * @folder: where everything is written to; from backup_vm_open() on, an absolute path
 * @uri: of libvirt, NULL: its default
 * @no_agent: do not freeze
 * @has_too_many: more are to be left out than can be
 * @is_meant: one of these is given
 */
struct backup_vm {
	const char *domain;
	const char *folder;
	const char *uri;
	const char *excluded[VM_MAX_EXCLUDED];
	unsigned int nr_excluded;
	bool no_agent;
	bool has_too_many;
	bool is_meant;

	/* Of backup_vm_open(). */
	struct backup_request *request;
	struct domain live;
	struct domain kept;
	const char *disks[BACKUP_MAX_VOLUMES];	/* targets, in order of the pairs */
	struct json_object *left_out;
	char time[TIME_STAMP_LENGTH + 1];
	char *name;				/* in names of files */
	char *xml_path;
	char *record_path;			/* NULL: it is not complete */
	bool is_saved;				/* it has a managed save image */
	struct agent *agent;
	struct backup_guest guest;
};

/*
 * Ask libvirt, keep the definition, and set the pairs and the guest of @request. Return: an
 * exit status, after a message.
 */
int backup_vm_open(struct backup_vm *vm, struct backup_request *request);

/* In any case. What was kept of a backup that is not complete is removed. */
void backup_vm_close(struct backup_vm *vm);

#endif /* DMLIVE_BACKUP_VM_H */
