// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/dm-alloctrack: the ioctls of a user server, see
 * include/uapi/linux/dm-alloctrack.h.
 *
 * An open file is bound to one device for good. It holds a reference, so the
 * device may go at any time: then the ioctls say ENODEV. No lock is held while
 * user memory is touched; the pages of a FILL are pinned first.
 */
#include <linux/blkdev.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "alloctrack.h"
#include "blocks.h"
#include "control.h"
#include "device.h"
#include "fault.h"
#include "fill.h"
#include "stream.h"
#include "dm-live/bitmap.h"
#include "dm-live/copier.h"

#define MAX_WAIT_RANGES		65536u
#define WAIT_BATCH		256u

/* ZERO works in pieces of this size, between which a suspend may come. */
#define ZERO_BYTES		(64u << 20)

/* Larger major numbers do not fit in a dev_t. */
#define MAX_MAJOR		((1U << (32 - MINORBITS)) - 1)

/* A page of the buffer of a FILL as user space sees it. */
#define BUFFER_ALIGNMENT	4096u

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

/* What an ioctl function gets: the argument struct in kernel memory. */
struct request {
	struct file *file;
	struct server *server;
	struct at_device *device;
};

/*
 * Get the active table, and keep it active till put_table(). Waits while the
 * device is suspended.
 */
static struct at_table *get_table(struct request *request)
{
	struct at_device *device = request->device;

	for (;;) {
		down_read(&device->active_rwsem);
		if (device->active)
			return device->active;
		up_read(&device->active_rwsem);

		if (READ_ONCE(device->gone))
			return ERR_PTR(-ENODEV);
		if (request->file->f_flags & O_NONBLOCK)
			return ERR_PTR(-EAGAIN);
		if (wait_event_interruptible(device->wait,
					     READ_ONCE(device->active) ||
					     READ_ONCE(device->gone)))
			return ERR_PTR(-EINTR);
	}
}

static void put_table(struct at_table *table)
{
	up_read(&table->device->active_rwsem);
}

/* Check a range in bytes and convert it to blocks. */
static int parse_range(const struct at_device *device, u64 offset, u64 length,
		       u64 *first, u64 *nr)
{
	u64 block_bytes = (u64)at_block_sectors(device) << SECTOR_SHIFT;
	u64 device_bytes = (u64)device->geometry.nr_sectors << SECTOR_SHIFT;

	if (!length || offset >= device_bytes || length > device_bytes - offset)
		return -EINVAL;
	if (offset & (block_bytes - 1))
		return -EINVAL;
	if ((length & (block_bytes - 1)) && offset + length != device_bytes)
		return -EINVAL;
	*first = at_sector_to_block(device, offset >> SECTOR_SHIFT);
	*nr = DIV_ROUND_UP_ULL(length, block_bytes);
	return 0;
}

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
	/* Partner of the read in find_device(): the device is complete. */
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
	/* First the sequence: a change after it is seen again. */
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
			/* Not told after all: the server gets them again. */
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
	/* Another thread of the server may be quicker: then wait again. */
	do {
		r = wait_for_fault(request, wait->flags);
		if (!r)
			r = tell_faults(request->device, wait, batch,
					wait->max);
	} while (!r && !wait->nr);
	kfree(batch);
	return r;
}

/* One piece of a FILL or a ZERO: serve, fill, serve again (see fault.c). */
static blk_status_t supply(struct at_table *table, u64 first, u64 nr,
			   const struct dm_live_data *data, u64 *changed)
{
	struct at_device *device = table->device;
	blk_status_t status;

	at_faults_serve(device, first, nr, data);
	status = at_fill(table, first, nr, data, changed);
	at_faults_serve(device, first, nr, data);
	at_faults_settle(device, first, nr, status);
	return status;
}

static int supply_piece(struct request *request, u32 flags, u64 first, u64 nr,
			const struct dm_live_data *data, __u64 *used_bytes)
{
	struct at_device *device = request->device;
	struct at_table *table = get_table(request);
	blk_status_t status;
	u64 changed = 0;

	if (IS_ERR(table))
		return PTR_ERR(table);
	if (table->read_only) {
		at_faults_serve(device, first, nr, data);
		put_table(table);
		return -EROFS;
	}
	status = supply(table, first, nr, data, &changed);
	if (flags & DM_ALLOCTRACK_STREAM)
		at_count_streamed(device, first, nr, changed);
	if (status && (flags & DM_ALLOCTRACK_STREAM))
		at_stream_error(table, first, status, false);
	else if (status)
		atomic64_inc(&device->write_errors);
	put_table(table);

	*used_bytes += changed == nr ?
		       (u64)at_range_sectors(device, first, nr) << SECTOR_SHIFT :
		       (changed * at_block_sectors(device)) << SECTOR_SHIFT;
	return blk_status_to_errno(status);
}

