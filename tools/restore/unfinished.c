// SPDX-License-Identifier: GPL-2.0-only
/*
 * Find unfinished restores.
 *
 * sysfs says which devices may hold the metadata of a restore that is not served: those
 * that nothing lies on. Reading a device may take for ever (a path that is gone, a
 * suspended device below), so another process reads, and announces each device before
 * it opens it. If it does not come back, it is left to itself, and a new one goes on
 * with the next device.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/machine.h"
#include "block/blockdev.h"
#include "qcow2/content.h"
#include "restore/metadata.h"
#include "restore/runtime.h"
#include "restore/stack.h"
#include "restore/unfinished.h"

/* Disks that spin up need some of it. */
#define ANSWER_MS 10000
/* After some of them, a whole array is gone. */
#define PATIENT_WITH 3
#define HASTY_ANSWER_MS 1000

/* @devices: those that may hold metadata */
struct search {
	struct unfinished_list *list;
	bool is_quiet;
	dev_t *devices;
	unsigned int nr;
	unsigned int nr_silent;
};

/* From the process that reads; shorter than PIPE_BUF, so it is written whole. */
struct answer {
	unsigned int candidate;
	enum { ANSWER_OPENING, ANSWER_FOUND, ANSWER_FAILED } kind;
	int error;
	struct unfinished restore;
};

static void device_path(dev_t devt, char *path, size_t path_bytes)
{
	char number[32];

	snprintf(number, sizeof(number), "%u:%u", major(devt), minor(devt));
	blockdev_path_of(number, path, path_bytes);
}

/* Where opening alone has effects, or where there is nothing durable. */
static bool is_of_kind_to_skip(dev_t devt)
{
	static const char *const kinds[] = {
		"/dev/ram", "/dev/zram", "/dev/fd", "/dev/sr", "/dev/mtdblock",
	};
	char path[256];
	size_t i, length;

	device_path(devt, path, sizeof(path));
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		length = strlen(kinds[i]);
		if (!strncmp(path, kinds[i], length) &&
		    path[length] >= '0' && path[length] <= '9')
			return true;
	}
	return false;
}

static bool is_any(dev_t devt, void *argument)
{
	(void)devt;
	(void)argument;
	return true;
}

static bool runs_target(dev_t devt, const char *target)
{
	char word[256], name[DM_NAME_BYTES];

	return blockdev_read_attribute(devt, "dm/name", word, sizeof(word)) &&
	       dm_name_of(major(devt), minor(devt), name) &&
	       dm_runs_target(name, target);
}

/* Would reading wait: is it suspended, or served by a process, or on such a device? */
static bool may_wait(dev_t devt, void *argument)
{
	char word[64];

	(void)argument;
	if (blockdev_read_attribute(devt, "dm/suspended", word, sizeof(word)) &&
	    strcmp(word, "0"))
		return true;
	if (runs_target(devt, "alloctrack"))
		return true;
	return sysfs_each_device(may_wait, NULL,
				 "/sys/dev/block/%u:%u/slaves/*/dev",
				 major(devt), minor(devt));
}

static bool may_hold_metadata(dev_t devt)
{
	char word[64];

	return blockdev_read_attribute(devt, "size", word, sizeof(word)) &&
	       strcmp(word, "0") &&
	       !(blockdev_read_attribute(devt, "hidden", word, sizeof(word)) &&
		 !strcmp(word, "1")) &&
	       !sysfs_each_device(is_any, NULL,
				  "/sys/dev/block/%u:%u/holders/*/dev",
				  major(devt), minor(devt)) &&
	       !is_of_kind_to_skip(devt) && !may_wait(devt, NULL) &&
	       /* A volume whose restore in place has not ended, for example. */
	       !runs_target(devt, "error");
}

