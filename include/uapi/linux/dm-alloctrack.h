/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * The control interface of the device-mapper target "alloctrack".
 */
#ifndef _UAPI_LINUX_DM_ALLOCTRACK_H
#define _UAPI_LINUX_DM_ALLOCTRACK_H

#include <linux/ioctl.h>
#include <linux/types.h>

/**
 * DOC: /dev/dm-alloctrack
 *
 * A process (the *server*) opens /dev/dm-alloctrack, binds the file descriptor
 * to one mapped device with ATTACH, and serves the blocks that are not yet
 * allocated on it. It is needed by devices whose table line names ``user`` as
 * the backing. CAP_SYS_ADMIN is required to open the device.
 *
 * The allocation bitmap in the kernel is the only truth: there are no cookies
 * and no per-request state. A fault (guest I/O that waits for a range) stays
 * queued until the range is filled or failed, whichever server does it. When a
 * server dies, the next one that attaches is told all queued faults again.
 *
 * All ioctls take a pointer to a struct whose first member, @size, is the size
 * that the caller knows. A larger struct is accepted as long as the bytes that
 * this kernel does not know are zero (else E2BIG); a smaller one as long as it
 * holds the members of the first version (else EINVAL). Unknown flags and
 * reserved members that are not zero give EINVAL. Layout and ioctl numbers are
 * the same for 32-bit and 64-bit callers.
 *
 * Units: offsets and lengths are bytes on the mapped device. They must be
 * multiples of the block size, except that a range may end at the end of the
 * device.
 *
 * Any number of threads may use one file descriptor at the same time. poll()
 * reports POLLIN when WAIT would return a range, POLLPRI when the stream
 * control (state, speed, on_error) changed since the last INFO, and
 * POLLHUP|POLLERR once the mapped device is gone.
 *
 * Error numbers common to all:
 *
 * =============  ==========================================================
 * EINVAL         an argument is malformed: size, flags, alignment, reserved
 * E2BIG          members unknown to this kernel are not zero, or @size is larger
 *                than a page
 * EFAULT         a pointer is bad
 * ENOTTY         unknown ioctl
 * ENOTCONN       the file descriptor is not attached
 * ENODEV         the mapped device was removed, or has another table now
 * EINTR          a signal arrived while waiting for a suspended device
 * EAGAIN         as EINTR, where the file descriptor is O_NONBLOCK
 * =============  ==========================================================
 */

#define DM_ALLOCTRACK_NODE	"dm-alloctrack"
#define DM_ALLOCTRACK_IOC	0xda

enum {
	DM_ALLOCTRACK_CMD_ATTACH = 0x40,
	DM_ALLOCTRACK_CMD_INFO,
	DM_ALLOCTRACK_CMD_WAIT,
	DM_ALLOCTRACK_CMD_FILL,
	DM_ALLOCTRACK_CMD_ZERO,
	DM_ALLOCTRACK_CMD_FAIL,
	DM_ALLOCTRACK_CMD_NEXT,
};

/**
 * struct dm_alloctrack_attach - ioctl(DM_ALLOCTRACK_IOC_ATTACH)
 * @size: sizeof(struct dm_alloctrack_attach)
 * @flags: must be 0
 * @major: major number of the mapped device
 * @minor: minor number of the mapped device
 *
 * Bind this file descriptor to a mapped device with an alloctrack table that
 * has the backing ``user``; the table may still be inactive (loaded, not yet
 * resumed). The binding ends when the last reference to the open file is
 * closed. A table reload under the server keeps the binding.
 *
 * Errors: ENODEV no such alloctrack device; EBUSY a live server is attached;
 * EISCONN this file descriptor is attached already; EOPNOTSUPP the backing of
 * the device is not ``user``.
 */
struct dm_alloctrack_attach {
	__u32 size;
	__u32 flags;
	__u32 major;
	__u32 minor;
};

#define DM_ALLOCTRACK_IOC_ATTACH \
	_IO(DM_ALLOCTRACK_IOC, DM_ALLOCTRACK_CMD_ATTACH)

/**
 * enum dm_alloctrack_state - state of the stream job, as in the status line
 * @DM_ALLOCTRACK_IDLE: not started
 * @DM_ALLOCTRACK_RUNNING: streaming
 * @DM_ALLOCTRACK_PAUSED: paused by a message
 * @DM_ALLOCTRACK_STOPPED: paused by an error (on_error stop or enospc)
 * @DM_ALLOCTRACK_FAILED: ended by an error, or ended with blocks that could
 *	not be read; final until started again
 * @DM_ALLOCTRACK_CANCELLED: ended by a message
 * @DM_ALLOCTRACK_COMPLETE: all blocks are allocated and durable; final
 */
