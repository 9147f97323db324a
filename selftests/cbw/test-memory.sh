#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What a table needs follows what it is for, and one that needs more memory than there
# is is refused: no process is killed for it.

. "$(dirname "$0")/cbw.sh"
require_target zero

# available: MiB.
available()
{
	awk '$1 == "MemAvailable:" { print int($2 / 1024) }' /proc/meminfo
}

# big_of MIB: a device so large that a bitmap of it, in blocks of 4 KiB, has so many MiB.
big_of()
{
	size=$(($1 * (1 << 20) * 8 * 8))
	dm_create big "0 $size zero" || bail "big"
}

# The largest process by far, as a guest would be.
hold_memory()
{
	local held
	held=$(head -c 64000000 /dev/zero | tr '\0' x)
	: > "$TMP/held"
	# Not exec: the memory is this shell's.
	sleep 1000
	echo ${#held}
}

is_refused()
{
	check_fails "$1" dmsetup load t --table "$2"
	check "... and nobody is killed" is_running $victim
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

# The first bitmap has room, the second one has not.
big_of $((before * 6 / 10))
dm_create t "$(cbw_table $size /dev/mapper/big 8)" || bail "t"
is_refused "a session that is too large" \
	"$(cbw_table $size /dev/mapper/big 8 fleece "$fleece")"
dm_remove t
dm_remove big

if has_target alloctrack; then
	big_of $((before * 12 / 10))
	dm_create t "0 $size zero" || bail "t"
	is_refused "a restore that is too large" "0 $size alloctrack /dev/mapper/big - - 8 0"
fi
is "the kernel has killed nothing" "$(log_since | grep -ciE 'out of memory|oom')" 0
finish