static bool add_candidate(dev_t devt, void *argument)
{
	struct search *search = argument;
	dev_t *devices;

	if (!may_hold_metadata(devt))
		return false;
	devices = reallocarray(search->devices, search->nr + 1,
			       sizeof(*devices));
	if (!devices)
		return true;
	devices[search->nr++] = devt;
	search->devices = devices;
	return false;
}

static void copy(char *to, size_t bytes, const char *from)
{
	snprintf(to, bytes, "%s", from ?: "");
}

/* In the process that reads. */
static void drop_message(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static enum unfinished_whose find_whose(const struct restore_description *description,
					const struct blockdev *device)
{
	char id[MACHINE_ID_BYTES], identity[512];

	if (!description->machine || !machine_get_id(id) ||
	    strcmp(description->machine, id))
		return UNFINISHED_FOREIGN;
	if (!description->volume_identity || !description->meta_identity)
		return UNFINISHED_NAMELESS;
	return strcmp(blockdev_identity(device, identity, sizeof(identity)),
		      description->meta_identity) ? UNFINISHED_COPY :
						    UNFINISHED_OURS;
}

/* 1: it holds an unfinished restore; 0: it does not; or a negative errno. */
static int read_device(const char *path, struct unfinished *restore)
{
	enum metadata_state state;
	struct metadata metadata;
	struct blockdev device;
	int r;

	/* Cheap, and what most devices fail. */
	r = blockdev_has_qcow2(path);
	if (r <= 0)
		return r;
	r = blockdev_open(path, &device) ?: metadata_open(path, &metadata);
	/* It is something else. */
	if (r)
		return r == -EINVAL || r == -EOPNOTSUPP ? 0 : r;
	state = metadata_state(&metadata);
	if (state != METADATA_UNFINISHED && state != METADATA_COMPLETE) {
		metadata_close(&metadata);
		return 0;
	}
	blockdev_stable_path(&device, restore->path, sizeof(restore->path));
	copy(restore->name, sizeof(restore->name), metadata.description.name);
	copy(restore->volume, sizeof(restore->volume),
	     metadata.description.volume);
	copy(restore->identity, sizeof(restore->identity),
	     metadata.description.volume_identity);
	restore->whose = find_whose(&metadata.description, &device);
	metadata_close(&metadata);
	return 1;
}

static void read_devices(const struct search *search, unsigned int first,
			 int fd)
{
	struct answer answer;
	char path[256];
	unsigned int i;
	int r;

	log_set_sink(drop_message);
	for (i = first; i < search->nr; i++) {
		memset(&answer, 0, sizeof(answer));
		answer.candidate = i;
		answer.kind = ANSWER_OPENING;
		if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
			return;
		device_path(search->devices[i], path, sizeof(path));
		r = read_device(path, &answer.restore);
		if (!r)
			continue;
		answer.kind = r < 0 ? ANSWER_FAILED : ANSWER_FOUND;
		answer.error = r < 0 ? r : 0;
		if (write(fd, &answer, sizeof(answer)) != sizeof(answer))
			return;
	}
}

static int answer_ms(const struct search *search)
{
	return search->is_quiet || search->nr_silent >= PATIENT_WITH ?
	       HASTY_ANSWER_MS : ANSWER_MS;
}

static int add(struct unfinished_list *list, const struct unfinished *restore)
{
	struct unfinished *restores = reallocarray(list->restores, list->nr + 1,
						   sizeof(*restores));

	if (!restores)
		return -ENOMEM;
	restores[list->nr++] = *restore;
	list->restores = restores;
	return 0;
}

/* Others, such as a drive without a medium, hold no metadata. */
static void take_failure(struct search *search, dev_t devt, int r)
{
	char path[256];

	if (r != -EIO || search->is_quiet)
		return;
	device_path(devt, path, sizeof(path));
	warning("%s cannot be read (%s) and is left out; if it holds the metadata of a restore, resume that later: dmlive resume %s",
		path, strerror(-r), path);
	search->list->nr_silent++;
}

static void take_silence(struct search *search, dev_t devt)
{
	char path[256];

	if (!search->is_quiet) {
		device_path(devt, path, sizeof(path));
		warning("%s does not answer for %d seconds and is left out; if it holds the metadata of a restore, resume that later: dmlive resume %s",
			path, answer_ms(search) / 1000, path);
		search->list->nr_silent++;
	}
	search->nr_silent++;
}

/*
 * Take the answers of one process. Returns the number of the device that it does not
 * answer for; the number of candidates when it has read all; or a negative errno.
 */
static int take_answers(struct search *search, unsigned int first, int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	unsigned int current = first;
	struct answer answer;
	ssize_t n;
	int r;

	for (;;) {
		r = poll(&poll_fd, 1, answer_ms(search));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (!r)
			return current;
		n = read(fd, &answer, sizeof(answer));
		if (!n)
			return search->nr;
		if (n != sizeof(answer))
			return n < 0 ? -errno : -EIO;
		current = answer.candidate;
		if (answer.kind == ANSWER_FAILED)
			take_failure(search, search->devices[current],
				     answer.error);
		else if (answer.kind == ANSWER_FOUND)
			r = add(search->list, &answer.restore);
		if (r < 0)
			return r;
	}
}

/* As take_answers(), and starts the process. */
static int ask(struct search *search, unsigned int first)
{
	int fds[2], r;
	pid_t pid;

	if (pipe(fds))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	if (!pid) {
		close(fds[0]);
		read_devices(search, first, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	r = take_answers(search, first, fds[0]);
	close(fds[0]);
	if (r == (int)search->nr) {
		waitpid(pid, NULL, 0);
		return r;
	}
	/* It may not end before the device answers: do not wait for it. */
	kill(pid, SIGKILL);
	return r;
}

static int find_metadata(struct unfinished_list *list, bool is_quiet)
{
	struct search search = { .list = list, .is_quiet = is_quiet };
	unsigned int first = 0;
	int r = 0;

	sysfs_each_device(add_candidate, &search, "/sys/dev/block/*/dev");
	while (r >= 0 && first < search.nr &&
	       !(is_quiet && search.nr_silent == PATIENT_WITH)) {
		r = ask(&search, first);
		if (r < 0 || r == (int)search.nr)
			break;
		take_silence(&search, search.devices[r]);
		first = r + 1;
	}
	free(search.devices);
	return r < 0 ? r : 0;
}

/* A device whose server has ended, and of which there is a record. */
static int add_mapped(const char *name, void *argument)
{
	struct unfinished_list *list = argument;
	struct unfinished restore = { .is_mapped = true };
	struct restore_options options;
	char upper[DM_NAME_BYTES];
	int r;

	if (!dm_runs_target(name, "alloctrack") || dm_is_suspended(name) ||
	    runtime_server(name) || runtime_load(name, &options))
		return 0;
	if (stack_find_upper(name, upper))
		name = upper;
	copy(restore.path, sizeof(restore.path), dm_node_path(name));
	copy(restore.name, sizeof(restore.name), name);
	copy(restore.volume, sizeof(restore.volume), options.volume);
	restore_options_free(&options);
	r = add(list, &restore);
	return r;
}

int unfinished_find(struct unfinished_list *list)
{
	int r;

	memset(list, 0, sizeof(*list));
	r = dm_for_each(add_mapped, list);
	if (!r)
		r = find_metadata(list, false);
	if (r)
		error_errno(r, "cannot look for unfinished restores");
	return r;
}

int unfinished_find_of(const char *identity, struct unfinished_list *list)
{
	unsigned int i, nr = 0;
	int r;

	memset(list, 0, sizeof(*list));
	r = find_metadata(list, true);
	for (i = 0; i < list->nr; i++)
		if (!strcmp(list->restores[i].identity, identity))
			list->restores[nr++] = list->restores[i];
	list->nr = nr;
	return r;
}

void unfinished_free(struct unfinished_list *list)
{
	free(list->restores);
	memset(list, 0, sizeof(*list));
}
