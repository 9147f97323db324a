#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: uml-lockdep
#
# A copy that fails or takes too long either fails only the guest's write, or breaks the
# session and does not affect the guest, as on_cbw_error says. A broken session never
# shows or copies wrong data as the point in time.

. "$(dirname "$0")/cbw.sh"

readonly MIB=8 SIZE=$((8 * 2048))
origin_disk=$(make_painted $MIB) && target_disk=$(make_disk $MIB) || bail "disks"
make_linear o "$origin_disk" > /dev/null && make_linear g "$target_disk" > /dev/null ||
	bail "linear"
readonly O=/dev/mapper/o G=/dev/mapper/g

# begin STORE FEATURE_WORD... - t with a session, in blocks of 64 KiB, and a view.
begin()
{
	dm_create t "$(cbw_table $SIZE $O 128)" || bail "t"
	begin_session $SIZE $O 128 "$@"
	make_view || bail "view"
}

end()
{
	dm_remove v
	dm_remove t
	repair_device o "$origin_disk"
	repair_device g "$target_disk"
}

view_is_dead()
{
	check_fails "$1: the view cannot be read where it was copied" dd_read $V 0 4096
	check_fails "$1: nor elsewhere" dd_read $V $((4 << 20)) 4096
}

# The target has a hole in block 1. The guest writes blocks 0 to 3 with one write.
target_fails()
{
	label="target fails, break_guest_write"
	begin target $G on_cbw_error break_guest_write
	break_device g "$target_disk" 128 8
	check_fails "$label: the write to that block fails" dd_write $T 65536 4096
	check_so "others do not" dd_write $T 0 4096
	check_fails "$label: a large write over it fails" dd_write $T 0 262144
	is_so "the session is active" "$(st 1)" active
	is_so "the other blocks were copied" "$(st 2)" 3/128
	like "$label: target errors are counted" "$(st 7) $(st 8)" '^0 [1-9]'
	same "the view" $V
	cmp -n $((SIZE * 512)) $T "$REF" > /dev/null
	repair_device g "$target_disk"
	check_so "after repair it can be written" dd_write $T 65536 4096
	same "the view still" $V
	end

	label="target fails, break_snapshot"
	begin target $G on_cbw_error break_snapshot
	check_so "a write" dd_write $T 0 4096
	break_device g "$target_disk" 128 8
	local before
	before=$(events)
	check_so "the write to that block succeeds" dd_write $T 65536 4096
	is_so "the session is broken" "$(st 1)" broken
	check_so "an event" wait_until events_above "$before"
	view_is_dead "$label"
	repair_device g "$target_disk"
	view_is_dead "$label, repaired"
	check_fails "$label: the job cannot be started" message job start
	dmsetup suspend t && dmsetup resume t
	is_so "broken for good" "$(st 1)" broken
	view_is_dead "$label, resumed"
	check_so "the guest writes everywhere" dd_write $T 0 $((SIZE * 512))
	end
}

# The second half of block 2 of the origin cannot be read.
origin_fails()
{
	label="origin fails, break_guest_write"
	begin target $G on_cbw_error break_guest_write
	break_device o "$origin_disk" $((2 * 128 + 64)) 8
	check_fails "$label: the write to that block fails" dd_write $T 131072 4096
	check_so "others do not" dd_write $T 65536 4096
	like "$label: source errors are counted" "$(st 7) $(st 8)" '^[1-9][0-9]* 0'
	end
	label="origin fails, break_snapshot"
	begin target $G on_cbw_error break_snapshot
	break_device o "$origin_disk" $((2 * 128 + 64)) 8
	check_so "the write to that block succeeds" dd_write $T 131072 4096
	is_so "the session is broken" "$(st 1)" broken
	view_is_dead "$label"
	end
}

waits()
{
	[ "$(dm_status "$1" 6)" -ge 1 ]
}

