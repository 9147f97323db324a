// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/dm-alloctrack: the ioctls of a user server, see
 * include/uapi/linux/dm-alloctrack.h.
 *
 * ATTACH binds an open file to one device for good. The file holds a reference, so the
 * device may be removed at any time; the ioctls return ENODEV then. No lock is held
 * while user memory is accessed.
 */
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "alloctrack.h"
#include "blocks.h"
#include "control.h"
#include "device.h"
#include "fault.h"
#include "supply.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/copier.h"

#define MAX_WAIT_RANGES		65536u
#define WAIT_BATCH		256u

/* Larger major numbers do not fit into a dev_t. */
#define MAX_MAJOR		((1U << (32 - MINORBITS)) - 1)

/**
 * struct server - an open file
 * @device: set once, by ATTACH, under @mutex; then read without it
 * @mutex: serializes ATTACH
 * @seen_sequence: control_sequence at the last INFO
 */
struct server {
	struct at_device *device;
	struct mutex mutex;	/* serializes ATTACH */
	int seen_sequence;
};

/* Passed to each ioctl function, with the argument struct in kernel memory. */
struct request {
	struct file *file;
	struct server *server;
	struct at_device *device;
};

static int attach(struct request *request, void *argument)
{
	struct dm_alloctrack_attach *attach = argument;
	struct server *server = request->server;
	struct at_device *device;
	int r;

	if (attach->flags)
		return -EINVAL;
	if (attach->major > MAX_MAJOR || attach->minor > MINORMASK)
		return -ENODEV;
	device = at_device_find(MKDEV(attach->major, attach->minor));
	if (!device)
		return -ENODEV;

	mutex_lock(&server->mutex);
	if (server->device) {
		r = -EISCONN;
		goto unlock;
	}
	r = -EOPNOTSUPP;
	if (at_device_has_user_table(device))
		r = at_faults_attach(device, server);
	if (r)
		goto unlock;
	server->seen_sequence = atomic_read(&device->control_sequence) - 1;
	/* Partner of the loads in run_ioctl() and control_poll(). */
	smp_store_release(&server->device, device);
unlock:
	mutex_unlock(&server->mutex);
	if (r)
		at_device_put(device);
	return r;
}

static int info(struct request *request, void *argument)
{
	struct at_device *device = request->device;
	struct dm_alloctrack_info *info = argument;

	if (info->flags)
		return -EINVAL;
	/* Read the sequence first: a change after this is reported again. */
	WRITE_ONCE(request->server->seen_sequence,
		   atomic_read_acquire(&device->control_sequence));
	info->device_bytes = (u64)device->geometry.nr_sectors << SECTOR_SHIFT;
	info->total_blocks = device->geometry.nr_blocks;
	info->allocated_blocks = dm_live_bitmap_weight(device->bitmap);
	info->streamed_bytes = atomic64_read(&device->streamed_bytes);
	info->read_errors = atomic64_read(&device->read_errors);
	info->write_errors = atomic64_read(&device->write_errors);
	info->stream_speed = dm_live_rate_get(&device->stream.rate);
	info->fault_count = READ_ONCE(device->faults.count);
	info->block_bytes = at_block_sectors(device) << SECTOR_SHIFT;
	info->state = READ_ONCE(device->stream.state);
	info->on_error = READ_ONCE(device->stream.on_error);
	info->reserved = 0;
	return 0;
}

static int wait_for_fault(struct request *request, u32 flags)
{
	struct at_device *device = request->device;

	if (READ_ONCE(device->gone))
		return -ENODEV;
	if (at_faults_pending(device))
		return 0;
	if (request->file->f_flags & O_NONBLOCK ||
	    flags & DM_ALLOCTRACK_WAIT_NONBLOCK)
		return -EAGAIN;
	if (wait_event_interruptible(device->wait,
				     at_faults_pending(device) ||
				     READ_ONCE(device->gone)))
		return -EINTR;
	return READ_ONCE(device->gone) ? -ENODEV : 0;
}

