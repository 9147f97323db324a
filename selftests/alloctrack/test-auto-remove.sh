#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With auto_remove the device maps directly to the file as soon as it is complete, and
# not before. Everything that the device supports keeps working, in use or not.

. "$(dirname "$0")/alloctrack.sh"
require_command fio

readonly SIZE=$((4 * 2048)) BYTES=65536
file=$(make_painted stale 4) && backing=$(make_painted backing 4) || bail "disks"
make_linear f "$file" > /dev/null && make_linear b "$backing" > /dev/null ||
	bail "linear"

# begin FEATURE...
begin()
{
	paint stale "$file"
	at_create t $SIZE /dev/mapper/f /dev/mapper/b 128 auto_remove "$@"
	reads_as "reads as its backing" "$backing"
}

# Every kind of request, checked against the model.
all_kinds()
{
	mirrored "all kinds of I/O" --verify read 512 131072 write 4096 512 \
		dsync $((5 * BYTES - 512)) 1024 zero $((7 * BYTES)) $((2 * BYTES)) \
		discard $((9 * BYTES)) $BYTES write 0 $((3 * BYTES))
}

# Until the device is complete the bitmap decides.
not_before()
{
	local label="not complete"
	begin
	mirrored "some writes" write 512 512 write $((20 * BYTES)) $BYTES
	shows_nothing_stale
	is_so "two blocks are allocated" "$(at_allocated t)" 2
	message t stream start
	check "$label: then it completes" wait_until state_is t complete
	mirrored "then reads the same" --verify
	at_remove t
}

# One block cannot be written: the device is not complete.
not_with_a_hole()
{
	local label="a hole"
	begin on_error stop
	break_device f "$file" $((10 * 128)) 128
	message t stream start
	check "$label: the job stops" wait_until state_is t stopped
	mirrored "reads go on" read 0 $((20 * BYTES))
	repair_device f "$file"
	mirrored "reads the same" --verify
	message t stream resume
	check "$label: completes after repair" wait_until state_is t complete
	mirrored "then reads the same" --verify
	at_remove t
}

when_complete()
{
	local label="complete" nr
	begin
	nr=$(dmsetup info -c --noheadings -o events t)
	message t stream start
	check "$label: an event" timeout 60 dmsetup wait t "$nr"
	is_so "the state" "$(at_status t 2 3)" "complete 64/64"
	is_so "the target stays" "$(dm_target t)" alloctrack

	dm_reload b "0 $SIZE error" || bail "error table"
	label="complete, backing gone"
	all_kinds
	check_fails "$label: there is nothing to stream" message t stream start
	check "$label: suspend and resume" dm_reload t "$(dmsetup table t)"
	label="complete, loaded again"
	all_kinds
	check "$label: a table without auto_remove" \
		dm_reload t "$(at_table $SIZE /dev/mapper/f /dev/mapper/b 128)"
	is_so "the state after that" "$(at_status t 2 3)" "complete 64/64"
	label="complete, without auto_remove"
	all_kinds
	repair_device b "$backing"
	label="complete"

	# An error of the file is passed on, and has no lasting effect.
	dm_reload t "$(at_table $SIZE /dev/mapper/f /dev/mapper/b 128 auto_remove)"
	break_device f "$file" 0 8
	check_fails "$label: an error of the file is reported" dd_read "$T" 0 4096
	repair_device f "$file"
	mirrored "and ends with its cause" --verify
	check "$label: remove" dmsetup remove t
	blockdev --flushbufs "$file"	# drop what was cached before
	check "$label: all is on the file" cmp "$file" "$MODEL"
}

# In use all the time: the device is not removed under its users.
in_use()
{
	local label="in use"
	begin stream_speed 2000000
	start_fio 0 --size=2m
	message t stream start
	check "$label: completes" wait_until state_is t complete
	# Keeps the device open, also between two runs of fio.
	exec 7< "$T"
	check_fails "$label: remove is refused" dmsetup remove t
	exec 7<&-
	is_so "the device is there" "$(dm_target t)" alloctrack
	fio_is_good "fio verifies what it wrote"
	check "$label: the other half is the backing's" \
		cmp -i $((2 << 20)):$((2 << 20)) -n $((2 << 20)) "$T" "$backing"
	check "$label: remove" dm_remove t
}

# Completed by the guest's writes alone, without a job and a backing.
by_the_guest()
{
	local label="by the guest" writes=() i
	paint stale "$file"
	at_create t $SIZE /dev/mapper/f - 128 auto_remove
	reads_as "reads as zeros" -
	for ((i = 0; i < 64; i += 16)); do
		writes+=(write $((i * BYTES)) $((16 * BYTES)))
	done
	mirrored "write all of it" "${writes[@]}"
	check "$label: completes" wait_until state_is t complete
	all_kinds
	at_remove t
}

not_before
not_with_a_hole
when_complete
in_use
by_the_guest
finish
