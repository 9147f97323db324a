#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A cbw device with the swap space makes progress under memory pressure while a session
# copies before each write to it, and swapped memory is read back intact.

. "$(dirname "$0")/cbw.sh"
require_command swapon mkswap

readonly MIB=64 LIMIT=$((40 << 20)) GROUP=/sys/fs/cgroup/cbw-swap
[ -e /proc/swaps ] || skip_all "no swap in this kernel"
grep -qw memory /sys/fs/cgroup/cgroup.controllers 2> /dev/null ||
	skip_all "no memory cgroup in this kernel"

origin=$(make_painted $MIB) && target=$(make_disk $MIB) || bail "disks"
echo +memory > /sys/fs/cgroup/cgroup.subtree_control && mkdir $GROUP || bail "cgroup"
on_exit rmdir $GROUP
echo $LIMIT > $GROUP/memory.max
[ -e $GROUP/memory.swap.max ] || skip_all "no swap accounting in this kernel"

swapped_bytes_above()
{
	[ "$(cat $GROUP/memory.swap.current)" -gt "$1" ]
}

no_swap()
{
	! grep -q '^/dev/' /proc/swaps || swapoff $T
}

# swap_under FEATURE_WORD... - with a session of these features.
swap_under()
{
	local pigs=() i
	label=$*
	viewcheck "$origin" - paint $RANDOM
	dm_create t "$(cbw_table $((MIB * 2048)) "$origin" 8)" || bail "t"
	mkswap -q $T || bail "mkswap"
	begin_session $((MIB * 2048)) "$origin" 8 "$@"
	make_view || bail "view"
	swapon $T || bail "swapon"
	on_exit no_swap
	# Two programs that use more memory than allowed, and check what they read back.
	for i in 1 2; do
		pressure $GROUP 32 1 > "$TMP/pressure$i" 2>&1 &
		pigs+=($!)
		on_exit stop_process $!
	done
	check_so "it is swapped" wait_until swapped_bytes_above $((8 << 20))
	same "a view is read meanwhile" $V
	for i in 1 2; do
		wait "${pigs[i - 1]}"
		result $? "$label: process $i has its memory as it was" ||
			diag "$(cat "$TMP/pressure$i")"
	done
	check_so "swapoff" swapoff $T
	diag "$(dm_status t)"
	like "$label: blocks were copied" "$(st 2)" '^[1-9]'
	is_so "no errors" "$(st 7)$(st 8)" 00
	same "the view is the point in time" $V
	dm_remove v
	dm_remove t
}

swap_under target "$target"
swap_under fleece "$target"
finish
