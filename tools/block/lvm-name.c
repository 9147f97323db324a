// SPDX-License-Identifier: GPL-2.0-only
/*
 * Names of logical volumes. The name of the mapped device, which is "GROUP-VOLUME" with
 * each hyphen of the two doubled, has at most 127 characters. lvm2 counts three more than
 * those of the two names.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/sha256.h"
#include "block/lvm.h"

bool lvm_name_is_valid(const char *name)
{
	const char *at;

	for (at = name; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("+_.-", *at))
			return false;
	return *name && *name != '-' && strcmp(name, ".") && strcmp(name, "..") &&
	       strlen(name) < LVM_NAME_BYTES;
}

/* How long @name is in that of a mapped device. */
static size_t doubled_length(const char *name)
{
	size_t length = strlen(name);

	for (; *name; name++)
		length += *name == '-';
	return length;
}

static bool has_room(const struct lvm_volume *volume)
{
	return strlen(volume->group) + strlen(volume->name) <=
	       LVM_NAMES_MAX &&
	       doubled_length(volume->group) + 1 +
	       doubled_length(volume->name) < DM_NAME_BYTES;
}

static char *append_doubled(char *to, const char *name)
{
	for (; *name; name++) {
		*to++ = *name;
		if (*name == '-')
			*to++ = '-';
	}
	return to;
}

bool lvm_dm_name(const struct lvm_volume *volume, char name[DM_NAME_BYTES])
{
	char *end;

	if (!has_room(volume))
		return false;
	end = append_doubled(name, volume->group);
	*end++ = '-';
	*append_doubled(end, volume->name) = '\0';
	return true;
}

/* "FIRST PART.DIGEST SUFFIX", with as much of @name as there is room for. */
static bool cut_name(const char *name, const char *suffix,
		     struct lvm_volume *volume)
{
	uint8_t digest[SHA256_BYTES];
	char end[LVM_NAME_BYTES];
	struct sha256 sha;
	size_t length = strlen(name), end_length;

	sha256_start(&sha);
	sha256_add(&sha, name, length);
	sha256_end(&sha, digest);
	end_length = snprintf(end, sizeof(end), ".%02x%02x%02x%02x%s",
			      digest[0], digest[1], digest[2], digest[3],
			      suffix);
	for (; length; length--) {
		if (length + end_length >= sizeof(volume->name))
			continue;
		memcpy(volume->name, name, length);
		memcpy(volume->name + length, end, end_length + 1);
		if (has_room(volume))
			return true;
	}
	return false;
}

bool lvm_beside(const struct blockdev *device, const char *suffix,
		struct lvm_volume *volume)
{
	char name[LVM_NAME_BYTES];

	if (!lvm_find(device, volume))
		return false;
	snprintf(name, sizeof(name), "%s", volume->name);
	if (snprintf(volume->name, sizeof(volume->name), "%s%s", name, suffix) <
	    (int)sizeof(volume->name) && has_room(volume))
		return true;
	return cut_name(name, suffix, volume);
}

void lvm_refuse_beside(const char *option, const char *given,
		       const struct blockdev *device, uint64_t bytes)
{
	struct lvm_volume volume;
	char way[128];

	snprintf(way, sizeof(way),
		 "give a device of at least %" PRIu64 " bytes: %s DEVICE",
		 bytes, given);
	if (lvm_find(device, &volume))
		error("%s: the name of the volume group %s is too long for that of another volume in it; %s",
		      option, volume.group, way);
	else
		error("%s: %s is not a logical volume that a small one could be made beside; %s",
		      option, device->path, way);
}
