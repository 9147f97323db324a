// SPDX-License-Identifier: GPL-2.0-only
/* Names that stand for one device, even after it is renamed: see dm_pin(). */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/dm.h"
#include "block/dm-task.h"

struct pin {
	struct pin *next;
	char name[DM_NAME_BYTES];
	char uuid[129];			/* "": by its number */
	unsigned int major, minor;
};

static struct pin *pins;

static struct pin *find(const char *name)
{
	struct pin *pin;

	for (pin = pins; pin; pin = pin->next)
		if (!strcmp(pin->name, name))
			return pin;
	return NULL;
}

bool pin_find(const char *name)
{
	return find(name);
}

/* libdevmapper would mangle other UUIDs, and the kernel would not find them. */
static bool is_plain_uuid(const char *uuid)
{
	const char *at;

	for (at = uuid; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("#+-.:=@_", *at))
			return false;
	return *uuid;
}

int pin_add(const char *name, const struct dm_device *device)
{
	struct pin *pin = calloc(1, sizeof(*pin));

	if (!pin)
		return -ENOMEM;
	snprintf(pin->name, sizeof(pin->name), "%s", name);
	if (is_plain_uuid(device->uuid))
		snprintf(pin->uuid, sizeof(pin->uuid), "%s", device->uuid);
	pin->major = device->major;
	pin->minor = device->minor;
	pin->next = pins;
	pins = pin;
	return 0;
}

void pin_drop(const char *name)
{
	struct pin **link, *pin;

	for (link = &pins; *link; link = &(*link)->next) {
		if (strcmp((*link)->name, name))
			continue;
		pin = *link;
		*link = pin->next;
		free(pin);
		return;
	}
}

bool pin_set_device(struct dm_task *task, const char *name)
{
	const struct pin *pin = find(name);

	if (!pin)
		return dm_task_set_name(task, name);
	if (pin->uuid[0])
		return dm_task_set_uuid(task, pin->uuid);
	return dm_task_set_major(task, pin->major) &&
	       dm_task_set_minor(task, pin->minor);
}