# The target hangs: it is suspended.
target_hangs()
{
	local writer reader

	label="target hangs, break_guest_write"
	begin target $G on_cbw_error break_guest_write cbw_timeout 200
	dmsetup suspend --nolockfs g
	check_fails "$label: the write times out" dd_write $T 0 4096
	check_fails "$label: so does the next" dd_write $T 0 4096
	is_so "the session is active" "$(st 1)" active
	same "the view is not blocked" $V
	dmsetup resume g
	check_so "then the block is copied" wait_until st_is 2 1/128
	check_so "and can be written" dd_write $T 0 4096
	same "the view" $V
	end

	label="target hangs, break_snapshot"
	begin target $G on_cbw_error break_snapshot cbw_timeout 200
	dmsetup suspend --nolockfs g
	check_so "the write succeeds" dd_write $T 0 4096
	is_so "the session is broken" "$(st 1)" broken
	view_is_dead "$label"
	check_so "the device can be suspended" dmsetup suspend t
	dmsetup resume t
	check_so "the guest writes everywhere" dd_write $T 0 $((SIZE * 512))
	dmsetup resume g
	end

	label="target hangs, no timeout"
	begin target $G
	dmsetup suspend --nolockfs g
	dd_write $T 0 4096 > /dev/null 2>&1 &
	writer=$!
	check_so "the write waits" wait_until waits t
	message session cancel
	wait $writer
	result $? "$label: ""the session is cancelled: the write succeeds"
	is_so "the session is broken" "$(st 1)" broken
	check_fails "$label: a second cancel is refused" message session cancel
	view_is_dead "$label"
	dmsetup resume g
	end
}

# A copy in flight in a hanging target blocks neither a suspend nor another table, and
# its late write does not damage a later session on that target.
suspended_while_it_hangs()
{
	local writer resume

	label="suspended while the target hangs"
	begin target $G on_cbw_error break_guest_write cbw_timeout 100
	dmsetup suspend --nolockfs g
	check_fails "$label: a write times out" dd_write $T 0 4096
	message job start
	check_so "suspend" timeout 60 dmsetup suspend t
	dmsetup resume t
	check_so "view and origin are read" cmp -n 65536 $V "$REF"
	dmsetup suspend t
	check_so "load linear" dmsetup load t --table "0 $SIZE linear $O 0"
	dmsetup resume t &
	resume=$!
	check_so "the guest works on it" wait_until dd_write $T 0 65536
	check_so "while the old table waits" is_running $resume
	dmsetup resume g
	wait $resume
	result $? "$label: and ends"
	dm_remove v
	dm_remove t

	label="a new session after that"
	dm_create t "$(cbw_table $SIZE $O 128 target $G on_cbw_error break_guest_write cbw_timeout 100)"
	dmsetup suspend --nolockfs g
	check_fails "$label: a write times out" dd_write $T 0 4096
	cbw_table $SIZE $O 128 target $G | dmsetup load t
	dmsetup suspend t
	viewcheck "$origin_disk" "$REF" paint $RANDOM
	dmsetup resume t &
	resume=$!
	check_so "its resume waits for the old copy" is_running $resume
	dmsetup resume g
	wait $resume
	result $? "$label: and completes"
	make_view
	dd_write $T 0 1048576
	same "the view" $V
	message job start
	check_so "completes" wait_until st_is 4 complete
	cmp -n $((SIZE * 512)) $G "$REF"
	result $? "$label: the target"
	end
}

# Timeouts of more than 32 bits of nanoseconds, and of microseconds: while a write with a
# timeout of 4.3 s fails, those with 45 s and 5,000 s wait on.
long_timeouts()
{
	local name ms pids=()

	label="long timeouts"
	for ms in 4300 45000 5000000 18446744073709551615; do
		# A part of the target for each.
		dm_create "g$ms" "0 128 linear $G $((${#ms} * 128))" || bail "g$ms"
	done
	dmsetup suspend --nolockfs g
	for ms in 4300 45000 5000000 18446744073709551615; do
		name=w$ms
		dm_create "$name" "$(cbw_table 128 "$origin_disk" 128 target "/dev/mapper/g$ms" \
			on_cbw_error break_snapshot cbw_timeout $ms)" || bail "$name"
		dd_write "/dev/mapper/$name" 0 4096 > /dev/null 2>&1 &
		pids+=($!)
		check_so "$ms ms: the write waits" wait_until waits "$name"
	done
	wait "${pids[0]}"
	result $? "$label: ""4,300 ms are over"
	is_so "that session is broken" "$(dm_status w4300 1)" broken
	for ms in 45000 5000000 18446744073709551615; do
		is_so "$ms ms are not" "$(dm_status w$ms 1)" active
	done
	check_so "the others still wait" is_running "${pids[1]}"
	check_so "so do they" is_running "${pids[2]}"
	dmsetup resume g
	wait "${pids[1]}"
	result $? "$label: ""and succeed"
	wait "${pids[2]}"
	result $? "$label: ""all of them"
	for ms in 4300 45000 5000000 18446744073709551615; do
		dm_remove w$ms
		dm_remove g$ms
	done
}

