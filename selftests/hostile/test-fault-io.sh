#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-lockdep
#
# timeout: 1200
#
# While every third allocation of the modules fails, no guest I/O fails, streaming
# completes, and a session's copy and view have the point in time. While requests to the
# disks fail at random, a guest reads its own data or gets an error.

. "$(dirname "$0")/stress.sh"
require_faults failslab fail_page_alloc fail_make_request

readonly OPERATIONS=${OPERATIONS:-150}
SEED=${SEED:-1}
block=128

begin_restore()
{
	rm -f "$MODEL"
	# A file, since the disks are going to fail.
	initial=$TMP/backing
	viewcheck "$file_disk" - paint 1 && viewcheck "$backing_disk" "$initial" paint 2 &&
		dmlive meta format "$TMP/meta" --size $((SIZE * 512)) --granularity 64K &&
		dd if="$TMP/meta" of="$meta_disk" bs=64K conv=notrunc,sync oflag=direct \
			status=none || bail "set up"
	rm "$TMP/meta"
	dm_create s "0 $SIZE alloctrack /dev/mapper/file /dev/mapper/backing $meta_disk $block $*" ||
		bail "s"
}

begin_session()
{
	rm -f "$MODEL"
	initial=$TMP/initial
	viewcheck "$file_disk" "$initial" paint 3 || bail "set up"
	dm_create s "0 $SIZE cbw /dev/mapper/file - $block $*" &&
		dm_create v "0 $SIZE cbw-snapshot $S" || bail "s"
}

memory_fails()
{
	local name
	for name in failslab fail_page_alloc; do
		set_faults $name probability="$1"
	done
}

state_is()
{
	[ "$(dm_status s "$1")" = "$2" ]
}

restore_without_memory()
{
	label="restore, no memory"
	begin_restore 1 stream
	memory_fails 33
	start_guest "$OPERATIONS"
	guest_is_good
	result $? "$label: the guest meets no error"
	check "$label: streaming completes" wait_until -t 300 state_is 2 complete
	memory_fails 0
	is "$label: the metadata device is in use" "$(dm_status s 1)" rw
	check "$label: content" holds_the_model
	dm_remove s
}

session_without_memory()
{
	label="session, no memory"
	begin_session 3 target /dev/mapper/store job
	memory_fails 33
	start_guest "$OPERATIONS"
	check "$label: the view" viewcheck /dev/mapper/v "$TMP/initial" read 1 20
	guest_is_good
	result $? "$label: the guest meets no error"
	check "$label: the job completes" wait_until -t 300 state_is 4 complete
	memory_fails 0
	check "$label: the copy" is_on_store "$TMP/initial"
	check "$label: content" holds_the_model
	dm_remove v
	dm_remove s
}

# requests_fail PERCENT DISK... - requests to these disks fail.
requests_fail()
{
	local disk
	set_faults fail_make_request probability="$1" interval=1 times=-1
	for disk in "${@:2}"; do
		echo $(($1 > 0)) > "/sys/block/${disk##*/}/make-it-fail"
	done
}

stream_again()
{
	state_is 2 complete && return
	# A flush has failed: blocks that may be lost are copied again after this.
	if dmsetup status s | grep -q ' doubtful$'; then
		dmsetup suspend s && dmsetup resume s
	fi
	state_is 2 running || dmsetup message s 0 stream start
	false
}

restore_with_failing_disks()
{
	label="restore, failing requests"
	begin_restore 3 stream on_error ignore
	requests_fail 5 "$file_disk" "$backing_disk"
	start_guest "$OPERATIONS" --errors-allowed
	guest_is_good
	result $? "$label: the guest reads what it wrote, or nothing"
	requests_fail 0 "$file_disk" "$backing_disk"
	check "$label: streaming completes then" wait_until -t 300 stream_again
	check "$label: content" holds_the_model
	dm_remove s
}

session_with_failing_target()
{
	label="session, failing requests"
	begin_session 4 target /dev/mapper/store on_cbw_error break_guest_write
	requests_fail 5 "$store_disk"
	start_guest "$OPERATIONS" --errors-allowed
	guest_is_good
	result $? "$label: the guest reads what it wrote"
	requests_fail 0 "$store_disk"
	check "$label: the view" viewcheck /dev/mapper/v "$TMP/initial" read 1 50
	dmsetup message s 0 job start
	check "$label: the job completes then" wait_until -t 300 state_is 4 complete
	check "$label: the copy" is_on_store "$TMP/initial"
	check "$label: content" holds_the_model
	dm_remove v
	dm_remove s
}

make_stack
make_poor
prepare_faults failslab fail_page_alloc
aim_at_modules failslab fail_page_alloc
restore_without_memory
session_without_memory
restore_with_failing_disks
session_with_failing_target
finish
