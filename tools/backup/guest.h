/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_GUEST_H
#define DMLIVE_BACKUP_GUEST_H

/*
 * What a backup does beside the devices because they are those of a virtual machine: file
 * systems inside the guest are frozen before anything of the host is, since that writes
 * to the devices, and thawed after all devices have been resumed.
 *
 * NULL stands for no guest: then the functions below do nothing.
 */

#include <stdbool.h>

struct volume;

/*
 * @freeze: 0 or a negative errno. A guest that cannot be frozen is thawed, and no reason
 * to fail. -ECANCELED: @may_go_on said no.
 * @thaw: what @freeze has begun, once; in this process or in its guard. @abandoned: the
 * other one is gone, perhaps in the middle of it.
 * @complete: all images are complete; @bytes: sizes of the devices, in order. An exit
 * status.
 */
struct backup_guest {
	int (*freeze)(void *context, unsigned int limit_s,
		      bool (*may_go_on)(void *argument), void *argument);
	void (*thaw)(void *context, bool abandoned);
	int (*complete)(void *context, const unsigned long long *bytes);
	void *context;
};

int guest_freeze(const struct backup_guest *guest, unsigned int limit_s,
		 bool (*may_go_on)(void *argument), void *argument);
void guest_thaw(const struct backup_guest *guest, bool abandoned);
int guest_complete(const struct backup_guest *guest,
		   const struct volume *volumes, unsigned int nr);

#endif /* DMLIVE_BACKUP_GUEST_H */