enum dm_alloctrack_state {
	DM_ALLOCTRACK_IDLE,
	DM_ALLOCTRACK_RUNNING,
	DM_ALLOCTRACK_PAUSED,
	DM_ALLOCTRACK_STOPPED,
	DM_ALLOCTRACK_FAILED,
	DM_ALLOCTRACK_CANCELLED,
	DM_ALLOCTRACK_COMPLETE,
};

/**
 * enum dm_alloctrack_on_error - what a stream error does
 * @DM_ALLOCTRACK_ON_ERROR_REPORT: the job fails, the device lives
 * @DM_ALLOCTRACK_ON_ERROR_IGNORE: count it and go on with the next range
 * @DM_ALLOCTRACK_ON_ERROR_STOP: pause; ``stream resume`` tries again
 * @DM_ALLOCTRACK_ON_ERROR_ENOSPC: as stop for ENOSPC, else as report
 */
enum dm_alloctrack_on_error {
	DM_ALLOCTRACK_ON_ERROR_REPORT,
	DM_ALLOCTRACK_ON_ERROR_IGNORE,
	DM_ALLOCTRACK_ON_ERROR_STOP,
	DM_ALLOCTRACK_ON_ERROR_ENOSPC,
};

/**
 * struct dm_alloctrack_info - ioctl(DM_ALLOCTRACK_IOC_INFO)
 * @size: sizeof(struct dm_alloctrack_info)
 * @flags: must be 0
 * @device_bytes: size of the mapped device in bytes
 * @total_blocks: size of the mapped device in blocks; the last may be short
 * @allocated_blocks: blocks that are allocated
 * @streamed_bytes: bytes that streaming made allocated (also by FILL and ZERO
 *	with DM_ALLOCTRACK_STREAM)
 * @read_errors: stream errors on the backing
 * @write_errors: errors while filling the target volume
 * @stream_speed: speed limit in bytes/s, 0: none
 * @fault_count: I/O requests that wait for a range now
 * @block_bytes: block size in bytes
 * @state: enum dm_alloctrack_state
 * @on_error: enum dm_alloctrack_on_error
 * @reserved: zero
 *
 * Output only, except @size and @flags. A server that streams does so while
 * @state is DM_ALLOCTRACK_RUNNING, no faster than @stream_speed.
 */
struct dm_alloctrack_info {
	__u32 size;
	__u32 flags;
	__aligned_u64 device_bytes;
	__aligned_u64 total_blocks;
	__aligned_u64 allocated_blocks;
	__aligned_u64 streamed_bytes;
	__aligned_u64 read_errors;
	__aligned_u64 write_errors;
	__aligned_u64 stream_speed;
	__aligned_u64 fault_count;
	__u32 block_bytes;
	__u32 state;
	__u32 on_error;
	__u32 reserved;
};

#define DM_ALLOCTRACK_IOC_INFO \
	_IO(DM_ALLOCTRACK_IOC, DM_ALLOCTRACK_CMD_INFO)

/**
 * struct dm_alloctrack_range - a range of the mapped device, block aligned
 * @offset: in bytes
 * @length: in bytes
 */
struct dm_alloctrack_range {
	__aligned_u64 offset;
	__aligned_u64 length;
};

/**
 * struct dm_alloctrack_wait - ioctl(DM_ALLOCTRACK_IOC_WAIT)
 * @size: sizeof(struct dm_alloctrack_wait)
 * @flags: must be 0
 * @max: number of elements that @ranges has room for, 1 to 65536
 * @nr: out: number of elements written
 * @ranges: pointer to an array of struct dm_alloctrack_range
 *
 * Take the ranges that guest I/O waits for and that this file descriptor was
 * not told yet, oldest first. Sleeps until there is one, unless the file
 * descriptor is O_NONBLOCK or @flags has DM_ALLOCTRACK_WAIT_NONBLOCK (then
 * EAGAIN). Each must be answered with FILL, ZERO or FAIL, in any order and in
 * parts of any size; if the answer is an error of that ioctl, the I/O that waits
 * for the range gets that error. Ranges may overlap each other.
 *
 * What poll() reported may be served by streaming before WAIT is called. So a
 * server that sleeps in poll() needs the flag, or it may sleep in WAIT.
 */
struct dm_alloctrack_wait {
	__u32 size;
	__u32 flags;
	__u32 max;
	__u32 nr;
	__aligned_u64 ranges;
};

#define DM_ALLOCTRACK_IOC_WAIT \
	_IO(DM_ALLOCTRACK_IOC, DM_ALLOCTRACK_CMD_WAIT)

/**
 * DM_ALLOCTRACK_WAIT_NONBLOCK - flag of WAIT: EAGAIN rather than sleep
 *
 * As O_NONBLOCK, but for this call alone: FILL and the others still wait while
 * the device is suspended. Modules that do not have the flag return EINVAL.
 */
