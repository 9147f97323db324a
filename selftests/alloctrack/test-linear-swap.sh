#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# A complete device can become linear under running I/O. Nothing is lost, and backing
# and module are free afterwards.

. "$(dirname "$0")/alloctrack.sh"
require_command fio

readonly SIZE=$((8 * 2048))

writes_on()
{
	[ "$(disk_stat "$file" 7)" -gt "$written" ]
}

# swap BLOCK FEATURE...
swap()
{
	local label="blocks of $(($1 / 2)) KiB, ${*:2}" file backing written

	file=$(make_painted stale 8) && backing=$(make_painted backing 8) || bail "disks"
	make_linear b "$backing" > /dev/null || bail "linear"
	at_create t $SIZE "$file" /dev/mapper/b "$1" "${@:2}"
	start_fio 0 --size=4m
	check "$label: an event" timeout 60 dmsetup wait t
	is_so "the state" "$(at_status t 2)" complete
	check "$label: swap to linear" dm_reload t "0 $SIZE linear $file 0"
	written=$(disk_stat "$file" 7)
	check "$label: fio runs on it" wait_until writes_on
	check "$label: the backing is free" dmsetup remove b
	fio_is_good "fio verifies what it wrote"
	is_so "the table" "$(dm_target t)" linear
	check "$label: the other half is the backing's" \
		cmp -i $((4 << 20)):$((4 << 20)) -n $((4 << 20)) "$T" "$backing"
	at_remove t
}

swap 128 stream
swap 8 stream auto_remove
swap 4096 stream copy_on_read
finish