static int fill_piece(struct request *request, struct dm_alloctrack_fill *fill,
		      u64 first, u64 nr, unsigned long address, size_t bytes,
		      struct page **pages)
{
	struct dm_live_data data = {
		.pages = pages,
		.offset_bytes = offset_in_page(address),
	};
	int nr_pages = DIV_ROUND_UP(data.offset_bytes + bytes, PAGE_SIZE);
	int pinned, r;

	pinned = pin_user_pages_fast(address & PAGE_MASK, nr_pages, 0, pages);
	/* Newer kernels tell apart a range that wraps round. */
	if (pinned < 0)
		return pinned == -EOVERFLOW ? -EFAULT : pinned;
	r = -EFAULT;
	if (pinned == nr_pages)
		r = supply_piece(request, fill->flags, first, nr, &data,
				 &fill->used_bytes);
	unpin_user_pages(pages, pinned);
	return r;
}

static int fill(struct request *request, void *argument)
{
	struct at_device *device = request->device;
	struct dm_alloctrack_fill *fill = argument;
	u64 piece_blocks = at_fill_blocks(device);
	u64 first, nr, position = 0;
	struct page **pages;
	int r;

	fill->used_bytes = 0;
	if (fill->flags & ~DM_ALLOCTRACK_STREAM ||
	    fill->length > DM_ALLOCTRACK_MAX_FILL_BYTES ||
	    fill->buffer & (BUFFER_ALIGNMENT - 1) ||
	    fill->buffer != (unsigned long)fill->buffer)
		return -EINVAL;
	r = parse_range(device, fill->offset, fill->length, &first, &nr);
	if (r)
		return r;

	pages = kvmalloc_array((at_range_sectors(device, 0, piece_blocks) >>
				PAGE_SECTORS_SHIFT) + 2, sizeof(*pages),
			       GFP_KERNEL);
	if (!pages)
		return -ENOMEM;
	while (nr && !r) {
		u64 piece = min(nr, piece_blocks);
		size_t bytes = (size_t)at_range_sectors(device, first, piece)
			       << SECTOR_SHIFT;

		r = fill_piece(request, fill, first, piece,
			       (unsigned long)fill->buffer + position, bytes,
			       pages);
		position += bytes;
		first += piece;
		nr -= piece;
	}
	kvfree(pages);
	return r;
}

static int zero(struct request *request, void *argument)
{
	struct at_device *device = request->device;
	struct dm_alloctrack_zero *zero = argument;
	u64 piece_blocks = max_t(u64, 1, at_sector_to_block(device,
						ZERO_BYTES >> SECTOR_SHIFT));
	u64 first, nr;
	int r;

	zero->used_bytes = 0;
	if (zero->flags & ~DM_ALLOCTRACK_STREAM)
		return -EINVAL;
	r = parse_range(device, zero->offset, zero->length, &first, &nr);
	while (!r && nr) {
		u64 piece = min(nr, piece_blocks);

		r = supply_piece(request, zero->flags, first, piece, NULL,
				 &zero->used_bytes);
		first += piece;
		nr -= piece;
		if (!r && signal_pending(current) && nr)
			r = -EINTR;
	}
	return r;
}

/*
 * The status of failed I/O. Not errno_to_blk_status(): some errnos stand for
 * requests to the block layer, such as to try again.
 */
static blk_status_t status_of_errno(u32 error)
{
	switch (error) {
	case ENOSPC:
		return BLK_STS_NOSPC;
	case ETIMEDOUT:
		return BLK_STS_TIMEOUT;
	case ENODATA:
		return BLK_STS_MEDIUM;
	case EILSEQ:
		return BLK_STS_PROTECTION;
	default:
		return BLK_STS_IOERR;
	}
}

static int fail(struct request *request, void *argument)
{
	struct at_device *device = request->device;
	struct dm_alloctrack_fail *fail = argument;
	struct at_table *table;
	blk_status_t status;
	u64 first, nr;
	int r;

	if (fail->flags & ~DM_ALLOCTRACK_STREAM || fail->reserved ||
	    !fail->error || fail->error > MAX_ERRNO)
		return -EINVAL;
	r = parse_range(device, fail->offset, fail->length, &first, &nr);
	if (r)
		return r;

	status = status_of_errno(fail->error);
	at_faults_fail(device, first, nr, status);
	if (!(fail->flags & DM_ALLOCTRACK_STREAM))
		return 0;
	table = get_table(request);
	if (IS_ERR(table))
		return PTR_ERR(table);
	at_stream_error(table, first, status, true);
	put_table(table);
	return 0;
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
	/* Also after an error: it says how far it came. */
	if (copy_to_user(user, &argument, min(size, ioctl->size)) && !r) {
		r = -EFAULT;
		/* The server does not know how many it was told. */
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
