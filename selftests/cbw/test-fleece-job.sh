#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With a fleece device and a target, guest writes never wait for the target: old data
# goes to slots. The job takes each block from its slot, or else from the origin, and
# frees the slot.

. "$(dirname "$0")/cbw.sh"

readonly SIZE=$((12 * 2048 - 8))
# Small requests, one at a time, so that the guest overtakes the job while it reads a
# chunk.
origin_disk=$(make_disk 12 512 max_sectors=8 hw_queue_depth=1) &&
	target_disk=$(make_disk 12) && fleece_disk=$(make_disk 12 4096) &&
	small=$(make_disk 1) || bail "disks"
make_linear g "$target_disk" > /dev/null && make_linear f "$fleece_disk" > /dev/null ||
	bail "linear"
readonly G=/dev/mapper/g F=/dev/mapper/f

# begin BLOCK FLEECE FEATURE_WORD...
begin()
{
	dm_create t "$(cbw_table $SIZE "$origin_disk" "$1")" || bail "t"
	begin_session $SIZE "$origin_disk" "$1" fleece "$2" target $G "${@:3}"
	make_view || bail "view"
}

end()
{
	dm_remove v
	dm_remove t
	repair_device g "$target_disk"
	repair_device f "$fleece_disk"
}

completes()
{
	check_so "completes" wait_until st_is 4 complete
	is_so "everything is on the target" "$(st 1) $(st 5)" \
		"complete $((SIZE * 512))/$((SIZE * 512))"
	check_so "no slot is used" wait_until slots_are_free
	cmp -n $((SIZE * 512)) $G "$REF"
	result $? "$label: the target"
	same "the view" $V
}

slots_are_free()
{
	[ "$(st 9 | cut -d/ -f1)" = 0 ]
}

# While the guest writes everywhere, and views are read.
raced()
{
	local block=$1 guest readers
	label="raced, blocks of $((block / 2)) KiB"
	viewcheck "$target_disk" - paint 1 &&
		viewcheck "$origin_disk" "$TMP/initial" paint $RANDOM || bail "paint"
	dm_create t "$(cbw_table $SIZE "$origin_disk" "$block")" || bail "t"
	model --initial "$TMP/initial" --seconds 5 --max-io 256K > "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	begin_session $SIZE "$origin_disk" "$block" fleece $F target $G job job_speed $((4 << 20))
	make_view || bail "view"
	viewcheck $V "$REF" read 2 20 $guest > "$TMP/readers" 2>&1 &
	readers=$!
	on_exit stop_process $readers
	wait $guest
	result $? "$label: the guest reads what it wrote" || diag "$(cat "$TMP/model")"
	wait $readers
	result $? "$label: readers see the point in time" || diag "$(cat "$TMP/readers")"
	diag "$(dm_status t)"
	message job_speed 0
	completes
	is_so "no errors" "$(st 7)$(st 8)" 00
	end
}

# The job's writes hang in the target.
target_hangs()
{
	label="target hangs"
	viewcheck "$origin_disk" - paint $RANDOM
	begin 128 $F cbw_timeout 60000
	dmsetup suspend --nolockfs g
	message job start
	check_so "the guest writes everywhere" dd_write $T 0 $((SIZE * 512))
	is_so "all of it is in slots" "$(st 2)" 192/192
	same "the view is not blocked" $V
	check_so "suspend" dmsetup suspend t
	dmsetup resume t
	check_fails "$label: no discards with a job" blkdiscard -f -o 0 -l 65536 $V
	dmsetup resume g
	completes
	end
}

# The job frees slots of a full fleece device.
full()
{
	label="fleece device full"
	dd if=/dev/urandom of="$origin_disk" bs=1M count=12 status=none oflag=direct
	begin 128 "$small"
	check_so "16 blocks" dd_write $T 0 1048576
	check_fails "$label: one more fails" dd_write $T 1048576 65536
	same "the view" $V
	check_so "start the job" message job start
	completes
	check_so "now it can be written" dd_write $T 1048576 65536
	end
}

# Slots cannot be read; the target cannot be written.
errors()
{
	label="the fleece device fails"
	dd if=/dev/urandom of="$origin_disk" bs=1M count=12 status=none oflag=direct
	begin 128 $F on_source_error stop
	check_so "2 MiB in slots" dd_write $T 0 2097152
	break_device f "$fleece_disk" 128 8
	message job start
	check_so "the job stops" wait_until st_is 4 stopped
	like "$label: a source error" "$(st 7) $(st 8)" '^[1-9][0-9]* 0'
	repair_device f "$fleece_disk"
	message job resume
	completes
	end

	label="the target fails"
	dd if=/dev/urandom of="$origin_disk" bs=1M count=12 status=none oflag=direct
	begin 128 $F on_target_error ignore
	check_so "2 MiB in slots" dd_write $T 0 2097152
	break_device g "$target_disk" 128 8
	message job start
	check_so "the job fails in the end" wait_until st_is 4 failed
	is_so "its slot is kept, the session too" "$(st 9 | cut -d/ -f1) $(st 1)" "1 active"
	same "the view reads slots, target and origin" $V
	repair_device g "$target_disk"
	message job start
	completes
	end

	label="broken"
	begin 128 $F job job_speed 65536
	message session cancel
	is_so "the job fails" "$(st 1) $(st 4)" "broken failed"
	check_fails "$label: the view" dd_read $V 0 4096
	end
}

raced 8
raced 128
raced 4096
target_hangs
full
errors
finish
