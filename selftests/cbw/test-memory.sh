#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A table allocates only the memory that its features need. A table that needs more than
# is available is refused when it is loaded: no process is killed, and no resume fails.

. "$(dirname "$0")/track.sh"
require_target zero
require_command losetup

# available - in MiB.
available()
{
	awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo
}

# big_of MIB - a device so large that a bitmap of it, in blocks of 4 KiB, has MIB.
big_of()
{
	size=$(($1 * (1 << 20) * 8 * 8))
	dm_create big "0 $size zero" || bail "big"
}

# By far the largest process, like a guest.
hold_memory()
{
	local held
	held=$(head -c 64000000 /dev/zero | tr '\0' x)
	: > "$TMP/held"
	# Without exec, since the memory belongs to this shell.
	sleep 1000
	echo ${#held}
}

is_refused()
{
	check_fails "$1" dmsetup load t --table "$2"
	check "... and no process is killed" is_running $victim
	is "... and all is given back" "$(($(available) > before - 100))" 1
}

hold_memory &
victim=$!
on_exit stop_process $victim
wait_until test -e "$TMP/held" || bail "memory"
fleece=$(make_disk 64) || bail "fleece"
log_mark

big_of 56
dm_create t "$(cbw_table $size /dev/mapper/big 8)" || bail "t"
before=$(available)
check "a session of 1.75 TiB with a small fleece device" \
	dmsetup load t --table "$(cbw_table $size /dev/mapper/big 8 fleece "$fleece")"
is "two bitmaps, and what 64 MiB of slots need" "$(($(available) > before - 150))" 1
dmsetup clear t
dm_remove t
dm_remove big

# There is memory for the first bitmap, and not for the second.
big_of $((before * 6 / 10))
dm_create t "$(cbw_table $size /dev/mapper/big 8)" || bail "t"
is_refused "a session that is too large" \
	"$(cbw_table $size /dev/mapper/big 8 fleece "$fleece")"
dm_remove t
dm_remove big

# Change tracking: three bitmaps of 32 MiB.
big_of 32
dmlive meta format "$TMP/meta" --size $((size * 512)) --granularity 4K --bitmap B:4K:auto \
	--bitmap C:4K:auto --bitmap D:4K --bitmap dmlive-intent:1M >&2 &&
	meta=$(make_loop "$TMP/meta") || bail "metadata"
table=$(track_table $size /dev/mapper/big "$meta" 8)
dm_create t "0 $size zero" || bail "t"
free=$(available)
check "a table with bitmaps" dmsetup load t --table "$table"
loaded=$(available)
is "it has its memory when it is loaded" "$((loaded < free - 80 && loaded > free - 130))" 1
dmsetup clear t
is "and gives it back when it is not resumed" "$(($(available) > free - 30))" 1
check "the table again" dmsetup load t --table "$table"
check "twice" dmsetup load t --table "$table"
is "one of them is gone" "$(($(available) > free - 130))" 1
check "its resume" eval "dmsetup suspend t && dmsetup resume t"
is "it needs no more then" "$(($(available) > loaded - 30))" 1
check "a write" dd_write $T 0 4096
check "suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
is "that needs no more either" "$(($(available) > loaded - 30))" 1
is "the writes are recorded" "$(tracking B) $(tracking D)" "recording 1 disabled 0"

# There is half of the memory that another such table needs.
mkdir "$TMP/full" && mount -t tmpfs -o size=100% full "$TMP/full" || bail "tmpfs"
on_exit umount "$TMP/full"
fallocate -l $(($(available) - 64))M "$TMP/full/zeros" || bail "memory"
before=$(available)
is_refused "a table whose bitmaps are too large" "$table"
is "the device is not suspended" "$(dmsetup info -c --noheadings -o suspended t)" Active
check "it goes on" dd_write $T 1048576 4096
is "and is recorded" "$(tracking B)" "recording 2"
rm "$TMP/full/zeros"
free=$(available)
check "a session on a bitmap, then" dmsetup load t --table \
	"$(track_table $size /dev/mapper/big "$meta" 8 fleece "$fleece" bitmap B)"
loaded=$(available)
is "it has a bitmap for what is written meanwhile" "$((loaded < free - 180))" 1
check "it begins" eval "dmsetup suspend t && dmsetup resume t"
is "with the memory that it has" "$(($(available) > loaded - 30))" 1
is "of earlier writes" "$(st 2) $(tracking B)" "0/2 frozen 2"
dm_remove t
dm_remove big

if has_target alloctrack; then
	before=$(available)
	big_of $((before * 12 / 10))
	dm_create t "0 $size zero" || bail "t"
	is_refused "a restore that is too large" "0 $size alloctrack /dev/mapper/big - - 8 0"
fi
is "the kernel has killed nothing" "$(log_since | grep -ciE 'out of memory|oom')" 0
finish
