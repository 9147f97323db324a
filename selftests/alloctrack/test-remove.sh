#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The device can be removed in every state, also under load, and then the modules can
# be unloaded.

. "$(dirname "$0")/alloctrack.sh"

readonly SIZE=$((4 * 2048))
file=$(make_painted stale 4) || bail "file"
# Slow disks, so that copies are always in flight.
backing=$(make_painted backing 4 512 irqmode=2 completion_nsec=5000000) || bail "backing"
program=''

# load - I/O until it fails.
load()
{
	blkmodel "$T" --initial "$backing" --errors-allowed --no-verify \
		--seconds 100 --max-io 256K > "$TMP/out" 2>&1 &
	program=$!
	on_exit stop_process $program
	wait_until io_arrives
}

# Counts the guest's I/O only: streaming writes to the file, not to the device.
io_arrives()
{
	local words
	read -r -a words < "/sys/dev/block/$(dm_number t)/stat"
	[ "${words[4]}" -gt 0 ]
}

# states COMMAND... - run the command in each state, and with copies in flight.
states()
{
	local state
	for state in idle running paused cancelled; do
		at_create t $SIZE "$file" "$backing" 128 stream_speed 2000000 copy_on_read
		[ $state = idle ] || message t stream start
		[ $state != paused ] || message t stream pause
		[ $state != cancelled ] || message t stream cancel
		"$@" "$state"
	done
}

gone()
{
	! dmsetup info t > /dev/null 2>&1
}

plainly()
{
	dd_read "$T" 65536 4096 > /dev/null
	check "$1: remove" dmsetup remove t
}

by_force()
{
	load
	check_fails "$1, in use: remove is refused" dmsetup remove t
	dmsetup remove --force t > /dev/null 2>&1
	stop_process $program
	check "$1, in use: is removed by force" dm_remove t
	check "$1: is gone" gone
}

deferred()
{
	load
	check "$1, in use: deferred remove" dmsetup remove --deferred t
	stop_process $program
	check "$1: is removed with its last user" wait_until gone
}

error_table()
{
	load
	check "$1, in use: error table" dm_reload t "0 $SIZE error" --noflush
	stop_process $program
	check "$1: remove" dm_remove t
}

# The backing fails, with each on_error policy.
failing()
{
	local policy broken
	broken=$(make_linear b "$backing") || bail "linear"
	break_device b "$backing" 4096 64
	for policy in report ignore stop; do
		at_create t $SIZE "$file" "$broken" 128 on_error $policy copy_on_read
		load
		message t stream start
		stop_process $program
		check "a failing backing, $policy: remove" dmsetup remove t
		check_fails "a failing backing, $policy: there is nothing left to remove" \
			dmsetup remove t
	done
	dm_remove b
}

# Suspended: with I/O that waits for the resume, and without.
suspended()
{
	local state flag
	for flag in "" --noflush; do
		at_create t $SIZE "$file" "$backing" 128 stream_speed 2000000
		message t stream start
		dmsetup suspend $flag t || bail "suspend"
		check "suspended $flag: remove" dmsetup remove t
	done
	at_create t $SIZE "$file" "$backing" 128
	dmsetup suspend t || bail "suspend"
	dd_read "$T" 0 4096 > /dev/null 2>&1 &
	program=$!
	wait_until waits_for_resume
	check_fails "suspended, a read waits: remove is refused" dmsetup remove t
	dmsetup remove --force t > /dev/null 2>&1
	wait $program
	result $(($? == 0)) "suspended, forced: the read fails, and does not hang"
	check "suspended, forced: is gone" dm_remove t
}

waits_for_resume()
{
	[ "$(dmsetup info -c --noheadings -o open t)" -gt 0 ]
}

# Unload and load the modules.
unload()
{
	local modules
	modules=$CHECKOUT/build/modules/$(uname -r)
	[ -f "$modules/dm-alloctrack/dm-alloctrack.ko" ] ||
		{ skip "unload" "no modules in $modules"; return; }
	on_exit load_modules "$modules"
	check "unload the module" rmmod dm_alloctrack
	check "load it again" load_modules "$modules"
	at_create t $SIZE "$file" "$backing" 128 stream
	check "and use it" wait_until state_is t complete
	at_remove t
}

load_modules()
{
	[ -d /sys/module/dm_alloctrack ] || insmod "$1/dm-alloctrack/dm-alloctrack.ko"
}

states plainly
states by_force
states deferred
states error_table
failing
suspended
unload
finish