#define DM_ALLOCTRACK_WAIT_NONBLOCK	(1u << 0)

/**
 * DM_ALLOCTRACK_STREAM - flag of FILL, ZERO and FAIL: this is streaming
 *
 * The bytes count as streamed, and errors act by the on_error policy. Without
 * it the call answers a fault.
 */
#define DM_ALLOCTRACK_STREAM	(1u << 0)

/**
 * struct dm_alloctrack_fill - ioctl(DM_ALLOCTRACK_IOC_FILL)
 * @size: sizeof(struct dm_alloctrack_fill)
 * @flags: 0 or DM_ALLOCTRACK_STREAM
 * @offset: on the mapped device, in bytes
 * @length: in bytes, at most DM_ALLOCTRACK_MAX_FILL_BYTES
 * @buffer: pointer to the data, aligned to 4096 bytes
 * @used_bytes: out: bytes that became allocated by this call
 *
 * The content of the backing in this range. Guest reads that wait for it
 * complete at once; then all blocks that are not allocated are written to the
 * target volume and become allocated. Blocks allocated meanwhile are skipped.
 * The pages are written from where they are: they must not change until the
 * call returns. Blocks of zeros are written as such.
 *
 * Errors: EIO, ENOSPC and others from the target volume (@used_bytes says how
 * much was done all the same); EROFS the table is read-only.
 */
struct dm_alloctrack_fill {
	__u32 size;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 buffer;
	__aligned_u64 used_bytes;
};

#define DM_ALLOCTRACK_MAX_FILL_BYTES	(64u << 20)
#define DM_ALLOCTRACK_IOC_FILL \
	_IO(DM_ALLOCTRACK_IOC, DM_ALLOCTRACK_CMD_FILL)

/**
 * struct dm_alloctrack_zero - ioctl(DM_ALLOCTRACK_IOC_ZERO)
 * @size: sizeof(struct dm_alloctrack_zero)
 * @flags: 0 or DM_ALLOCTRACK_STREAM
 * @offset: on the mapped device, in bytes
 * @length: in bytes, of any size
 * @used_bytes: out: bytes that became allocated by this call
 *
 * As FILL with a buffer of zeros.
 */
struct dm_alloctrack_zero {
	__u32 size;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 used_bytes;
};

#define DM_ALLOCTRACK_IOC_ZERO \
	_IO(DM_ALLOCTRACK_IOC, DM_ALLOCTRACK_CMD_ZERO)

/**
 * struct dm_alloctrack_fail - ioctl(DM_ALLOCTRACK_IOC_FAIL)
 * @size: sizeof(struct dm_alloctrack_fail)
 * @flags: 0 or DM_ALLOCTRACK_STREAM
 * @offset: on the mapped device, in bytes
 * @length: in bytes
 * @error: a positive errno, 1 to 4095
 * @reserved: must be 0
 *
 * The range cannot be read. Guest I/O that waits for any part of it fails.
 * With DM_ALLOCTRACK_STREAM a read error of the stream job is counted and
 * on_error decides what becomes of the job; I/O that waits for the range fails
 * too.
 */
struct dm_alloctrack_fail {
	__u32 size;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 error;
	__u32 reserved;
};

#define DM_ALLOCTRACK_IOC_FAIL \
	_IO(DM_ALLOCTRACK_IOC, DM_ALLOCTRACK_CMD_FAIL)

/**
 * struct dm_alloctrack_next - ioctl(DM_ALLOCTRACK_IOC_NEXT)
 * @size: sizeof(struct dm_alloctrack_next)
 * @flags: 0 or DM_ALLOCTRACK_NEXT_UNALLOCATED
 * @offset: in: where to look; out: start of the extent
 * @length: out: length of the extent in bytes, 0: none up to the end
 * @allocated: out: 1 allocated, 0 unallocated
 * @reserved: must be 0
 *
 * The extent of equal allocation at @offset; with
 * DM_ALLOCTRACK_NEXT_UNALLOCATED the first unallocated extent at or after it.
 * @offset is rounded down to a block first. It is a snapshot: unallocated
 * blocks may become allocated at any time, allocated ones stay so.
 */
struct dm_alloctrack_next {
	__u32 size;
	__u32 flags;
	__aligned_u64 offset;
	__aligned_u64 length;
	__u32 allocated;
	__u32 reserved;
};

#define DM_ALLOCTRACK_NEXT_UNALLOCATED	(1u << 0)
#define DM_ALLOCTRACK_IOC_NEXT \
	_IO(DM_ALLOCTRACK_IOC, DM_ALLOCTRACK_CMD_NEXT)

#endif /* _UAPI_LINUX_DM_ALLOCTRACK_H */
