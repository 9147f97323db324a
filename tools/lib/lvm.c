// SPDX-License-Identifier: GPL-2.0-only
/*
 * Logical volumes. What a volume is called is told by its mapped device; to make
 * and to remove one is left to lvm2's commands, which know about metadata, locks
 * and clusters.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/blockdev.h"
#include "lib/dm.h"
#include "lib/log.h"
#include "lib/lvm.h"

#define LVM_UUID_PREFIX "LVM-"

bool lvm_find(const struct blockdev *device, struct lvm_volume *volume)
{
	char word[256];

	if (!blockdev_read_attribute(device->devt, "dm/uuid", word,
				     sizeof(word)) ||
	    strncmp(word, LVM_UUID_PREFIX, strlen(LVM_UUID_PREFIX)) ||
	    !blockdev_read_attribute(device->devt, "dm/name", word,
				     sizeof(word)))
		return false;
	return dm_split_lv_name(word, volume->group, sizeof(volume->group),
				volume->name, sizeof(volume->name));
}

bool lvm_beside(const struct blockdev *device, const char *suffix,
		struct lvm_volume *volume)
{
	size_t length;

	if (!lvm_find(device, volume))
		return false;
	length = strlen(volume->name);
	if (length + strlen(suffix) >= sizeof(volume->name))
		return false;
	strcpy(volume->name + length, suffix);
	return true;
}

void lvm_refuse_beside(const char *option, const char *given,
		       const struct blockdev *device, const char *suffix,
		       uint64_t bytes)
{
	struct lvm_volume volume;
	char way[128];

	snprintf(way, sizeof(way),
		 "give a device of at least %" PRIu64 " bytes: %s DEVICE",
		 bytes, given);
	if (lvm_find(device, &volume))
		error("%s: the name of %s/%s is too long for that of a volume with %s behind it, of %d characters at most; %s",
		      option, volume.group, volume.name, suffix,
		      LVM_NAME_BYTES - 1, way);
	else
		error("%s: %s is not a logical volume that a small one could be made beside; %s",
		      option, device->path, way);
}

const char *lvm_path(const struct lvm_volume *volume, char *path,
		     size_t path_bytes)
{
	snprintf(path, path_bytes, "/dev/%s/%s", volume->group, volume->name);
	return path;
}

/* All that the command says, on one line. */
static void read_reason(int fd, char *reason, size_t reason_bytes)
{
	size_t length = 0, i;
	char rest[256];
	ssize_t n;

	while ((n = read(fd, reason + length, reason_bytes - 1 - length)) > 0)
		length += n;
	/* It must not stop at a full pipe. */
	while (n >= 0 && read(fd, rest, sizeof(rest)) > 0)
		;
	while (length && strchr("\n ", reason[length - 1]))
		length--;
	reason[length] = '\0';
	for (i = 0; i < length; i++)
		if (reason[i] == '\n')
			reason[i] = ';';
	memmove(reason, reason + strspn(reason, " "),
		strlen(reason + strspn(reason, " ")) + 1);
}

static void exec_command(char *const argv[], int error_fd)
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 || dup2(error_fd, STDERR_FILENO) < 0)
		_exit(127);
	/* lvm2 complains of descriptors that it does not know. */
	if (null > STDERR_FILENO)
		close(null);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "%s cannot be run: %s; is lvm2 installed?\n",
		argv[0], strerror(errno));
	_exit(127);
}

static int run(char *const argv[], char *reason, size_t reason_bytes)
{
	int fds[2], status;
	pid_t pid;

	reason[0] = '\0';
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return -EAGAIN;
	}
	if (!pid)
		exec_command(argv, fds[1]);
	close(fds[1]);
	read_reason(fds[0], reason, reason_bytes);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : -EIO;
}

int lvm_create(const struct lvm_volume *volume, uint64_t bytes, char *reason,
	       size_t reason_bytes)
{
	char size[32];
	char *argv[] = {
		"lvcreate", "--quiet", "--yes", "--wipesignatures", "y",
		"--zero", "y", "--size", size, "--name", (char *)volume->name,
		(char *)volume->group, NULL
	};

	snprintf(size, sizeof(size), "%" PRIu64 "b", bytes);
	return run(argv, reason, reason_bytes);
}

int lvm_remove(const struct lvm_volume *volume, char *reason,
	       size_t reason_bytes)
{
	char name[2 * LVM_NAME_BYTES];
	char *argv[] = { "lvremove", "--quiet", "--yes", name, NULL };

	snprintf(name, sizeof(name), "%s/%s", volume->group, volume->name);
	return run(argv, reason, reason_bytes);
}
