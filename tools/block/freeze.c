// SPDX-License-Identifier: GPL-2.0-only
/* Freezing file systems, see freeze.h. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmount/libmount.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "block/freeze.h"
#include "base/log.h"
#include "block/mounts.h"
#include "block/stacking.h"

enum state {
	STATE_OTHER,		/* not frozen by us */
	STATE_FREEZING,
	STATE_FROZEN,
	STATE_FOREIGN,		/* somebody else has frozen it */
	STATE_THAWING,
	STATE_THAWED,		/* it was frozen by us */
};

/* @devices: those that it is made of. @order: its place in the order of freezing. */
struct file_system {
	dev_t devno;
	int fd;				/* -1: no path leads there, or it is not used */
	char *target;
	dev_t *devices;
	unsigned int nr_devices;
	bool is_placed;
};

struct freeze {
	const dev_t *members;
	unsigned int nr_members;
	struct file_system *list;
	unsigned int nr;
	unsigned int *order;
	unsigned int nr_order;
	const char *current;
	_Atomic int *states;		/* shared, one for each of the list */
};

static bool add_device(dev_t devt, void *argument)
{
	struct file_system *file_system = argument;
	dev_t *devices = realloc(file_system->devices,
				 (file_system->nr_devices + 1) *
				 sizeof(*devices));

	if (devices) {
		file_system->devices = devices;
		devices[file_system->nr_devices++] = devt;
	}
	return !devices;
}

/* Is one of its devices a member, or stacked on one? */
static bool uses_member(const struct freeze *freeze,
			const struct file_system *file_system)
{
	unsigned int i, j;

	for (i = 0; i < file_system->nr_devices; i++)
		for (j = 0; j < freeze->nr_members; j++)
			if (blockdev_is_above(file_system->devices[i],
					      freeze->members[j]))
				return true;
	return false;
}

/* Does a member lie on it? Only a loop device leads there. */
static bool is_below_member(const struct freeze *freeze,
			    const struct file_system *file_system)
{
	unsigned int i, j;

	for (i = 0; i < file_system->nr_devices; i++)
		for (j = 0; j < freeze->nr_members; j++)
			if (freeze->members[j] != file_system->devices[i] &&
			    blockdev_is_above(freeze->members[j],
					      file_system->devices[i]))
				return true;
	return false;
}

static struct file_system *find(struct freeze *freeze, dev_t devno)
{
	unsigned int i;

	for (i = 0; i < freeze->nr; i++)
		if (freeze->list[i].devno == devno)
			return &freeze->list[i];
	return NULL;
}

static struct file_system *add(struct freeze *freeze, struct libmnt_fs *fs)
{
	struct file_system *list, *file_system;

	list = realloc(freeze->list, (freeze->nr + 1) * sizeof(*list));
	if (!list)
		return NULL;
	freeze->list = list;
	file_system = &list[freeze->nr++];
	memset(file_system, 0, sizeof(*file_system));
	file_system->devno = mnt_fs_get_devno(fs);
	file_system->fd = -1;
	mount_each_device(fs, add_device, file_system);
	if (!uses_member(freeze, file_system) ||
	    is_below_member(freeze, file_system))
		file_system->nr_devices = 0;
	return file_system;
}

/* -1: another one is mounted over it, for example. */
static int open_mount(const char *root, struct libmnt_fs *fs)
{
	char path[PATH_MAX];
	struct statx stx;
	int fd;

	snprintf(path, sizeof(path), "%s%.4000s", root, mnt_fs_get_target(fs));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -1;
	if (!statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID | STATX_TYPE, &stx) &&
	    (stx.stx_mask & STATX_MNT_ID) &&
	    stx.stx_mnt_id == (uint64_t)mnt_fs_get_id(fs) &&
	    (S_ISDIR(stx.stx_mode) || S_ISREG(stx.stx_mode)))
		return fd;
	close(fd);
	return -1;
}