static int tell_faults(struct at_device *device,
		       struct dm_alloctrack_wait *wait,
		       struct dm_alloctrack_range *batch, unsigned int max)
{
	struct dm_alloctrack_range __user *ranges =
		u64_to_user_ptr(wait->ranges);
	unsigned int nr;

	while (wait->nr < max) {
		nr = at_faults_tell(device, batch,
				    min(max - wait->nr, WAIT_BATCH));
		if (!nr)
			break;
		if (copy_to_user(ranges + wait->nr, batch,
				 nr * sizeof(*batch))) {
			/* The server has not got them: report them again. */
			at_faults_untell(device);
			return -EFAULT;
		}
		wait->nr += nr;
	}
	return 0;
}

static int wait(struct request *request, void *argument)
{
	struct dm_alloctrack_wait *wait = argument;
	struct dm_alloctrack_range *batch;
	int r;

	if (wait->flags & ~DM_ALLOCTRACK_WAIT_NONBLOCK || !wait->max ||
	    wait->max > MAX_WAIT_RANGES)
		return -EINVAL;
	wait->nr = 0;
	batch = kmalloc_array(min(wait->max, WAIT_BATCH), sizeof(*batch),
			      GFP_KERNEL);
	if (!batch)
		return -ENOMEM;
	/* Another thread of the server may have been quicker: then wait again. */
	do {
		r = wait_for_fault(request, wait->flags);
		if (!r)
			r = tell_faults(request->device, wait, batch,
					wait->max);
	} while (!r && !wait->nr);
	kfree(batch);
	return r;
}

static int fill(struct request *request, void *argument)
{
	return at_supply_fill(request->device, request->file, argument);
}

static int zero(struct request *request, void *argument)
{
	return at_supply_zero(request->device, request->file, argument);
}

static int fail(struct request *request, void *argument)
{
	return at_supply_fail(request->device, request->file, argument);
}

static int next(struct request *request, void *argument)
{
	struct at_device *device = request->device;
	const struct dm_live_bitmap *bitmap = device->bitmap;
	struct dm_alloctrack_next *next = argument;
	u64 nr_blocks = device->geometry.nr_blocks;
	bool allocated = false;
	u64 block, end;

	if (next->flags & ~DM_ALLOCTRACK_NEXT_UNALLOCATED || next->reserved)
		return -EINVAL;
	if (next->offset >= (u64)device->geometry.nr_sectors << SECTOR_SHIFT)
		return -EINVAL;

	block = at_sector_to_block(device, next->offset >> SECTOR_SHIFT);
	if (next->flags & DM_ALLOCTRACK_NEXT_UNALLOCATED)
		block = dm_live_bitmap_next_clear_slowly(bitmap, block,
							 nr_blocks);
	end = block;
	if (block < nr_blocks)
		end = dm_live_bitmap_run_slowly(bitmap, block, nr_blocks,
						&allocated);
	next->allocated = allocated;
	next->offset = (u64)at_end_sector(device, block) << SECTOR_SHIFT;
	next->length = ((u64)at_end_sector(device, end) << SECTOR_SHIFT) -
		       next->offset;
	return 0;
}

struct ioctl {
	unsigned int cmd;
	u32 size;	/* of the struct of this version */
	u32 min_size;	/* of the struct of the first version */
	int (*run)(struct request *request, void *argument);
};

