// SPDX-License-Identifier: GPL-2.0-only
/* The volume that is made for a restore, see new-volume.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "base/size.h"
#include "base/words.h"
#include "block/lvm.h"
#include "restore/new-volume.h"
#include "restore/report.h"
#include "restore/server.h"

#define TAG_UNUSED "dmlive.unused"
#define ROLE "restored"

/* Those of lvcreate that make a volume for data, and need nothing else to be given. */
static const char *const types[] = {
	"linear", "striped", "mirror", "raid0", "raid0_meta", "raid1", "raid4",
	"raid5", "raid5_ls", "raid5_la", "raid5_rs", "raid5_ra", "raid5_n", "raid6",
	"raid6_zr", "raid6_nr", "raid6_nc", "raid6_n_6", "raid10", "thin",
};

static int check_type(const struct restore_request *request)
{
	const char *type = request->type;

	if (type && name_index(types, sizeof(types) / sizeof(types[0]), type) < 0) {
		error("--type %s: must be a type of lvcreate for plain volumes: linear (the default), striped, mirror, raid0 to raid10, or thin",
		      type);
		return EXIT_USAGE;
	}
	if (type && !strcmp(type, "thin") && !request->thinpool) {
		error("--type thin: name the pool: --thinpool POOL");
		return EXIT_USAGE;
	}
	if (request->thinpool && type && strcmp(type, "thin")) {
		error("--thinpool %s: a volume in a thin pool has the type thin, and not %s",
		      request->thinpool, type);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

bool new_volume_parse(const char *given, struct lvm_volume *volume)
{
	static const char mapper[] = "/dev/mapper/", dev[] = "/dev/";
	const char *slash;
	size_t length;

	if (!strncmp(given, mapper, strlen(mapper)))
		return dm_split_lv_name(given + strlen(mapper), volume->group,
					sizeof(volume->group), volume->name,
					sizeof(volume->name)) &&
		       lvm_name_is_valid(volume->group) &&
		       lvm_name_is_valid(volume->name);
	if (!strncmp(given, dev, strlen(dev)))
		given += strlen(dev);
	slash = strchr(given, '/');
	length = slash ? (size_t)(slash - given) : 0;
	if (!slash || length >= sizeof(volume->group) ||
	    !lvm_name_is_valid(slash + 1))
		return false;
	snprintf(volume->group, sizeof(volume->group), "%.*s", (int)length,
		 given);
	snprintf(volume->name, sizeof(volume->name), "%s", slash + 1);
	return lvm_name_is_valid(volume->group);
}

/* The pool is in the group of the volume, which may be named with it. */
static int check_pool(struct restore_request *request,
		      const struct lvm_volume *volume)
{
	const size_t length = strlen(volume->group);
	const char *pool = request->thinpool;

	if (!pool)
		return EXIT_OK;
	if (!strncmp(pool, volume->group, length) && pool[length] == '/')
		pool += length + 1;
	request->thinpool = pool;
	if (lvm_name_is_valid(pool))
		return EXIT_OK;
	error("--thinpool %s: must be the name of a thin pool in the volume group %s",
	      pool, volume->group);
	return EXIT_USAGE;
}

static int check_alone(const struct restore_request *request)
{
	if (!request->thinpool && !request->type)
		return EXIT_OK;
	error("restore: --thinpool and --type are for a volume that is made: --create");
	return EXIT_USAGE;
}

int new_volume_check(struct restore_request *request)
{
	char path[PATH_MAX], name[DM_NAME_BYTES];
	struct lvm_volume volume;
	int status;

	if (!request->create)
		return check_alone(request);
	if (!new_volume_parse(request->volume, &volume)) {
		error("--create: %s cannot be made: only logical volumes can; name one as VG/LV",
		      request->volume);
		return EXIT_USAGE;
	}
	if (!lvm_dm_name(&volume, name)) {
		error("--create: %s/%s is too long: the two names may have %d characters together, and %d if each hyphen counts twice",
		      volume.group, volume.name, LVM_NAMES_MAX,
		      LVM_NAMES_DOUBLED_MAX);
		return EXIT_USAGE;
	}
	if (!strcmp(name, request->name)) {
		error("--name %s: that is what the mapped device of %s/%s itself is called; choose another name",
		      name, volume.group, volume.name);
		return EXIT_USAGE;
	}
	status = check_type(request);
	if (!status)
		status = check_pool(request, &volume);
	/* Also a thin pool may hand out blocks that are not zeroed: lvchange -Z n. */
	if (!status && request->target_is_zero) {
		error("--target-is-zero: a new volume may hold what its place had before; leave that out: where it reads as zeros for certain, this is found by itself");
		status = EXIT_USAGE;
	}
	if (!status)
		request->volume = strdup(lvm_path(&volume, path, sizeof(path)));
	return status;
}

static int refuse_existing(const struct lvm_volume *volume, const char *tags)
{
	if (lvm_has_tag(tags, TAG_UNUSED))
		error("%s/%s was left by a restore with --create that was killed before anybody could use it (tag %s): remove it with lvremove %s/%s, or restore onto it without --create",
		      volume->group, volume->name, TAG_UNUSED, volume->group,
		      volume->name);
	else
		error("%s/%s exists already; to restore onto it, leave out --create; or choose another name",
		      volume->group, volume->name);
	return EXIT_REFUSED;
}

int new_volume_make(struct server *server)
{
	const struct restore_request *request = server->request;
	char tags[1024], reason[512], text[2 * PATH_MAX], size[SIZE_TEXT_BYTES];
	struct lvm_plan plan = {
		.bytes = server->image_bytes,
		.of = plan.volume.name,
		.role = ROLE,
		.tag = TAG_UNUSED,
		.type = request->type,
		.pool = request->thinpool,
	};

	if (!new_volume_parse(request->volume, &plan.volume))
		return EXIT_ERROR;
	if (lvm_exists(&plan.volume, tags, sizeof(tags)))
		return refuse_existing(&plan.volume, tags);
	if (lvm_create(&plan, reason, sizeof(reason))) {
		error("--create: %s/%s of %s cannot be made: %s",
		      plan.volume.group, plan.volume.name,
		      size_format(server->image_bytes, size), reason);
		return EXIT_REFUSED;
	}
	server->new_volume_is_made = true;
	snprintf(text, sizeof(text), "made the logical volume %s/%s%s%s",
		 plan.volume.group, plan.volume.name,
		 plan.pool ? ", thin, in the pool " : "", plan.pool ?: "");
	report_note(text);
	return EXIT_OK;
}

int new_volume_keep(struct server *server)
{
	struct lvm_volume volume;
	char reason[512];

	if (!server->new_volume_is_made)
		return EXIT_OK;
	if (!new_volume_parse(server->request->volume, &volume))
		return EXIT_ERROR;
	if (!lvm_remove_tag(&volume, TAG_UNUSED, reason, sizeof(reason)))
		return EXIT_OK;
	error("%s/%s: its tag %s cannot be removed: %s", volume.group,
	      volume.name, TAG_UNUSED, reason);
	return EXIT_ERROR;
}

void new_volume_undo(struct server *server)
{
	struct lvm_volume volume;
	char reason[512];

	if (!server->new_volume_is_made ||
	    !new_volume_parse(server->request->volume, &volume))
		return;
	/* The number of the device may soon be that of another one. */
	device_unlock_all(server);
	if (lvm_remove(&volume, reason, sizeof(reason)))
		warning("%s/%s, which was made for this restore, cannot be removed: %s; to remove it: lvremove %s/%s",
			volume.group, volume.name, reason, volume.group,
			volume.name);
}
