/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef ALLOCTRACK_IOCTL_LAYOUT_H
#define ALLOCTRACK_IOCTL_LAYOUT_H

/*
 * The layout of the ioctl arguments, which is the same for 32-bit and 64-bit
 * programs and must never change: members may only be added at the end. All
 * members are listed, so that padding between them would be noticed.
 */

#include <linux/dm-alloctrack.h>
#include <stddef.h>

#define SIZE(type, bytes)						\
	_Static_assert(sizeof(struct dm_alloctrack_##type) == (bytes),	\
		       "size of " #type)
#define MEMBER(type, member, offset)					\
	_Static_assert(offsetof(struct dm_alloctrack_##type, member) ==	\
		       (offset), "offset of " #type "." #member)
#define COMMAND(name, number)						\
	_Static_assert(DM_ALLOCTRACK_IOC_##name == (number), #name)

SIZE(attach, 16);
MEMBER(attach, size, 0);
MEMBER(attach, flags, 4);
MEMBER(attach, major, 8);
MEMBER(attach, minor, 12);

SIZE(info, 88);
MEMBER(info, size, 0);
MEMBER(info, flags, 4);
MEMBER(info, device_bytes, 8);
MEMBER(info, total_blocks, 16);
MEMBER(info, allocated_blocks, 24);
MEMBER(info, streamed_bytes, 32);
MEMBER(info, read_errors, 40);
MEMBER(info, write_errors, 48);
MEMBER(info, stream_speed, 56);
MEMBER(info, fault_count, 64);
MEMBER(info, block_bytes, 72);
MEMBER(info, state, 76);
MEMBER(info, on_error, 80);
MEMBER(info, reserved, 84);

SIZE(range, 16);
MEMBER(range, offset, 0);
MEMBER(range, length, 8);

SIZE(wait, 24);
MEMBER(wait, size, 0);
MEMBER(wait, flags, 4);
MEMBER(wait, max, 8);
MEMBER(wait, nr, 12);
MEMBER(wait, ranges, 16);

SIZE(fill, 40);
MEMBER(fill, size, 0);
MEMBER(fill, flags, 4);
MEMBER(fill, offset, 8);
MEMBER(fill, length, 16);
MEMBER(fill, buffer, 24);
MEMBER(fill, used_bytes, 32);

SIZE(zero, 32);
MEMBER(zero, size, 0);
MEMBER(zero, flags, 4);
MEMBER(zero, offset, 8);
MEMBER(zero, length, 16);
MEMBER(zero, used_bytes, 24);

SIZE(fail, 32);
MEMBER(fail, size, 0);
MEMBER(fail, flags, 4);
MEMBER(fail, offset, 8);
MEMBER(fail, length, 16);
MEMBER(fail, error, 24);
MEMBER(fail, reserved, 28);

SIZE(next, 32);
MEMBER(next, size, 0);
MEMBER(next, flags, 4);
MEMBER(next, offset, 8);
MEMBER(next, length, 16);
MEMBER(next, allocated, 24);
MEMBER(next, reserved, 28);

COMMAND(ATTACH, 0xda40);
COMMAND(INFO, 0xda41);
COMMAND(WAIT, 0xda42);
COMMAND(FILL, 0xda43);
COMMAND(ZERO, 0xda44);
COMMAND(FAIL, 0xda45);
COMMAND(NEXT, 0xda46);

_Static_assert(DM_ALLOCTRACK_IDLE == 0 && DM_ALLOCTRACK_COMPLETE == 6, "states");
_Static_assert(DM_ALLOCTRACK_ON_ERROR_REPORT == 0 &&
	       DM_ALLOCTRACK_ON_ERROR_ENOSPC == 3, "policies");

#endif /* ALLOCTRACK_IOCTL_LAYOUT_H */
