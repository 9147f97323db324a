#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A session survives suspend and resume and ends with its table, and its views notice
# the end. Suspending, reloading and removing the device and its views is safe in every
# order.

. "$(dirname "$0")/cbw.sh"

readonly SIZE=$((8 * 2048 - 8))
origin=$(make_painted 8) && target=$(make_disk 8) && fleece=$(make_disk 1) || bail "disks"

begin()
{
	dm_create t "$(cbw_table $SIZE "$origin" 8)" || bail "t"
	begin_session $SIZE "$origin" 8 target "$target" "$@"
}

view_is_dead()
{
	check_fails "$1: the view fails" dd_read $V 0 4096
	check_fails "$1: everywhere" dd_read $V 4194304 4096
}

suspended()
{
	local reader
	label="suspend"
	begin
	make_view || bail "view"
	dd_write $T 0 65536
	dmsetup suspend t
	dd_read $V 0 4096 > "$TMP/copied" &
	reader=$!
	dd_read $V 4194304 4096 > "$TMP/uncopied" &
	check_so "table and status can be seen" dmsetup table t
	check_so "a read of the view waits" is_running $reader
	dmsetup resume t
	wait $reader
	result $? "$label: ""and goes on with the resume"
	wait
	check_so "with the right bytes" cmp -n 4096 "$TMP/copied" "$REF"
	check_so "also blocks that are not copied" cmp -n 4096 "$TMP/uncopied" "$REF" 0 4194304
	is_so "the session is the same" "$(st 1) $(st 2)" "active 16/2047"
	same "the view" $V
	check_so "the view too can be suspended" dmsetup suspend v
	dmsetup resume v
	same "the view after that" $V
	check_fails "$label: the device cannot be removed under a view" dmsetup remove t
	dm_remove v
	dm_remove t
}

storm()
{
	local block=8 guest readers n=0
	label="suspended all the time"
	viewcheck "$origin" "$TMP/initial" paint $RANDOM
	dm_create t "$(cbw_table $SIZE "$origin" 8)" || bail "t"
	model --initial "$TMP/initial" --seconds 5 --max-io 64K > "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	begin_session $SIZE "$origin" 8 target "$target" job job_speed 1000000
	make_view || bail "view"
	viewcheck $V "$REF" read 2 10 $guest > "$TMP/readers" 2>&1 &
	readers=$!
	on_exit stop_process $readers
	while is_running $guest; do
		case $((n++ % 3)) in
		0) dmsetup suspend t ;;
		1) dmsetup suspend --noflush t ;;
		2) dmsetup suspend v && dmsetup resume v && dmsetup suspend t ;;
		esac || break
		dmsetup resume t || break
	done
	wait $guest
	result $? "$label: the guest reads what it wrote" || diag "$(cat "$TMP/model")"
	wait $readers
	result $? "$label: readers see the point in time" || diag "$(cat "$TMP/readers")"
	diag "$n times: $(dm_status t)"
	message job_speed 0
	check_so "the job completes" wait_until st_is 4 complete
	same "the view" $V
	same "the target" "$target"
	dm_remove v
	dm_remove t
}

reloaded()
{
	label="reload under a view"
	begin
	make_view || bail "view"
	dd_write $T 0 65536
	log_mark
	check_fails "$label: another session is refused" \
		dm_reload t "$(cbw_table $SIZE "$origin" 8 target "$target")"
	check_fails "$label: none is refused" dm_reload t "$(cbw_table $SIZE "$origin" 8)"
	like "$label: the log says why" "$(log_since)" "remove that first"
	same "the view still works" $V
	check_so "linear cannot be refused" dm_reload t "0 $SIZE linear $origin 0"
	like "$label: the log tells the end" "$(log_since)" "ends with its table"
	view_is_dead "$label"
	is_so "the view shows it" "$(dm_status v 1)" ended
	check_fails "$label: no second view" make_view v2
	check_so "a new session" dm_reload t "$(cbw_table $SIZE "$origin" 8 target "$target")"
	view_is_dead "$label: an old view of a new session"
	check_so "a view of the new one" make_view v2
	check_so "can be read" dd_read /dev/mapper/v2 0 4096
	dm_remove v2
	dm_remove v
	dm_remove t

	label="view loaded between load and resume"
	begin
	cbw_table $SIZE "$origin" 8 target "$target" | dmsetup reload t
	make_view || bail "view"
	check_so "resume" dmsetup resume t
	view_is_dead "$label"
	is_so "the view shows it" "$(dm_status v 1)" ended
	is_so "the new session lives" "$(st 1)" active
	dm_remove v
	dm_remove t
}

