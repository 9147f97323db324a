// SPDX-License-Identifier: GPL-2.0-only
/* What a command needs from the system, see require.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "block/dm.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/require.h"

static bool is_privileged(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	return !syscall(SYS_capget, &header, data) &&
	       data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective &
		       CAP_TO_MASK(CAP_SYS_ADMIN);
}

/* Opening it loads the module. */
static bool can_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

static bool lists_device_mapper(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[128];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = strstr(line, "device-mapper");
	if (file)
		fclose(file);
	return found;
}

/* libdevmapper makes a node that is not there, if it knows the number. */
static bool has_device_mapper(void)
{
	return can_open("/dev/mapper/control") ||
	       lists_device_mapper("/proc/misc");
}

static int refuse_target(const char *command, const char *target)
{
	error("%s: the kernel has no device-mapper target %s; load its module: modprobe dm-%s",
	      command, target, target);
	return EXIT_REFUSED;
}

int require(const char *command, unsigned int what)
{
	if (!is_privileged()) {
		error("%s: must be run as root (it needs CAP_SYS_ADMIN)",
		      command);
		return EXIT_REFUSED;
	}
	if (!has_device_mapper()) {
		error("%s: device-mapper cannot be used; load its module (modprobe dm-mod); in a container, /dev/mapper/control must be passed on to it",
		      command);
		return EXIT_REFUSED;
	}
	if (what & REQUIRE_ALLOCTRACK && !dm_has_target("alloctrack"))
		return refuse_target(command, "alloctrack");
	if (what & REQUIRE_CBW && !dm_has_target("cbw"))
		return refuse_target(command, "cbw");
	if (what & REQUIRE_LOOP && !can_open("/dev/loop-control")) {
		error("%s: there are no loop devices, which old data in a folder need; load the module (modprobe loop), or name a fleece device: --fleece DEVICE",
		      command);
		return EXIT_REFUSED;
	}
	return EXIT_OK;
}
