#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-lockdep
#
# Large bitmaps are never walked under a lock: the kernel's checks find no such walk in
# alloctrack's stream and cbw's job, on devices of 64 GiB with blocks of 4 KiB, nor when
# large ranges become allocated at once.

. "$(dirname "$0")/cbw.sh"
require_target alloctrack
require_target zero

readonly SIZE=$((64 << 21)) BLOCK=8

# The target for both tests, and the origin.
dm_create z "0 $SIZE zero" && dm_create o "0 $SIZE zero" || bail "zero"

stream()
{
	dm_create t "0 $SIZE alloctrack /dev/mapper/z - - $BLOCK 3 target_is_zero stream_speed 100000000" ||
		bail "t"
	check "stream: start" message stream start
	check "stream: it streams" wait_until streams
	check "stream: cancel" message stream cancel
	check "stream: a discard of 3 GiB" blkdiscard -o $((40 << 30)) -l $((3 << 30)) $T
	check "stream: start from the first block" message stream start
	check "stream: suspend" eval "dmsetup suspend t && dmsetup resume t"
	dm_remove t
}

streams()
{
	[ "$(dm_status t 3 | cut -d / -f 1)" -gt 0 ]
}

job()
{
	dm_create t "$(cbw_table $SIZE /dev/mapper/o $BLOCK)" || bail "t"
	check "job: a session" dm_reload t \
		"$(cbw_table $SIZE /dev/mapper/o $BLOCK target /dev/mapper/z)"
	check "job: start" message job start
	check "job: it copies" wait_until copies
	check "job: cancel" message job cancel
	check "job: start from the first block" message job start
	check "job: cancel it again" message job cancel
	dm_remove t
}

copies()
{
	[ "$(st 2 | cut -d / -f 1)" -gt 0 ]
}

stream
job
finish