# Reads of the view in flight when the table is replaced never return new data.
swapped()
{
	local readers n
	label="swapped under readers"
	for ((n = 0; n < 10; n++)); do
		dm_create t "$(cbw_table $SIZE "$origin" 8)" || bail "t"
		begin_session $SIZE "$origin" 8 target "$target"
		make_view || bail "view"
		viewcheck $V "$REF" read 4 1000000 > "$TMP/readers" 2>&1 &
		readers=$!
		dd_write $T 0 1048576
		dm_reload t "0 $SIZE linear $origin 0"
		viewcheck $T - paint $RANDOM
		wait $readers
		[ $? -eq 3 ] || break
		dm_remove v
		dm_remove t
	done
	is_so "readers got an error and no wrong data" $n 10
	dm_remove v
	dm_remove t
}

removed()
{
	local pid
	label="removal"
	begin job job_speed 100000
	dmsetup suspend t
	check_so "a suspended device with a job" dmsetup remove t
	begin
	make_view
	dmsetup suspend t
	dd_read $V 0 4096 > /dev/null 2>&1 &
	pid=$!
	check_so "a suspended device is replaced" dmsetup load t --table "0 $SIZE linear $origin 0"
	dmsetup resume t
	wait $pid
	check_so "a read that waited has failed" test $? -ne 0
	dm_remove v
	dm_remove t
	dmsetup create --notable t
	cbw_table $SIZE "$origin" 8 target "$target" job | dmsetup load t
	cbw_table $SIZE "$origin" 8 target "$target" | dmsetup load t
	check_so "tables that were never resumed" dmsetup remove t
	begin
	dmsetup remove --force t > /dev/null 2>&1
	dm_remove t
	begin
	make_view
	dmsetup remove --force t > /dev/null 2>&1
	view_is_dead "$label by force"
	dm_remove v
	dm_remove t
}

# v on v, and t's view as its own target: useless, but harmless.
strange()
{
	label="strange"
	begin
	make_view
	check_fails "$label: a view of a view" dm_create v2 "0 8 cbw-snapshot $V"
	check_fails "$label: a view of a plain disk" dm_create v2 "0 8 cbw-snapshot $origin"
	check_fails "$label: a larger view" dm_create v2 "0 $((SIZE + 8)) cbw-snapshot $T"
	check_fails "$label: no argument" dm_create v2 "0 8 cbw-snapshot"
	check_fails "$label: two" dm_create v2 "0 8 cbw-snapshot $T $T"
	check_so "a smaller view" dm_create v2 "0 2048 cbw-snapshot $T"
	check_so "reads" cmp -n 1048576 /dev/mapper/v2 "$REF"
	check_fails "$label: a write to a view" dd_write $V 0 4096
	check_fails "$label: write-zeroes" blkdiscard -z $V
	same "the view" $V
	check_fails "$label: a second session on the same target" \
		dm_create t2 "$(cbw_table 2048 $V 8 target "$target")"
	check_so "a session of the view" dm_create t2 "$(cbw_table 2048 $V 8 fleece "$fleece")"
	check_so "a view of that" dm_create v3 "0 2048 cbw-snapshot /dev/mapper/t2"
	check_so "reads" cmp -n 1048576 /dev/mapper/v3 "$REF"
	dm_remove v3
	dm_remove t2
	dm_remove v2
	dm_remove v
	dm_remove t
}

suspended
storm
reloaded
swapped
removed
strange
finish
