#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: uml-lockdep
#
# Old data is kept in the slots of a device of any size. A discard of a view takes blocks
# out of the scope and frees their slots. Few free slots raise an event; without any, the
# copy fails.

. "$(dirname "$0")/cbw.sh"

readonly SIZE=$((16 * 2048 - 8))
origin=$(make_disk 16) && small=$(make_disk 1) && large=$(make_disk 16 4096) || bail "disks"

# begin BLOCK DEVICE FEATURE_WORD...
begin()
{
	viewcheck "$origin" "$TMP/initial" paint $RANDOM
	dm_create t "$(cbw_table $SIZE "$origin" "$1")" || bail "t"
	begin_session $SIZE "$origin" "$1" fleece "${@:2}"
	make_view || bail "view"
}

end()
{
	dm_remove v
	dm_remove t
}

random_write()
{
	dd if=/dev/urandom of=$T bs="$2" seek="$1" count=1 oflag=seek_bytes,direct \
		conv=notrunc status=none
}

full()
{
	local before
	label="full, break_guest_write"
	# No blocks of zeros, since these need no slot.
	dd if=/dev/urandom of="$origin" bs=1M count=16 status=none oflag=direct
	dm_create t "$(cbw_table $SIZE "$origin" 128)"
	begin_session $SIZE "$origin" 128 fleece "$small" on_cbw_error break_guest_write \
		fleece_low_water 50
	make_view
	is_so "16 slots" "$(st 9)" 0/16
	random_write 0 $((8 * 65536))
	before=$(events)
	random_write $((8 * 65536)) 65536
	is_so "9 are used" "$(st 9)" 9/16
	check_so "the low-water event" wait_until events_above "$before"
	check_so "all are used" random_write $((9 * 65536)) $((7 * 65536))
	is_so "16 are used" "$(st 9)" 16/16
	check_fails "$label: the next write fails" random_write 1048576 65536
	is_so "no slot is lost" "$(st 9) $(st 1)" "16/16 active"
	check_so "copied blocks can be written" random_write 0 4096
	same "the view" $V
	check_so "a view discards" blkdiscard -f -o 0 -l 65536 $V
	is_so "a slot is free" "$(st 9) $(st 2)" "15/16 15/255"
	check_so "the write succeeds" random_write 1048576 65536
	check_fails "$label: discarded blocks cannot be read" dd_read $V 0 4096
	check_so "the rest of the view" cmp -i 65536 -n $((SIZE * 512 - 65536)) $V "$REF"
	end

	label="the last slot"
	dd if=/dev/urandom of="$origin" bs=1M count=16 status=none oflag=direct
	dm_create t "$(cbw_table $SIZE "$origin" 128)"
	begin_session $SIZE "$origin" 128 fleece "$small" fleece_low_water 1
	make_view
	random_write 0 $((15 * 65536))
	before=$(events)
	check_so "is taken" random_write $((15 * 65536)) 65536
	check_so "one percent of 16 is more than none" wait_until events_above "$before"
	end

	label="full, break_snapshot"
	dd if=/dev/urandom of="$origin" bs=1M count=16 status=none oflag=direct
	dm_create t "$(cbw_table $SIZE "$origin" 128)"
	begin_session $SIZE "$origin" 128 fleece "$small" on_cbw_error break_snapshot
	make_view
	check_so "a write of 2 MiB succeeds" random_write 0 2097152
	is_so "the session is broken" "$(st 1)" broken
	check_fails "$label: the view fails" dd_read $V 0 4096
	check_fails "$label: a discard too" blkdiscard -f -o 0 -l 65536 $V
	end
}

# A reader that releases blocks, others that only read, and the guest.
released()
{
	local block=$1 device=$2 guest readers chunk=$((1 << 19))
	[ $((block * 512)) -le $chunk ] || chunk=$((block * 512))
	label="released, blocks of $((block / 2)) KiB"
	viewcheck "$origin" "$TMP/initial" paint $RANDOM
	dm_create t "$(cbw_table $SIZE "$origin" "$block")" || bail "t"
	model --initial "$TMP/initial" --seconds 6 --max-io 128K > "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	begin_session $SIZE "$origin" "$block" fleece "$device"
	make_view || bail "view"
	viewcheck $V "$REF" read 2 1000 > "$TMP/readers" 2>&1 &
	readers=$!
	viewcheck $V "$REF" release $chunk > "$TMP/release" 2>&1
	result $? "$label: all of it read once" || diag "$(cat "$TMP/release")"
	wait $readers
	# It may meet released blocks, but never reads a wrong byte.
	is_so "other readers get an error, not wrong data" $? 3
	diag "$(dm_status t)"
	is_so "nothing is left in scope" "$(st 2)" 0/0
	is_so "no slot is used" "$(st 9 | cut -d/ -f1)" 0
	wait $guest
	result $? "$label: the guest reads what it wrote" || diag "$(cat "$TMP/model")"
	is_so "no errors" "$(st 7)$(st 8)" 00
	end
}

inward()
{
	label="discards"
	begin 128 "$large"
	check_so "less than a block" blkdiscard -f -o 4096 -l 65536 $V
	is_so "releases nothing" "$(st 2)" 0/256
	check_so "not aligned" blkdiscard -f -o 4096 -l $((3 * 65536)) $V
	is_so "releases what is covered" "$(st 2)" 0/254
	check_so "the short block at the end" blkdiscard -f -o $((255 * 65536)) $V
	is_so "is released too" "$(st 2)" 0/253
	check_so "again" blkdiscard -f -o 0 -l 1048576 $V
	is_so "counts once" "$(st 2)" 0/239
	check_fails "$label: reads fail" dd_read $V 0 4096
	check_so "the rest" cmp -i 1048576 -n $((14 << 20)) $V "$REF"
	check_so "a write there" dd_write $T 0 4096
	is_so "costs nothing" "$(st 6)" 0
	check_fails "$label: no job" message job start
	end

	label="discards of a session with target"
	dm_create t "$(cbw_table $SIZE "$origin" 128)"
	begin_session $SIZE "$origin" 128 target "$large"
	make_view
	check_so "without a job" blkdiscard -f -o 0 -l 65536 $V
	is_so "release" "$(st 2)" 0/255
	check_fails "$label: then no job" message job start
	is_so "never" "$(st 4)" none
	end
	dm_create t "$(cbw_table $SIZE "$origin" 128)"
	begin_session $SIZE "$origin" 128 target "$large" job job_speed 1
	make_view
	check_fails "$label: with a job they are refused" blkdiscard -f -o 0 -l 65536 $V
	is_so "so nothing is missing" "$(st 2 | cut -d/ -f2)" 256
	end
}

full
inward
released 8 "$large"
released 128 "$large"
released 4096 "$large"
finish
