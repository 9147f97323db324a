// SPDX-License-Identifier: GPL-2.0-only
/* UUIDs of mapped devices that dmlive makes, see dm-uuid.h. */
#include <stdio.h>
#include <string.h>

#include "block/dm.h"
#include "block/dm-uuid.h"

#define PRIVATE_PREFIX	DM_UUID_LVM_PREFIX "DMLIVE"
#define VIEW_PREFIX	PRIVATE_PREFIX "-VIEW-"

/* Makes a private UUID longer than that of a logical volume. */
static const char filling[] =
	"000000000000000000000000000000000000000000000000000000000000";

static bool has_prefix(const char *uuid, const char *prefix)
{
	return !strncmp(uuid, prefix, strlen(prefix));
}

bool dm_uuid_is_ours(const char *uuid)
{
	return has_prefix(uuid, DM_UUID_PREFIX) || dm_uuid_is_private(uuid);
}

/* A volume group's UUID may begin with anything, but that of a volume has its length. */
bool dm_uuid_is_private(const char *uuid)
{
	return has_prefix(uuid, PRIVATE_PREFIX) &&
	       strlen(uuid) > DM_UUID_LV_LENGTH &&
	       !strchr(uuid + strlen(PRIVATE_PREFIX), '-');
}

bool dm_uuid_is_view(const char *uuid)
{
	return has_prefix(uuid, VIEW_PREFIX);
}

bool dm_uuid_is_inner(const char *uuid)
{
	return has_prefix(uuid, DM_UUID_INNER_PREFIX) ||
	       (has_prefix(uuid, DM_UUID_LVM_PREFIX) &&
		strlen(uuid) == DM_UUID_LV_LENGTH + strlen(DM_UUID_INNER_SUFFIX) &&
		!strcmp(uuid + DM_UUID_LV_LENGTH, DM_UUID_INNER_SUFFIX));
}

bool dm_uuid_is_lv(const char *uuid)
{
	return has_prefix(uuid, DM_UUID_LVM_PREFIX) && !dm_uuid_is_view(uuid) &&
	       !dm_uuid_is_private(uuid);
}

bool dm_uuid_is_lv_part(const char *uuid)
{
	return dm_uuid_is_lv(uuid) && strlen(uuid) > DM_UUID_LV_LENGTH;
}

static void read_random(char random[40])
{
	FILE *file = fopen("/proc/sys/kernel/random/uuid", "re");

	random[0] = '\0';
	if (!file)
		return;
	if (fscanf(file, "%36s", random) != 1)
		random[0] = '\0';
	fclose(file);
}

static const char *without_dashes(char *text)
{
	char *to = text, *from;

	for (from = text; *from; from++)
		if (*from != '-')
			*to++ = *from;
	*to = '\0';
	return text;
}

void dm_uuid_make(bool private, char uuid[DM_UUID_BYTES])
{
	char random[40];

	read_random(random);
	if (!private)
		snprintf(uuid, DM_UUID_BYTES, DM_UUID_PREFIX "%s", random);
	else
		snprintf(uuid, DM_UUID_BYTES, PRIVATE_PREFIX "%s%s",
			 without_dashes(random), filling);
}

void dm_uuid_make_view(unsigned int major, unsigned int minor,
		       char uuid[DM_UUID_BYTES])
{
	snprintf(uuid, DM_UUID_BYTES, VIEW_PREFIX "%u-%060u", major, minor);
}
