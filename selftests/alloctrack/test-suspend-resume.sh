#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# Suspend and resume, in every way and any number of times, lose nothing. No I/O passes
# while the device is suspended, and streaming continues afterwards.

. "$(dirname "$0")/alloctrack.sh"
require_command fio

readonly SIZE=$((8 * 2048))

# under_load BLOCK FEATURE...
under_load()
{
	local label="blocks of $(($1 / 2)) KiB, ${*:2}" file backing

	file=$(make_painted stale 8) && backing=$(make_painted backing 8) || bail "disks"
	at_create t $SIZE "$file" "$backing" "$1" "${@:2}"
	start_fio 2 --size=4m
	suspend_storm
	result $? "$label: suspends and resumes"
	fio_is_good "fio verifies what it wrote"
	message t stream_speed 0
	[[ $label != *stream* ]] ||
		check "$label: completes" wait_until state_is t complete
	check "$label: the other half is the backing's" \
		cmp -i $((4 << 20)):$((4 << 20)) -n $((4 << 20)) "$T" "$backing"
	shows_nothing_stale
	at_remove t
}

# While suspended nothing reaches the file, then all of it does.
held_back()
{
	local file backing before program
	file=$(make_painted stale 8) && backing=$(make_painted backing 8) || bail "disks"
	at_create t $SIZE "$file" "$backing" 128 stream stream_speed 1000000
	reads_as "reads as its backing" "$backing"
	dmsetup suspend t
	before="$(disk_stat "$file" 7) $(disk_stat "$backing" 3)"
	mirror "$T" "$MODEL" write 4194304 65536 > "$TMP/out" 2>&1 &
	program=$!
	on_exit stop_process $program
	# The write has arrived when the process sleeps in it.
	wait_until grep -q '^State:.D' /proc/$program/status
	is "suspended: the status is as before" "$(at_status t 2)" running
	is "suspended: neither file nor backing is touched" \
		"$(disk_stat "$file" 7) $(disk_stat "$backing" 3)" "$before"
	dmsetup resume t
	wait $program
	result $? "resumed: the write continues" || diag "$(< "$TMP/out")"
	message t stream_speed 0
	check "resumed: streaming continues" wait_until state_is t complete
	mirrored "the content" --verify
	at_remove t
}

held_back
under_load 128 stream stream_speed 2000000
under_load 8 stream stream_speed 2000000 copy_on_read
under_load 4096 copy_on_read
finish