/* The mounts of one namespace; @root: the root of its paths. False: out of memory. */
static bool add_mounts(struct freeze *freeze, const char *list,
		       const char *root)
{
	struct libmnt_table *table = mnt_new_table_from_file(list);
	struct libmnt_iter *iter = mnt_new_iter(MNT_ITER_FORWARD);
	struct file_system *file_system;
	struct libmnt_fs *fs;
	bool done = true;

	while (table && iter && done && !mnt_table_next_fs(table, iter, &fs)) {
		file_system = find(freeze, mnt_fs_get_devno(fs));
		if (!file_system)
			file_system = add(freeze, fs);
		done = file_system;
		if (!done || !file_system->nr_devices || file_system->fd >= 0)
			continue;
		file_system->fd = open_mount(root, fs);
		if (file_system->fd >= 0)
			file_system->target = strdup(mnt_fs_get_target(fs));
	}
	mnt_free_iter(iter);
	mnt_unref_table(table);
	return done;
}

/* Namespaces that were looked at. */
struct namespaces {
	ino_t *list;
	unsigned int nr;
};

static bool is_new(struct namespaces *seen, const char *process)
{
	char path[PATH_MAX];
	struct stat st;
	unsigned int i;
	ino_t *list;

	snprintf(path, sizeof(path), "/proc/%.20s/ns/mnt", process);
	if (stat(path, &st))
		return false;
	for (i = 0; i < seen->nr; i++)
		if (seen->list[i] == st.st_ino)
			return false;
	list = realloc(seen->list, (seen->nr + 1) * sizeof(*list));
	if (!list)
		return false;
	seen->list = list;
	list[seen->nr++] = st.st_ino;
	return true;
}

static bool add_all_mounts(struct freeze *freeze)
{
	struct namespaces seen = { 0 };
	DIR *folder = opendir("/proc");
	char list[64], root[64];
	struct dirent *entry;
	bool done;

	/* Our own first: its paths are those that people know. */
	is_new(&seen, "self");
	done = add_mounts(freeze, "/proc/self/mountinfo", "");
	while (done && folder && (entry = readdir(folder))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !is_new(&seen, entry->d_name))
			continue;
		snprintf(list, sizeof(list), "/proc/%.20s/mountinfo",
			 entry->d_name);
		snprintf(root, sizeof(root), "/proc/%.20s/root",
			 entry->d_name);
		done = add_mounts(freeze, list, root);
	}
	if (folder)
		closedir(folder);
	free(seen.list);
	return done;
}

/* Does a device of @upper lie on one of @lower, and is not that device itself? */
static bool lies_on(const struct file_system *upper,
		    const struct file_system *lower)
{
	unsigned int i, j;

	for (i = 0; i < upper->nr_devices; i++)
		for (j = 0; j < lower->nr_devices; j++)
			if (upper->devices[i] != lower->devices[j] &&
			    blockdev_is_above(upper->devices[i],
					      lower->devices[j]))
				return true;
	return false;
}

static bool is_candidate(const struct file_system *file_system)
{
	return file_system->fd >= 0 && !file_system->is_placed;
}

/* -1: all are placed. */
static int next_on_top(const struct freeze *freeze)
{
	unsigned int i, j;
	int best = -1;

	for (i = 0; i < freeze->nr; i++) {
		if (!is_candidate(&freeze->list[i]))
			continue;
		best = i;
		for (j = 0; j < freeze->nr; j++)
			if (j != i && is_candidate(&freeze->list[j]) &&
			    lies_on(&freeze->list[j], &freeze->list[i]))
				break;
		if (j == freeze->nr)
			break;
	}
	return best;
}

