#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# on_error decides what a streaming error does: report, ignore, stop, enospc. With none
# of them an incomplete device is reported as complete, and none harms the guest.

. "$(dirname "$0")/alloctrack.sh"

readonly MIB=4 SIZE=$((4 * 2048))
# The hole: blocks 20 to 22 of 64 KiB, the last one partly.
readonly HOLE_FIRST=$((20 * 128)) HOLE_SECTORS=$((2 * 128 + 32)) HOLE_BLOCKS=3
readonly BLOCKS=$((SIZE / 128))

file=$(make_painted stale $MIB) || bail "file"
backing=$(make_painted backing $MIB) || bail "backing"
make_linear f "$file" > /dev/null && make_linear b "$backing" > /dev/null ||
	bail "linear"

# begin FEATURE... - a new target on a good file and a backing with a hole.
begin()
{
	at_create t $SIZE /dev/mapper/f /dev/mapper/b 128 "$@"
	reads_as "$*: reads as its backing" "$backing"
	break_device b "$backing" $HOLE_FIRST $HOLE_SECTORS
}

end()
{
	mirrored "$1: the content" --verify
	at_remove t
}

# ends_as POLICY STATE - stream; the job ends in STATE, with an event.
ends_as()
{
	local nr waiter
	nr=$(dmsetup info -c --noheadings -o events t)
	dmsetup wait t "$nr" > /dev/null &
	waiter=$!
	on_exit stop_process $waiter
	message t stream start
	check "$1: an event" wait_until has_ended $waiter
	is "$1: the state" "$(at_status t 2)" "$2"
}

device_lives()
{
	mirrored "$1: reads and writes go on" \
		read 0 65536 write 524288 4096 write 512 512
	check_fails "$1: unreadable blocks give an error" \
		dd_read "$T" $((HOLE_FIRST * 512)) 512
}

report()
{
	begin "$@"
	ends_as "report" failed
	is "report: counted as a read error" "$(at_status t 6 7)" "1 0"
	device_lives "report"
	check_fails "report: resume is refused" message t stream resume
	repair_device b "$backing"
	check "report: start again after repair" message t stream start
	check "report: completes" wait_until state_is t complete
	end "report"
}

ignore()
{
	begin on_error ignore
	ends_as "ignore" failed
	is "ignore: everything else was streamed" "$(at_allocated t)" $((BLOCKS - HOLE_BLOCKS))
	is "ignore: each block that cannot be read is counted" "$(at_status t 6 7)" \
		"$HOLE_BLOCKS 0"
	device_lives "ignore"
	mirrored "ignore: the guest itself writes these blocks" \
		write $((HOLE_FIRST * 512)) $((HOLE_BLOCKS * 65536))
	check "ignore: then it is complete" wait_until state_is t complete
	repair_device b "$backing"
	end "ignore"
}

stopped_again()
{
	state_is t stopped && [ "$(at_status t 6)" -gt "$1" ]
}

stop()
{
	local errors
	begin
	check "stop: by message" message t on_error stop
	ends_as "stop" stopped
	device_lives "stop"
	errors=$(at_status t 6)
	check "stop: resume retries" message t stream resume
	check "stop: and stops again" wait_until stopped_again "$errors"
	repair_device b "$backing"
	check "stop: resume after repair" message t stream resume
	check "stop: completes" wait_until state_is t complete
	end "stop"
}

# write_error POLICY STATE
write_error()
{
	begin on_error "$1"
	repair_device b "$backing"
	break_device f "$file" $HOLE_FIRST $HOLE_SECTORS
	ends_as "$1, the file fails" "$2"
	like "$1, the file fails: counted as write error" "$(at_status t 6 7)" \
		'^0 [1-9]'
	mirrored "$1, the file fails: reads go on" read $((HOLE_FIRST * 512)) 65536
	repair_device f "$file"
	message t stream resume 2>/dev/null || message t stream start
	check "$1, the file fails: completes after repair" \
		wait_until state_is t complete
	end "$1, the file fails"
}

# out_of_space POLICY STATE - a thin volume in a pool that is too small, and is enlarged
# later.
out_of_space()
{
	local pool_meta pool_data policy=$1
	local options="skip_block_zeroing error_if_no_space"

	pool_meta=$(make_disk 4) && pool_data=$(make_disk $MIB) || bail "pool disks"
	dm_create pool "0 $((SIZE / 2)) thin-pool $pool_meta $pool_data 128 0 2 $options" ||
		bail "pool"
	dmsetup message pool 0 "create_thin 0"
	dm_create thin "0 $SIZE thin /dev/mapper/pool 0" || bail "thin"
	at_create t $SIZE /dev/mapper/thin /dev/mapper/b 128 on_error "$policy"
	reads_as "$policy, no space: reads as its backing" "$backing"
	ends_as "$policy, no space" "$2"
	is "$policy, no space: no read error" "$(at_status t 6)" 0
	dm_reload pool "0 $SIZE thin-pool $pool_meta $pool_data 128 0 2 $options" ||
		bail "larger pool"
	message t stream resume 2>/dev/null || message t stream start
	check "$policy, no space: completes when there is space" \
		wait_until state_is t complete
	end "$policy, no space"
	at_remove thin
	at_remove pool
}

report
report on_error report
report on_error enospc
ignore
stop
write_error report failed
write_error stop stopped
write_error ignore failed
if has_target thin-pool; then
	out_of_space enospc stopped
	out_of_space report failed
else
	skip "no space" "no device-mapper target thin-pool in this kernel"
fi
finish
