// SPDX-License-Identifier: GPL-2.0-only
/* Fleece devices that are made for one backup, see fleece-volume.h. */
#include <ctype.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "backup/fleece-volume.h"
#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/machine.h"
#include "base/size.h"
#include "block/lvm.h"

#define ROLE "fleece"
#define TAG_ROLE LVM_TAG_ROLE ROLE
/* "HOST:BOOT:PID:START": the process that works with the volume. */
#define TAG_BY "dmlive.by="

/* Small volumes get more than a share: a copy may need this many slots at once. */
#define MIN_SLOTS 256

#define ID_BYTES 9
#define HOST_BYTES _UTSNAME_LENGTH
_Static_assert(HOST_BYTES >= MACHINE_ID_BYTES, "for a name or an id");

/* Of /proc/PID/stat, see proc(5). */
#define NAME_FIELD 2
#define START_FIELD 22

/* The first 8 hexadecimal digits of a file. */
static bool read_id(const char *path, char id[ID_BYTES])
{
	FILE *file = fopen(path, "re");
	bool found = file && fscanf(file, "%8[0-9a-f]", id) == 1;

	if (file)
		fclose(file);
	return found;
}

/*
 * This machine, as the groups of several can be on one disk. False: a clone of it, on
 * another one, may be called the same.
 */
static bool find_host(char host[HOST_BYTES])
{
	struct utsname names;
	char *at;

	if (machine_get_id(host))
		return machine_differs_from_clones();
	snprintf(host, HOST_BYTES, "%s",
		 uname(&names) ? "unknown" : names.nodename);
	for (at = host; *at; at++)
		if (!isalnum((unsigned char)*at) && !strchr("-.", *at))
			*at = '_';
	return false;
}

static void find_boot(char boot[ID_BYTES])
{
	if (!read_id("/proc/sys/kernel/random/boot_id", boot))
		snprintf(boot, ID_BYTES, "unknown");
}

/* When a process was started, in ticks since boot; 0: there is none. */
static uint64_t start_of(pid_t pid)
{
	char path[64], line[1024], *at = NULL;
	unsigned int field;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	/* Behind the name, in parentheses, which can hold anything. */
	if (fgets(line, sizeof(line), file))
		at = strrchr(line, ')');
	fclose(file);
	for (field = NAME_FIELD; at && field < START_FIELD; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at, NULL, 10) : 0;
}

static void make_tag(char tag[LVM_TAG_BYTES])
{
	char host[HOST_BYTES], boot[ID_BYTES];

	find_host(host);
	find_boot(boot);
	snprintf(tag, LVM_TAG_BYTES, TAG_BY "%s:%s:%d:%" PRIu64, host, boot,
		 (int)getpid(), start_of(getpid()));
}

/* The one of @tags that make_tag() has made, or "". */
static void find_tag(const char *tags, char tag[LVM_TAG_BYTES])
{
	tag[0] = '\0';
	while (strncmp(tags, TAG_BY, strlen(TAG_BY))) {
		tags = strchrnul(tags, ',');
		if (!*tags++)
			return;
	}
	snprintf(tag, LVM_TAG_BYTES, "%.*s", (int)strcspn(tags, ","), tags);
}

/*
 * In use: or of another machine. Unknown: of an earlier boot, or of a clone of this
 * machine, which runs.
 */
enum owner { OWNER_IN_USE, OWNER_GONE, OWNER_UNKNOWN };

static enum owner find_owner(const char *tag)
{
	char host[HOST_BYTES], boot[ID_BYTES], found[ID_BYTES];
	uint64_t start;
	size_t length;
	bool is_unique;
	int pid;

	if (!*tag)
		return OWNER_UNKNOWN;
	is_unique = find_host(host);
	find_boot(boot);
	tag += strlen(TAG_BY);
	length = strlen(host);
	if (strncmp(tag, host, length) ||
	    sscanf(tag + length, ":%8[^:]:%d:%" SCNu64, found, &pid,
		   &start) != 3)
		return OWNER_IN_USE;
	if (!strcmp(found, boot))
		return start_of(pid) == start ? OWNER_IN_USE : OWNER_GONE;
	return is_unique ? OWNER_GONE : OWNER_UNKNOWN;
}

