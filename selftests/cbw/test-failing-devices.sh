#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Under load, with any failing device and any policy: the guest gets errors only with
# break_guest_write, and neither a view nor a target that is reported as complete has
# wrong data.

. "$(dirname "$0")/cbw.sh"

readonly MIB=8 SIZE=$((8 * 2048))
declare -A disk
for name in o g; do
	disk[$name]=$(make_painted $MIB) || bail "disks"
	make_linear $name "${disk[$name]}" > /dev/null || bail "linear"
done
readonly O=/dev/mapper/o G=/dev/mapper/g block=8

# The guest uses the first 6 MiB. It may end before it meets the failing device; a write
# to the last 2 MiB always meets it.
readonly F=/dev/mapper/f PROBE=$(((6 << 20) + 4096))

make_devices()
{
	dm_create t "$(cbw_table $SIZE $O $block)" &&
		dm_create f "0 $((6 * 2048)) linear $T 0" || bail "t"
}

# begin MODEL_OPTIONS FEATURE_WORD... - begin a session under load, and make its view.
begin()
{
	local options=$1
	shift
	viewcheck "${disk[o]}" "$TMP/initial" paint $RANDOM
	# A slot for each block, none of zeros.
	dd if=/dev/urandom of="${disk[o]}" bs=1M seek=6 count=2 oflag=direct status=none
	make_devices
	# shellcheck disable=SC2086 # words
	blkmodel $F --block-size 4096 --seed $RANDOM --initial "$TMP/initial" \
		--seconds 2 --max-io 16K $options > "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	begin_session $SIZE $O $block "$@"
	make_view || bail "view"
}

end()
{
	for name in o g; do
		repair_device $name "${disk[$name]}"
	done
	dm_remove v
	dm_remove f
	dm_remove t
}

guest_is_right()
{
	wait $guest
	result $? "$label: the guest reads what it wrote" || diag "$(cat "$TMP/model")"
	diag "$(dm_status t)"
}

# breaks STORE SIDE - break 5 to 7 MiB, or all of a fleece device, whose slots may be
# anywhere.
breaks()
{
	local from=5 nr=2
	[ "$1 $2" != "fleece g" ] || from=0 nr=$MIB
	break_device "$2" "${disk[$2]}" $((from * 2048)) $((nr * 2048))
}

# The guest's writes to the hole fail; the view shows the right data.
write_fails()
{
	label="$1, $2 fails, break_guest_write"
	begin --errors-allowed "$1" $G on_cbw_error break_guest_write
	breaks "$@"
	check_fails "$label: a write fails" dd_write $T $PROBE 4096
	guest_is_right
	check_so "copies failed" test "$(($(st 7) + $(st 8)))" -gt 0
	is_so "the session is active" "$(st 1)" active
	repair_device "$2" "${disk[$2]}"
	same "the view, repaired" $V
	check_so "all can be written" dd_write $T 0 $((SIZE * 512))
	same "the view after that" $V
	end
}

# The guest does not notice errors of the store; the view fails reads. Errors of the
# origin are passed to the guest.
snapshot_breaks()
{
	label="$1, $2 fails, break_snapshot"
	begin "${3:-}" "$1" $G on_cbw_error break_snapshot
	breaks "$@"
	dd_write $T $PROBE 4096 > /dev/null 2>&1
	is_so "the session breaks" "$(st 1)" broken
	guest_is_right
	repair_device "$2" "${disk[$2]}"
	check_fails "$label: the view fails" viewcheck $V "$REF" read 1 1
	end
}

# Old data cannot be read for a while.
slots_fail()
{
	label="fleece cannot be read"
	begin "" fleece $G
	guest_is_right
	check_so "a write" dd_write $T $((6 << 20)) $((2 << 20))
	break_device g "${disk[g]}" 0 $SIZE
	viewcheck $V "$REF" read 2 50 > "$TMP/readers" 2>&1
	is_so "an error, not wrong data" $? 3
	is_so "the session is active" "$(st 1)" active
	repair_device g "${disk[g]}"
	same "the view, repaired" $V
	end
}

# job_under_load SIDE POLICY STATE - the job meets a hole to which the guest does not
# write.
job_under_load()
{
	local side=target name=g
	[ "$1" = g ] || { side=source; name=o; }
	label="job, $side fails, $2, under load"
	make_devices
	rm -f "$TMP/guest"
	stamper write "$TMP/state.$1.$2" $RANDOM 2 20480 $F > "$TMP/guest" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	wait_until grep -q started "$TMP/guest" || bail "the guest does not start"
	begin_session $SIZE $O $block target $G "on_${side}_error" "$2"
	break_device $name "${disk[$name]}" $((7 * 2048)) 16
	message job start
	check_so "$3" wait_until st_is 4 "$3"
	is_so "the session is active" "$(st 1)" active
	repair_device $name "${disk[$name]}"
	if [ "$3" = stopped ]; then
		check_so "resume" message job resume
	else
		check_so "start again" message job start
	fi
	check_so "completes" wait_until st_is 4 complete
	same "the target" $G
	check_so "the guest had no error" is_running $guest
	kill -TERM $guest
	wait $guest
	dm_remove f
	dm_remove t
}

# A thin target reports no space: the job stops, and does not fail.
no_space()
{
	local meta pool_disk pool="thin-pool"
	label="no space on the target, enospc"
	has_target thin-pool || { skip "$label" "no thin provisioning"; return; }
	meta=$(make_disk 4) && pool_disk=$(make_disk 16) || bail "disks"
	pool_table()
	{
		echo "0 $1 $pool $meta $pool_disk 128 0 2 error_if_no_space skip_block_zeroing"
	}
	dm_create pool "$(pool_table $((4 * 2048)))" || bail "pool"
	dmsetup message pool 0 "create_thin 0" || bail "thin"
	dm_create thin "0 $SIZE thin /dev/mapper/pool 0" || bail "thin"
	viewcheck "${disk[o]}" - paint $RANDOM
	# Zeros take no space.
	dd if=/dev/urandom of="${disk[o]}" bs=1M count=$MIB oflag=direct status=none
	dm_create t "$(cbw_table $SIZE $O $block)" || bail "t"
	begin_session $SIZE $O $block target /dev/mapper/thin job on_target_error enospc
	check_so "stops" wait_until st_is 4 stopped
	check_so "more space" dm_reload pool "$(pool_table $((16 * 2048)))"
	check_so "resume" message job resume
	check_so "completes" wait_until st_is 4 complete
	same "the target" /dev/mapper/thin
	dm_remove t
	dm_remove thin
	dm_remove pool
}

write_fails target g
write_fails fleece g
write_fails target o
write_fails fleece o
snapshot_breaks target g
snapshot_breaks fleece g
# Errors of the origin are passed to the guest.
snapshot_breaks target o --errors-allowed
slots_fail
for side in g o; do
	job_under_load $side report failed
	job_under_load $side ignore failed
	job_under_load $side stop stopped
	job_under_load $side enospc failed
done
no_space
finish
