// SPDX-License-Identifier: GPL-2.0-only
/* The guest of a backup, see guest.h. */
#include "backup/guest.h"
#include "backup/volume.h"
#include "base/exit.h"

int guest_freeze(const struct backup_guest *guest, unsigned int limit_s,
		 bool (*may_go_on)(void *argument), void *argument)
{
	return guest ? guest->freeze(guest->context, limit_s, may_go_on,
				     argument) : 0;
}

void guest_thaw(const struct backup_guest *guest, bool abandoned)
{
	if (guest)
		guest->thaw(guest->context, abandoned);
}

int guest_complete(const struct backup_guest *guest,
		   const struct volume *volumes, unsigned int nr)
{
	unsigned long long bytes[BACKUP_MAX_VOLUMES];
	unsigned int i;

	if (!guest)
		return EXIT_OK;
	for (i = 0; i < nr; i++)
		bytes[i] = volumes[i].bytes;
	return guest->complete(guest->context, bytes);
}