/* Does a session use it? */
static bool is_open(const struct lvm_volume *volume)
{
	char name[DM_NAME_BYTES];
	struct dm_device device;

	return lvm_dm_name(volume, name) && !dm_get_device(name, &device) &&
	       device.open_count;
}

static void remove_abandoned(const struct lvm_volume *volume, const char *tag)
{
	char reason[512], tags[1024];

	if (lvm_remove_tagged(volume, tag, reason, sizeof(reason)))
		warning("%s/%s was left by a backup that was killed, and cannot be removed: %s",
			volume->group, volume->name, reason);
	else if (!lvm_exists(volume, tags, sizeof(tags)))
		warning("%s/%s was left by a backup that was killed, and is removed",
			volume->group, volume->name);
}

static void sweep(const struct lvm_volume *volume, const char *tags,
		  void *context)
{
	char tag[LVM_TAG_BYTES];
	enum owner owner;

	(void)context;
	if (!lvm_has_tag(tags, LVM_TAG) || !lvm_has_tag(tags, TAG_ROLE))
		return;
	find_tag(tags, tag);
	owner = find_owner(tag);
	if (owner == OWNER_IN_USE || is_open(volume))
		return;
	if (owner == OWNER_GONE)
		remove_abandoned(volume, tag);
	else
		warning("%s/%s is left alone: a backup on a clone of this machine may use it, or one has left it that was killed; if none uses it: lvremove %s/%s",
			volume->group, volume->name, volume->group,
			volume->name);
}

/* Its group. False: it does not look like one. */
static bool split(const char *fleece, char group[LVM_NAME_BYTES],
		  const char **size)
{
	const size_t length = strcspn(fleece, ":");

	if (length >= LVM_NAME_BYTES)
		return false;
	snprintf(group, LVM_NAME_BYTES, "%.*s", (int)length, fleece);
	*size = fleece[length] ? fleece + length + 1 : NULL;
	return lvm_name_is_valid(group);
}

bool fleece_volume_is_meant(const char *fleece)
{
	char group[LVM_NAME_BYTES];
	const char *size;
	struct stat st;

	return fleece && strcmp(fleece, BACKUP_FLEECE_NONE) &&
	       !strchr(fleece, '/') && stat(fleece, &st) &&
	       split(fleece, group, &size);
}

/* 0: it is no percentage. */
static unsigned int percent_of(const char *size)
{
	unsigned int percent;
	int length = 0;

	if (!size)
		return FLEECE_VOLUME_PERCENT;
	if (strspn(size, "0123456789") > 3 ||
	    sscanf(size, "%u%%%n", &percent, &length) != 1 || !length ||
	    size[length] || percent > 100)
		return 0;
	return percent;
}

int fleece_volume_check(const char *fleece)
{
	char group[LVM_NAME_BYTES];
	const char *size;

	if (split(fleece, group, &size) && percent_of(size))
		return EXIT_OK;
	error("--fleece %s: there is no such file or folder here; a size in a volume group is a percentage of the device, 1%% to 100%%: %s:%d%%",
	      fleece, group, FLEECE_VOLUME_PERCENT);
	return EXIT_USAGE;
}

static uint64_t share(const struct volume *volume, unsigned int percent)
{
	const uint64_t least_bytes = MIN_SLOTS * volume->block_bytes;
	uint64_t bytes = volume->bytes / 100 * percent;

	if (bytes < least_bytes)
		bytes = least_bytes;
	return bytes < volume->bytes ? bytes : volume->bytes;
}

/* Unique on all machines, and not used again soon. */
static void choose_name(const struct volume *volume, struct lvm_volume *fleece)
{
	char boot[ID_BYTES];

	find_boot(boot);
	snprintf(fleece->name, sizeof(fleece->name),
		 "dmlive_fleece_%s_%u_%u_%d", boot, major(volume->devt),
		 minor(volume->devt), (int)getpid());
}