# A session's last copy hangs in the target while its table is being replaced: a new
# session on that target waits for it. Two live sessions never share a target.
target_in_use()
{
	local replace resume

	label="a target in use"
	begin target $G on_cbw_error break_guest_write cbw_timeout 100
	log_mark
	check_fails "$label: is refused" \
		dm_create u "$(cbw_table 128 "$origin_disk" 8 fleece $G)"
	like "$label: with the reason" "$(log_since)" "Another device's session uses"
	dmsetup create --notable u && on_exit dm_remove u
	dm_remove v
	dm_remove t
	cbw_table 128 "$origin_disk" 8 fleece $G | dmsetup load u || bail "load"
	begin target $G on_cbw_error break_guest_write cbw_timeout 100
	log_mark
	check_fails "$label: also when the table was there before" dmsetup resume u
	like "$label: then too" "$(log_since)" "the session of .* uses the same target"
	message session cancel
	check_so "a broken session does not block it" dmsetup resume u
	dm_remove u
	end

	label="a target that the last session hangs in"
	begin target $G on_cbw_error break_guest_write cbw_timeout 100
	dmsetup suspend --nolockfs g
	check_fails "$label: a write times out" dd_write $T 0 4096
	dm_remove v
	dmsetup load t --table "0 $SIZE linear $O 0"
	dmsetup suspend t
	dmsetup resume t &
	replace=$!
	check_so "the guest writes without a session" wait_until dd_write $T 0 65536
	dmsetup create --notable u && on_exit dm_remove u
	cbw_table 128 "$origin_disk" 8 fleece $G | dmsetup load u || bail "load"
	dmsetup resume u &
	resume=$!
	wait_until -t 1 has_ended $resume > /dev/null
	check_so "a new session waits" is_running $resume
	check_so "while the old table does" is_running $replace
	dmsetup resume g
	wait $replace
	result $? "$label: the old table goes"
	wait $resume
	result $? "$label: the new session begins"
	is_so "it lives" "$(dm_status u 1)" active
	dm_remove u
	dm_remove t
	repair_device g "$target_disk"
}

# While the guest writes, the target fails and recovers: the view shows the right data,
# or fails reads.
flaps()
{
	local guest block=8 n=0

	label="target fails now and then"
	viewcheck "$origin_disk" "$TMP/initial" paint $RANDOM
	dm_create t "$(cbw_table $SIZE $O 8)" || bail "t"
	begin_session $SIZE $O 8 target $G on_cbw_error break_guest_write
	make_view || bail "view"
	break_device g "$target_disk" 4096 4096
	model --initial "$TMP/initial" --seconds 4 --max-io 16K --errors-allowed \
		> "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	while is_running $guest; do
		break_device g "$target_disk" $((n % 15 * 1024)) 777
		viewcheck $V "$REF" read 2 2 > "$TMP/readers" 2>&1
		[ $? -ne 1 ] || break
		n=$((n + 1))
	done
	wait $guest
	result $? "$label: the guest reads what it wrote" || diag "$(cat "$TMP/model")"
	diag "$n times: $(dm_status t)"
	repair_device g "$target_disk"
	same "the view" $V
	is_so "the session is active" "$(st 1)" active
	check_so "copies failed" test "$(st 8)" -gt 0
	end
}

target_fails
origin_fails
target_hangs
suspended_while_it_hangs
long_timeouts
target_in_use
flaps
finish
