// SPDX-License-Identifier: GPL-2.0-only
/* Logical volumes: which one a device is, and locks of their groups. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "block/blockdev.h"
#include "block/dm.h"
#include "block/dm-uuid.h"
#include "base/log.h"
#include "block/lvm.h"

#define UUID_CHARACTERS 32

#define CONFIGURATION "/etc/lvm/lvm.conf"
#define LOCKING_DIR "/run/lock/lvm"

/* Ten seconds. */
#define LOCK_POLL_NS 50000000
#define LOCK_TRIES 200

static int lock_tries = LOCK_TRIES;

bool lvm_find(const struct blockdev *device, struct lvm_volume *volume)
{
	char word[256];

	if (!blockdev_read_attribute(device->devt, "dm/uuid", word,
				     sizeof(word)) ||
	    !dm_uuid_is_lv(word) ||
	    !blockdev_read_attribute(device->devt, "dm/name", word,
				     sizeof(word)))
		return false;
	return dm_split_lv_name(word, volume->group, sizeof(volume->group),
				volume->name, sizeof(volume->name));
}

/* A UUID as LVM prints it, without its dashes. */
static const char *squeeze(char *uuid)
{
	char *from, *to = uuid;

	for (from = uuid; *from; from++)
		if (*from != '-')
			*to++ = *from;
	*to = '\0';
	return uuid;
}

/* Whatever lvm.conf has. */
#define PLAIN_REPORT	"--readonly --noheadings --reportformat basic --separator ' ' --config 'report { prefixes=0 quoted=0 columns_as_rows=0 }'"

char *lvm_list_uuids(void)
{
	static const char command[] =
		"exec lvs -a " PLAIN_REPORT " --options vg_uuid,lv_uuid < /dev/null 2> /dev/null";
	char line[256], group[128], volume[128], *text = NULL;
	FILE *list = popen(command, "re"), *out;
	bool is_known = list;
	size_t bytes;

	out = open_memstream(&text, &bytes);
	while (out && list && fgets(line, sizeof(line), list)) {
		is_known &= sscanf(line, "%127s %127s", group, volume) == 2 &&
			    strlen(squeeze(group)) == UUID_CHARACTERS &&
			    strlen(squeeze(volume)) == UUID_CHARACTERS;
		if (is_known)
			fprintf(out, "%s%s\n", group, volume);
	}
	is_known &= list && !pclose(list);
	is_known &= out && !fclose(out);
	if (is_known)
		return text;
	free(text);
	return NULL;
}

bool lvm_is_removed(const char *list, const char *uuids)
{
	bool has_group = false;
	const char *line;

	if (!list || strlen(uuids) != 2 * UUID_CHARACTERS)
		return false;
	for (line = list; *line; line += 2 * UUID_CHARACTERS + 1) {
		has_group |= !strncmp(line, uuids, UUID_CHARACTERS);
		/* In whatever group it is by now. */
		if (!strncmp(line + UUID_CHARACTERS, uuids + UUID_CHARACTERS,
			     UUID_CHARACTERS))
			return false;
	}
	return has_group;
}

const char *lvm_path(const struct lvm_volume *volume, char *path,
		     size_t path_bytes)
{
	snprintf(path, path_bytes, "/dev/%s/%s", volume->group, volume->name);
	return path;
}

/* global/locking_dir: the only setting of that name. */
static void find_folder(char folder[PATH_MAX])
{
	FILE *file = fopen(CONFIGURATION, "re");
	char line[PATH_MAX + 64];

	snprintf(folder, PATH_MAX, "%s", LOCKING_DIR);
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, " locking_dir = \"%4000[^\"]\"", folder);
	if (file)
		fclose(file);
}

/* Locked, or -EWOULDBLOCK, or another negative errno. lvm2 removes its files. */
static int try_lock(const char *path)
{
	struct stat opened, named;
	int fd, r;

	for (;;) {
		fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		r = flock(fd, LOCK_EX | LOCK_NB) ? -errno : 0;
		if (!r && !fstat(fd, &opened) && !stat(path, &named) &&
		    opened.st_ino == named.st_ino &&
		    opened.st_dev == named.st_dev)
			return fd;
		close(fd);
		if (r && r != -EINTR)
			return r;
	}
}

static int lock_group(const char *folder, const char *group, bool must)
{
	void (*say)(const char *format, ...) = must ? error : warning;
	const struct timespec pause = { .tv_nsec = LOCK_POLL_NS };
	char path[PATH_MAX + LVM_NAME_BYTES];
	int fd, tries;

	snprintf(path, sizeof(path), "%s/V_%s", folder, group);
	fd = try_lock(path);
	if (fd == -ENOENT && !mkdir(folder, 0700))
		fd = try_lock(path);
	for (tries = 0; fd == -EWOULDBLOCK && tries < lock_tries; tries++) {
		nanosleep(&pause, NULL);
		fd = try_lock(path);
	}
	if (fd == -EWOULDBLOCK) {
		say("a command of lvm2 has the volume group %s locked, for more than 10 s: wait for it, or end it, and try again; lsof %s tells which",
		    group, path);
		return -EBUSY;
	}
	if (fd < 0)
		say("%s: cannot lock the volume group %s: %s", path, group,
		    strerrordesc_np(-fd));
	return fd;
}

static int compare_groups(const void *a, const void *b)
{
	return strcmp(((const struct lvm_volume *)a)->group,
		      ((const struct lvm_volume *)b)->group);
}

/* In the order of their names, as everybody does, each once. */
static int lock_all(struct lvm_volume *volumes, unsigned int nr,
		    bool must, struct lvm_locks *locks)
{
	char folder[PATH_MAX];
	unsigned int i;
	int fd;

	if (nr)
		find_folder(folder);
	qsort(volumes, nr, sizeof(*volumes), compare_groups);
	for (i = 0; i < nr; i++) {
		if (i && !compare_groups(&volumes[i - 1], &volumes[i]))
			continue;
		fd = lock_group(folder, volumes[i].group, must);
		if (fd < 0)
			return fd;
		locks->fds[locks->nr++] = fd;
	}
	return 0;
}

int lvm_lock(const dev_t *devices, unsigned int nr, bool must,
	     struct lvm_locks *locks)
{
	struct lvm_volume *volumes = calloc(nr, sizeof(*volumes));
	unsigned int i, nr_volumes = 0;
	struct blockdev device = { 0 };
	int r = -ENOMEM;

	locks->nr = 0;
	locks->fds = calloc(nr, sizeof(*locks->fds));
	if (volumes && locks->fds) {
		for (i = 0; i < nr; i++) {
			device.devt = devices[i];
			nr_volumes += lvm_find(&device, &volumes[nr_volumes]);
		}
		r = lock_all(volumes, nr_volumes, must, locks);
	} else {
		error("out of memory");
	}
	free(volumes);
	return r;
}

void lvm_wait_at_most(unsigned int ms)
{
	lock_tries = ms * 1000000ull / LOCK_POLL_NS;
}

void lvm_unlock(struct lvm_locks *locks)
{
	while (locks->nr)
		close(locks->fds[--locks->nr]);
	free(locks->fds);
	locks->fds = NULL;
}
