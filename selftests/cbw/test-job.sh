#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The job copies the remaining blocks and counts each block once. It can be paused,
# resumed and cancelled, and errors are handled as the policies say. It is complete only
# when everything is copied and the target is flushed.

. "$(dirname "$0")/cbw.sh"

readonly SIZE=$((8 * 2048 - 8)) BLOCKS=128
origin_disk=$(make_painted 8) && target_disk=$(make_disk 8) || bail "disks"
make_linear o "$origin_disk" > /dev/null && make_linear g "$target_disk" > /dev/null ||
	bail "linear"
readonly O=/dev/mapper/o G=/dev/mapper/g

begin()
{
	viewcheck "$target_disk" - paint $RANDOM
	dm_create t "$(cbw_table $SIZE $O 128)" || bail "t"
	begin_session $SIZE $O 128 target $G "$@"
}

end()
{
	dm_remove t
	repair_device o "$origin_disk"
	repair_device g "$target_disk"
}

completes()
{
	check_so "completes" wait_until st_is 4 complete
	is_so "all blocks are counted once" "$(st 1) $(st 2) $(st 5)" \
		"complete $BLOCKS/$BLOCKS $((SIZE * 512))/$((SIZE * 512))"
	same "the target" $G
}

control()
{
	local before
	label="control"
	begin
	is_so "no job" "$(st 4)" none
	check_fails "$label: nothing to pause" message job pause
	check_so "speed" message job_speed 65536
	check_so "start" message job start
	check_fails "$label: no second one" message job start
	check_so "pause" message job pause
	is_so "paused" "$(st 4)" paused
	check_so "the guest still writes" dd_write $T 0 1048576
	message job_speed 0
	is_so "a paused job copies nothing" "$(st 4)" paused
	dmsetup suspend t && dmsetup resume t
	is_so "paused, after a suspend" "$(st 4)" paused
	check_so "cancel" message job cancel
	is_so "cancelled, not complete" "$(st 4) $(st 1)" "cancelled active"
	check_fails "$label: cannot be resumed" message job resume
	check_so "started again" message job start
	completes
	check_fails "$label: complete is the end" message job start
	check_fails "$label: for the session too" message session cancel
	check_so "the guest still writes to it" dd_write $T 0 $((SIZE * 512))
	same "the target" $G
	make_view
	same "a view of it" $V
	dm_remove v
	end

	label="event"
	begin
	before=$(events)
	message job start
	check_so "completion raises one" dmsetup wait t "$before"
	wait_until st_is 4 complete
	end

	label="cancel before the end"
	begin job job_speed 65536
	message session cancel
	is_so "a broken session has no job" "$(st 1) $(st 4)" "broken failed"
	dmsetup suspend t && dmsetup resume t
	is_so "for good" "$(st 1) $(st 4)" "broken failed"
	end
}

# ends_as STATE BLOCKS
ends_as()
{
	check_so "$1" wait_until st_is 4 "$1"
	is_so "the session is not complete" "$(st 1)" active
}

# A hole of two blocks in the target, or in the origin.
errors()
{
	local side disk=$1 name=$2
	side=target
	[ "$name" = g ] || side=source

	for policy in report enospc; do
		label="$side fails, $policy"
		begin "on_${side}_error" $policy
		break_device "$name" "$disk" $((40 * 128)) 256
		message job start
		ends_as failed
		repair_device "$name" "$disk"
		check_so "start again" message job start
		completes
		end
	done

	label="$side fails, ignore"
	begin "on_${side}_error" ignore
	break_device "$name" "$disk" $((40 * 128)) 256
	message job start
	ends_as failed
	is_so "everything else is copied" "$(st 2)" $((BLOCKS - 2))/$BLOCKS
	is_so "each block is counted" "$(($(st 7) + $(st 8)))" 2
	repair_device "$name" "$disk"
	check_so "start again" message job start
	completes
	end

	label="$side fails, stop"
	begin "on_${side}_error" stop
	break_device "$name" "$disk" $((40 * 128)) 256
	message job start
	ends_as stopped
	check_so "resume retries" message job resume
	ends_as stopped
	repair_device "$name" "$disk"
	check_so "resume after repair" message job resume
	completes
	end
}

# pool MIB - make or resize a thin pool, which returns errors when it is full.
pool()
{
	echo "0 $(($1 * 2048)) thin-pool $pool_meta $pool_data 128 0 1 error_if_no_space"
}

target_fills_up()
{
	local pool_meta pool_data
	label="the target fills up"
	has_target thin-pool || { skip "$label" "no thin-pool"; return; }
	pool_meta=$(make_disk 4) && pool_data=$(make_disk 16) || bail "disks"
	dd if=/dev/urandom of="$origin_disk" bs=1M count=8 status=none oflag=direct
	dm_create pool "$(pool 4)" && dmsetup message pool 0 create_thin 0 &&
		dm_create thin "0 $(sectors "$target_disk") thin /dev/mapper/pool 0" ||
		bail "thin"
	dm_reload g "0 $(sectors "$target_disk") linear /dev/mapper/thin 0" || bail "g"
	dm_create t "$(cbw_table $SIZE $O 128)" || bail "t"
	begin_session $SIZE $O 128 target $G on_target_error enospc on_cbw_error break_guest_write
	message job start
	ends_as stopped
	# No block is left in the pool, so there is none for the guest's write.
	check_fails "$label: the guest's write fails" dd_write $T 0 $((SIZE * 512))
	dm_reload pool "$(pool 16)" || bail "larger pool"
	check_so "resume, with more space" message job resume
	completes
	end
	dm_remove thin
	dm_remove pool
}

flush_fails()
{
	local cached
	label="the flush fails"
	has_target flakey || { skip "$label" "no flakey"; return; }
	# Without a cache no flush would be sent.
	cached=$(make_disk 8 512 cache_size=4) || bail "disk with a cache"
	repair_device g "$cached"
	begin
	message job_speed 1
	message job start
	message job pause
	# Everything was copied before guest writes; only the flush is left.
	dd_write $T 0 $((SIZE * 512))
	dm_reload g "0 $(sectors "$cached") flakey $cached 0 0 60" || bail "flakey"
	message job_speed 0
	message job resume
	ends_as failed
	is_so "with everything copied" "$(st 2)" $BLOCKS/$BLOCKS
	repair_device g "$cached"
	check_so "start again" message job start
	completes
	end
}

zeroes()
{
	local disk
	label="zeroes"
	disk=$(make_disk 8) || bail "disk"
	dd_write $O 0 8388608
	viewcheck "$disk" - paint 1
	dm_create t "$(cbw_table $SIZE $O 128)"
	begin_session $SIZE $O 128 target "$disk" job
	check_so "completes" wait_until st_is 4 complete
	same "the target is zero" "$disk"
	dm_remove t
}

control
errors "$target_disk" g
errors "$origin_disk" o
target_fills_up
flush_fails
zeroes
finish