static int place_all(struct freeze *freeze)
{
	int next;

	freeze->order = calloc(freeze->nr + 1, sizeof(*freeze->order));
	freeze->states = mmap(NULL, (freeze->nr + 1) * sizeof(*freeze->states),
			      PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (freeze->states == MAP_FAILED)
		freeze->states = NULL;
	if (!freeze->order || !freeze->states)
		return -ENOMEM;
	while ((next = next_on_top(freeze)) >= 0) {
		freeze->list[next].is_placed = true;
		freeze->order[freeze->nr_order++] = next;
	}
	return 0;
}

struct freeze *freeze_prepare(const dev_t *devices, unsigned int nr)
{
	struct freeze *freeze = calloc(1, sizeof(*freeze));
	unsigned int i;

	if (freeze) {
		freeze->members = devices;
		freeze->nr_members = nr;
	}
	if (!freeze || !add_all_mounts(freeze) || place_all(freeze)) {
		error("out of memory");
		freeze_free(freeze);
		return NULL;
	}
	for (i = 0; i < freeze->nr_order; i++)
		syncfs(freeze->list[freeze->order[i]].fd);
	return freeze;
}

static int freeze_one(struct freeze *freeze, unsigned int index)
{
	const struct file_system *file_system = &freeze->list[index];
	_Atomic int *state = &freeze->states[index];
	int r;

	freeze->current = file_system->target;
	atomic_store(state, STATE_FREEZING);
	r = ioctl(file_system->fd, FIFREEZE, 0) ? -errno : 0;
	atomic_store(state, r == 0 ? STATE_FROZEN :
		     r == -EBUSY ? STATE_FOREIGN : STATE_OTHER);
	switch (r) {
	case 0:
	case -EBUSY:
		return 0;
	case -EOPNOTSUPP:
	case -ENOTTY:
	case -EPERM:
		/* Suspending its device freezes it, if anything does. */
		return 0;
	default:
		error_errno(r, "the file system on %s cannot be frozen",
			    file_system->target ? file_system->target : "?");
		return r;
	}
}

int freeze_all(struct freeze *freeze, bool (*may_go_on)(void *argument),
	       void *argument)
{
	unsigned int i;
	int r = 0;

	for (i = 0; !r && i < freeze->nr_order; i++)
		r = may_go_on(argument) ? freeze_one(freeze, freeze->order[i]) :
					  -ECANCELED;
	if (!r && !may_go_on(argument))
		r = -ECANCELED;
	if (!r)
		freeze->current = NULL;
	return r;
}

const char *freeze_current(const struct freeze *freeze)
{
	return freeze->current;
}

bool freeze_holds(const struct freeze *freeze, dev_t devt)
{
	const struct file_system *file_system;
	unsigned int i, j;
	int state;

	for (i = 0; i < freeze->nr; i++) {
		file_system = &freeze->list[i];
		state = atomic_load(&freeze->states[i]);
		if (state != STATE_FROZEN && state != STATE_FOREIGN)
			continue;
		for (j = 0; j < file_system->nr_devices; j++)
			if (file_system->devices[j] == devt)
				return true;
	}
	return false;
}

void freeze_thaw(struct freeze *freeze, bool abandoned)
{
	_Atomic int *state;
	unsigned int i;
	int from;

	for (i = freeze->nr_order; i--;) {
		state = &freeze->states[freeze->order[i]];
		from = STATE_FROZEN;
		/* The process that is gone may have got that far, or further. */
		if (abandoned && (atomic_load(state) == STATE_FREEZING ||
				  atomic_load(state) == STATE_THAWING))
			from = atomic_load(state);
		if (!atomic_compare_exchange_strong(state, &from,
						    STATE_THAWING))
			continue;
		ioctl(freeze->list[freeze->order[i]].fd, FITHAW, 0);
		atomic_store(state, STATE_THAWED);
	}
}

void freeze_free(struct freeze *freeze)
{
	unsigned int i;

	if (!freeze)
		return;
	for (i = 0; i < freeze->nr; i++) {
		if (freeze->list[i].fd >= 0)
			close(freeze->list[i].fd);
		free(freeze->list[i].target);
		free(freeze->list[i].devices);
	}
	if (freeze->states)
		munmap(freeze->states,
		       (freeze->nr + 1) * sizeof(*freeze->states));
	free(freeze->order);
	free(freeze->list);
	free(freeze);
}