/* The name of the volume that is backed up, without that of its group, if it has one. */
static void find_origin(const struct volume *volume, char *name,
			size_t name_bytes)
{
	const struct blockdev device = { .devt = volume->devt };
	struct lvm_volume origin;

	snprintf(name, name_bytes, "%s",
		 lvm_find(&device, &origin) ? origin.name : volume->name);
}

static int check_group(const char *group)
{
	char reason[512];

	if (!lvm_for_each(group, sweep, NULL, reason, sizeof(reason)))
		return EXIT_OK;
	error("--fleece %s: No such file or directory, and no volume group: %s",
	      group, reason);
	return EXIT_ERROR;
}

static int check_name(const struct lvm_volume *fleece)
{
	char name[DM_NAME_BYTES];

	if (lvm_dm_name(fleece, name))
		return EXIT_OK;
	error("--fleece %s: the name of the group is too long for that of a volume in it; name a device or a folder",
	      fleece->group);
	return EXIT_REFUSED;
}

int fleece_volume_plan(struct volume *volume, const char *fleece)
{
	struct lvm_volume *plan = &volume->fleece_volume;
	const char *size;
	int status;

	if (!split(fleece, plan->group, &size))
		return EXIT_ERROR;
	status = check_group(plan->group);
	if (status)
		return status;
	choose_name(volume, plan);
	make_tag(volume->fleece_tag);
	status = check_name(plan);
	if (status)
		plan->name[0] = '\0';
	return status;
}

int fleece_volume_make(struct volume *volume, const char *fleece,
		       char path[PATH_MAX])
{
	char group[LVM_NAME_BYTES];
	const char *size;
	char of[DM_NAME_BYTES], reason[512], text[SIZE_TEXT_BYTES];
	const struct lvm_plan plan = {
		.volume = volume->fleece_volume,
		.bytes = share(volume, split(fleece, group, &size) ?
				       percent_of(size) : FLEECE_VOLUME_PERCENT),
		.of = of,
		.role = ROLE,
		.tag = volume->fleece_tag,
	};

	find_origin(volume, of, sizeof(of));
	lvm_path(&plan.volume, path, PATH_MAX);
	if (!lvm_create(&plan, reason, sizeof(reason)))
		return EXIT_OK;
	error("--fleece %s: the volume for old data of %s, of %s, cannot be made: %s; a smaller one: --fleece %s:SIZE%%",
	      plan.volume.group, volume->name, size_format(plan.bytes, text),
	      reason, plan.volume.group);
	volume->fleece_volume.name[0] = '\0';
	return EXIT_REFUSED;
}

static void remove_volume(const struct lvm_volume *volume, const char *tag)
{
	char reason[512];

	if (lvm_remove_tagged(volume, tag, reason, sizeof(reason)))
		warning("%s/%s, which held old data, cannot be removed: %s; the next backup with --fleece %s tries again, or: lvremove %s/%s",
			volume->group, volume->name, reason, volume->group,
			volume->group, volume->name);
}

void fleece_volume_remove(struct volume *volume)
{
	if (!volume->fleece_volume.name[0])
		return;
	/* The number of the device may soon be that of another one. */
	if (volume->old_data_lock_fd >= 0)
		close(volume->old_data_lock_fd);
	volume->old_data_lock_fd = -1;
	remove_volume(&volume->fleece_volume, volume->fleece_tag);
	volume->fleece_volume.name[0] = '\0';
}

void fleece_volume_clear(const char *name, const char *tag)
{
	struct lvm_volume volume;
	char tags[1024];

	if (sscanf(name, "%127[^/]/%127[^/]", volume.group, volume.name) != 2 ||
	    !lvm_name_is_valid(volume.group) ||
	    !lvm_name_is_valid(volume.name) ||
	    !lvm_exists(&volume, tags, sizeof(tags)))
		return;
	if (tag && !strncmp(tag, TAG_BY, strlen(TAG_BY)) &&
	    lvm_has_tag(tags, LVM_TAG) && lvm_has_tag(tags, TAG_ROLE) &&
	    lvm_has_tag(tags, tag))
		remove_volume(&volume, tag);
	else
		warning("%s, which held old data of a backup that was killed, is left alone: its tags do not tell that it still is that volume; if it is: lvremove %s",
			name, name);
}