#define IOCTL(name, function)						\
	[DM_ALLOCTRACK_CMD_##name - DM_ALLOCTRACK_CMD_ATTACH] = {	\
		.cmd = DM_ALLOCTRACK_IOC_##name,			\
		.size = sizeof(struct dm_alloctrack_##function),	\
		.min_size = sizeof(struct dm_alloctrack_##function),	\
		.run = function,					\
	}

static const struct ioctl ioctls[] = {
	IOCTL(ATTACH, attach),
	IOCTL(INFO, info),
	IOCTL(WAIT, wait),
	IOCTL(FILL, fill),
	IOCTL(ZERO, zero),
	IOCTL(FAIL, fail),
	IOCTL(NEXT, next),
};

union argument {
	u32 size;
	struct dm_alloctrack_attach attach;
	struct dm_alloctrack_info info;
	struct dm_alloctrack_wait wait;
	struct dm_alloctrack_fill fill;
	struct dm_alloctrack_zero zero;
	struct dm_alloctrack_fail fail;
	struct dm_alloctrack_next next;
};

static int run_ioctl(struct file *file, const struct ioctl *ioctl,
		     union argument *argument)
{
	struct server *server = file->private_data;
	struct request request = {
		.file = file,
		.server = server,
		/* Partner of the release in attach(). */
		.device = smp_load_acquire(&server->device),
	};

	if (ioctl->run != attach) {
		if (!request.device)
			return -ENOTCONN;
		if (READ_ONCE(request.device->gone))
			return -ENODEV;
	}
	return ioctl->run(&request, argument);
}

static long control_ioctl(struct file *file, unsigned int cmd,
			  unsigned long address)
{
	unsigned int index = _IOC_NR(cmd) - DM_ALLOCTRACK_CMD_ATTACH;
	void __user *user = (void __user *)address;
	struct server *server = file->private_data;
	const struct ioctl *ioctl;
	union argument argument;
	u32 size;
	int r;

	if (index >= ARRAY_SIZE(ioctls) || ioctls[index].cmd != cmd)
		return -ENOTTY;
	ioctl = &ioctls[index];
	if (get_user(size, (u32 __user *)user))
		return -EFAULT;
	if (size < ioctl->min_size)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	r = copy_struct_from_user(&argument, ioctl->size, user, size);
	if (r)
		return r;
	argument.size = size;

	r = run_ioctl(file, ioctl, &argument);
	/* After an error too: it says how far the ioctl got. */
	if (copy_to_user(user, &argument, min(size, ioctl->size)) && !r) {
		r = -EFAULT;
		/* The server does not know how many ranges it got. */
		if (ioctl->run == wait)
			at_faults_untell(server->device);
	}
	return r;
}

static __poll_t control_poll(struct file *file, poll_table *wait)
{
	struct server *server = file->private_data;
	/* Partner of the release in attach(). */
	struct at_device *device = smp_load_acquire(&server->device);
	__poll_t events = 0;

	if (!device)
		return EPOLLERR;
	poll_wait(file, &device->wait, wait);
	if (READ_ONCE(device->gone))
		return EPOLLHUP | EPOLLERR;
	if (at_faults_pending(device))
		events |= EPOLLIN | EPOLLRDNORM;
	if (atomic_read(&device->control_sequence) !=
	    READ_ONCE(server->seen_sequence))
		events |= EPOLLPRI;
	return events;
}

static int control_open(struct inode *inode, struct file *file)
{
	struct server *server;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	server = kzalloc(sizeof(*server), GFP_KERNEL);
	if (!server)
		return -ENOMEM;
	mutex_init(&server->mutex);
	file->private_data = server;
	return nonseekable_open(inode, file);
}

static int control_release(struct inode *inode, struct file *file)
{
	struct server *server = file->private_data;

	if (server->device) {
		at_faults_detach(server->device);
		at_device_put(server->device);
	}
	mutex_destroy(&server->mutex);
	kfree(server);
	return 0;
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.poll = control_poll,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice control_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = DM_ALLOCTRACK_NODE,
	.nodename = DM_ALLOCTRACK_NODE,
	.fops = &control_fops,
	.mode = 0600,
};

int at_control_init(void)
{
	return misc_register(&control_device);
}

void at_control_exit(void)
{
	misc_deregister(&control_device);
}
