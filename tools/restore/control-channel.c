// SPDX-License-Identifier: GPL-2.0-only
/*
 * The channel over the ioctls of /dev/dm-alloctrack.
 *
 * The file descriptor blocks: while the device is suspended, ioctls wait. Threads sleep
 * in poll(), on the descriptor and on an eventfd by which stop() wakes them. So WAIT must
 * not sleep, even if streaming has served what woke poll(). Older modules have no flag for
 * that: O_NONBLOCK is set, and then the other ioctls return EAGAIN while the device is
 * suspended, and are repeated here.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "block/dm.h"
#include "base/log.h"
#include "lines/status-line.h"
#include "restore/channel.h"

#define NODE "/dev/" DM_ALLOCTRACK_NODE

#define RESUME_POLL_US 20000

struct control_channel {
	struct channel channel;
	const char *name;
	int fd;
	int stop_fd;
	int wake_fd;
	bool is_nonblocking;		/* WAIT has no flag; set once */
};

static struct control_channel *control_of(struct channel *channel)
{
	return (struct control_channel *)channel;
}

static bool is_nonblocking(struct control_channel *control)
{
	return __atomic_load_n(&control->is_nonblocking, __ATOMIC_RELAXED);
}

static int call(struct control_channel *control, unsigned long request,
		void *argument)
{
	while (ioctl(control->fd, request, argument)) {
		if (errno == EAGAIN && is_nonblocking(control))
			usleep(RESUME_POLL_US);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/* 0, and wait->nr is 0: streaming was faster. */
static int call_wait(struct control_channel *control,
		     struct dm_alloctrack_wait *wait)
{
	int r;

	wait->flags = is_nonblocking(control) ? 0 : DM_ALLOCTRACK_WAIT_NONBLOCK;
	do {
		r = ioctl(control->fd, DM_ALLOCTRACK_IOC_WAIT, wait) ? -errno :
								       0;
	} while (r == -EINTR);
	if (r == -EAGAIN) {
		wait->nr = 0;
		r = 0;
	}
	return r;
}

/* Keep WAIT from sleeping if it has no flag for that. */
static int set_nonblocking(struct control_channel *control)
{
	int flags = fcntl(control->fd, F_GETFL);

	/* First: other threads may get EAGAIN from then on. */
	__atomic_store_n(&control->is_nonblocking, true, __ATOMIC_RELAXED);
	if (flags < 0 || fcntl(control->fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	return 0;
}

static int channel_info(struct channel *channel,
			struct dm_alloctrack_info *info)
{
	*info = (struct dm_alloctrack_info) { .size = sizeof(*info) };
	return call(control_of(channel), DM_ALLOCTRACK_IOC_INFO, info);
}

/* 1: there is an event; 0: stopped, or the time is up. @wake_fd may be -1. */
static int sleep_for(struct control_channel *control, short events,
		     int wake_fd, int timeout_ms)
{
	struct pollfd fds[] = {
		{ .fd = control->fd, .events = events },
		{ .fd = control->stop_fd, .events = POLLIN },
		{ .fd = wake_fd, .events = POLLIN },
	};
	eventfd_t count;
	int r = poll(fds, 3, timeout_ms);

	if (r < 0)
		return errno == EINTR ? 0 : -errno;
	if (fds[1].revents)
		return 0;
	if (fds[2].revents)
		return eventfd_read(wake_fd, &count) ? 0 : 1;
	if (fds[0].revents & (POLLERR | POLLHUP))
		return -ENODEV;
	return fds[0].revents ? 1 : 0;
}

static int channel_wait(struct channel *channel,
			struct dm_alloctrack_range *ranges, unsigned int max)
{
	struct control_channel *control = control_of(channel);
	struct dm_alloctrack_wait wait = {
		.size = sizeof(wait),
		.max = max,
		.ranges = (uintptr_t)ranges,
	};
	int r = sleep_for(control, POLLIN, -1, -1);

	if (r <= 0)
		return r;
	r = call_wait(control, &wait);
	if (r == -EINVAL && !is_nonblocking(control))
		r = set_nonblocking(control) ?: call_wait(control, &wait);
	return r ? r : (int)wait.nr;
}

static int channel_wait_control(struct channel *channel, int timeout_ms)
{
	struct control_channel *control = control_of(channel);

	return sleep_for(control, POLLPRI, control->wake_fd, timeout_ms);
}

static unsigned int flags_of(bool stream)
{
	return stream ? DM_ALLOCTRACK_STREAM : 0;
}

static int channel_fill(struct channel *channel, bool stream, uint64_t offset,
			uint64_t length, const void *buffer)
{
	struct dm_alloctrack_fill fill = {
		.size = sizeof(fill),
		.flags = flags_of(stream),
		.offset = offset,
		.length = length,
		.buffer = (uintptr_t)buffer,
	};

	return call(control_of(channel), DM_ALLOCTRACK_IOC_FILL, &fill);
}

static int channel_zero(struct channel *channel, bool stream, uint64_t offset,
			uint64_t length)
{
	struct dm_alloctrack_zero zero = {
		.size = sizeof(zero),
		.flags = flags_of(stream),
		.offset = offset,
		.length = length,
	};

	return call(control_of(channel), DM_ALLOCTRACK_IOC_ZERO, &zero);
}

static int channel_fail(struct channel *channel, bool stream, uint64_t offset,
			uint64_t length, int error_number)
{
	struct dm_alloctrack_fail fail = {
		.size = sizeof(fail),
		.flags = flags_of(stream),
		.offset = offset,
		.length = length,
		.error = error_number,
	};

	return call(control_of(channel), DM_ALLOCTRACK_IOC_FAIL, &fail);
}

static int channel_next_unallocated(struct channel *channel, uint64_t *offset,
				    uint64_t *length)
{
	struct dm_alloctrack_next next = {
		.size = sizeof(next),
		.flags = DM_ALLOCTRACK_NEXT_UNALLOCATED,
		.offset = *offset,
	};
	int r = call(control_of(channel), DM_ALLOCTRACK_IOC_NEXT, &next);

	*offset = next.offset;
	*length = r ? 0 : next.length;
	return r;
}

static int channel_set_on_error(struct channel *channel,
				enum dm_alloctrack_on_error on_error)
{
	char text[64];

	snprintf(text, sizeof(text), "on_error %s", on_error_name(on_error));
	return dm_message(control_of(channel)->name, text);
}

static void channel_wake(struct channel *channel)
{
	eventfd_write(control_of(channel)->wake_fd, 1);
}

static void channel_stop(struct channel *channel)
{
	eventfd_write(control_of(channel)->stop_fd, 1);
}

static const struct channel_ops control_ops = {
	.info = channel_info,
	.wait = channel_wait,
	.wait_control = channel_wait_control,
	.fill = channel_fill,
	.zero = channel_zero,
	.fail = channel_fail,
	.next_unallocated = channel_next_unallocated,
	.set_on_error = channel_set_on_error,
	.wake = channel_wake,
	.stop = channel_stop,
};

static void say_attach_failed(const char *name, int r)
{
	switch (r) {
	case -EBUSY:
		error("%s: another server is attached; to find it: dmlive status %s",
		      name, name);
		break;
	case -EOPNOTSUPP:
		error("%s: its backing is not 'user', so there is nothing to serve",
		      name);
		break;
	case -ENODEV:
		error("%s has no alloctrack table, so there is nothing to serve",
		      name);
		break;
	default:
		error_errno(r, "%s: cannot attach to the device", name);
	}
}

int control_channel_open(const char *name, unsigned int major,
			 unsigned int minor, struct channel **channel)
{
	struct dm_alloctrack_attach attach = {
		.size = sizeof(attach),
		.major = major,
		.minor = minor,
	};
	struct control_channel *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	control->channel.ops = &control_ops;
	control->name = name;
	control->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	control->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	control->fd = open(NODE, O_RDWR | O_CLOEXEC);
	if (control->fd < 0 || control->stop_fd < 0 || control->wake_fd < 0) {
		r = -errno;
		error_errno(r, "%s cannot be opened; is the module dm-alloctrack loaded, and are you root?",
			    NODE);
		goto close;
	}
	r = call(control, DM_ALLOCTRACK_IOC_ATTACH, &attach);
	if (r) {
		say_attach_failed(name, r);
		goto close;
	}
	*channel = &control->channel;
	return 0;
close:
	control_channel_close(&control->channel);
	return r;
}

void control_channel_close(struct channel *channel)
{
	struct control_channel *control = control_of(channel);

	if (!channel)
		return;
	if (control->fd >= 0)
		close(control->fd);
	if (control->stop_fd >= 0)
		close(control->stop_fd);
	if (control->wake_fd >= 0)
		close(control->wake_fd);
	free(control);
}
