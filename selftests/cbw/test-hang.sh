#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A hanging device blocks only what needs it: a hanging target does not block guest
# writes with a fleece device, and a suspended device does not block views of an ended
# session. A job that is cancelled while something hangs stays cancelled.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((16 * 2048)) MIB=1048576
origin=$(make_painted 16) && store_disk=$(make_disk 16) && fleece=$(make_disk 16) &&
	store=$(make_linear g "$store_disk") || bail "disks"

hang()
{
	dmsetup suspend --noflush --nolockfs g || bail "suspend"
	on_exit let_go
}

let_go()
{
	dmsetup resume g 2> /dev/null || :
	dmsetup resume t 2> /dev/null || :
}

create()
{
	dm_create t "$(cbw_table $SIZE "$origin" 128)" || bail "t"
}

has_job_bytes()
{
	local bytes
	bytes=$(st 5)
	[ "${bytes%/*}" -gt 0 ]
}

# A view reads blocks that the job has copied to the target, and others.
view_at_target()
{
	local reader
	label="a view at the target"
	create
	begin_session $SIZE "$origin" 128 target "$store" fleece "$fleece" job job_speed 65536
	wait_until has_job_bytes || bail "job"
	message job pause
	make_view v || bail "view"
	hang
	dd if=$V of="$TMP/read" bs=1M count=1 iflag=direct status=none & reader=$!
	on_exit stop_process $reader
	wait_until view_is_busy || bail "read"
	ends "a write to a block of the read" dd_write $T $((12 * 65536)) 4096
	ends "a write elsewhere" dd_write $T $((8 * MIB)) 4096
	ends "a discard of the view is refused" eval "! blkdiscard -f $V 2> /dev/null"
	ends "a write to the range of the discard" dd_write $T $((9 * MIB)) 4096
	check_so "the target is back" dmsetup resume g
	wait $reader
	result $? "$label: the read"
	check_so "what it read" cmp -n $MIB "$TMP/read" "$REF"
	dm_remove v
	dm_remove t
}

view_is_busy()
{
	[ "$(awk '{ print $9 }' "/sys/dev/block/$(dm_number v)/stat")" -gt 0 ]
}

# A read of a view waits for the suspended device.
suspended_under_a_view()
{
	local reader
	label="suspended under a view"
	create
	begin_session $SIZE "$origin" 128 fleece "$fleece"
	make_view v || bail "view"
	check_so "suspend" dmsetup suspend t
	on_exit let_go
	dd if=$V of=/dev/null bs=4096 count=1 iflag=direct status=none 2> /dev/null & reader=$!
	on_exit stop_process $reader
	wait_until view_is_busy || bail "read"
	check_so "session cancel" message session cancel
	check_so "the read ends" wait_until has_ended $reader
	wait $reader
	is_so "it has failed" $? 1
	ends "so does another" eval "! dd_read $V 4096 4096 > /dev/null 2>&1"
	ends "the view can be suspended" dmsetup suspend --noflush --nolockfs v
	check_so "and resumed" dmsetup resume v
	check_so "resume" dmsetup resume t
	dm_remove v
	dm_remove t
}

# The resume of a new session waits for a copy of the old one in the same store.
cancelled_in_resume()
{
	local writer resume
	label="cancelled in a resume"
	create
	begin_session $SIZE "$origin" 128 target "$store"
	hang
	dd_write $T 0 4096 & writer=$!
	on_exit stop_process $writer
	wait_until waits_for_copy || bail "write"
	check_so "the old one is cancelled" message session cancel
	wait $writer
	result $? "$label: its write ends"
	cbw_table $SIZE "$origin" 128 target "$store" job | dmsetup reload t || bail "reload"
	check_so "suspend" dmsetup suspend t
	dmsetup resume t & resume=$!
	on_exit stop_process $resume
	wait_until session_is active || bail "resume"
	check_so "the new one is cancelled" message session cancel
	check_so "the store is back" dmsetup resume g
	wait $resume
	result $? "$label: the resume ends"
	is_so "it stays broken" "$(st 1)" broken
	check_fails "$label: it was cancelled already" message session cancel
	check_so "writes work" dd_write $T 65536 4096
	dm_remove t
}

session_is()
{
	[ "$(dm_status t 1)" = "$1" ]
}

waits_for_copy()
{
	[ "$(st 6)" -gt 0 ]
}

# Devices stacked on a device write to it also after it has become read-only.
read_only()
{
	label="read-only"
	meta=$(make_meta $SIZE B:64K:auto dmlive-intent:16M) || bail "meta"
	dm_create t "$(track_table $SIZE "$origin" "$meta" 128)" || bail "t"
	dm_create l "0 $SIZE linear $T 0" || bail "l"
	check_so "a write" dd_write /dev/mapper/l 4096 4096
	track_table $SIZE "$origin" "$meta" 128 | dmsetup reload --readonly t || bail "reload"
	check_so "suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	copy_of "$origin" "$TMP/before"
	check_fails "$label: a write" dd_write /dev/mapper/l $MIB 4096
	check_fails "$label: a discard" blkdiscard -f -o $((2 * MIB)) -l $MIB /dev/mapper/l
	check_so "reads work" eval "dd_read /dev/mapper/l $MIB 4096 > $TMP/read"
	copy_of "$origin" "$TMP/after"
	check_so "nothing was written" cmp "$TMP/before" "$TMP/after"
	dm_reload t "$(track_table $SIZE "$origin" "$meta" 128)" || bail "reload"
	check_so "another write" dd_write /dev/mapper/l $((3 * MIB)) 4096
	is_so "both are recorded" "$(tracking B)" "recording 2"
	dm_remove l
	dm_remove t
}

copy_of()
{
	dd if="$1" of="$2" bs=1M iflag=direct status=none
}

view_at_target
suspended_under_a_view
cancelled_in_resume
read_only
dm_remove g
finish
