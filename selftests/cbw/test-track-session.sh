#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A session on a bitmap covers the blocks that are set in it. No write during the session
# is lost, however it ends: commit, abort, another table or a crash. Messages change
# bitmaps durably.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((32 * 2048)) MIB=1048576
origin=$(make_painted 32) && target=$(make_disk 32) && fleece=$(make_disk 2) || bail "disks"
block=128

create()
{
	dm_create t "$(track_table $SIZE "$origin" "$meta" $block)" || bail "t"
}

# session FEATURE_WORD... - as begin_session, with tracking.
session()
{
	track_table $SIZE "$origin" "$meta" $block target "$target" "$@" |
		dmsetup reload t && dmsetup suspend t || bail "reload"
	dd if="$origin" of="$REF" bs=1M iflag=direct status=none || bail "reference"
	dmsetup resume t || bail "resume"
}

pass_through()
{
	dm_reload t "$(track_table $SIZE "$origin" "$meta" $block)" || bail "no session"
}

# A store made by dmlive meta format --track, with space for generations.
new_meta()
{
	rm -f "$TMP/meta"
	dmlive meta format "$TMP/meta" --size $((SIZE * 512)) --track --bitmap B:64K \
		--bitmap fine:4K --bitmap off:64K >&2 || bail "meta"
	meta=$(make_disk $((($(stat -c %s "$TMP/meta") + MIB - 1) / MIB))) &&
		write_meta "$TMP/meta" "$meta" || bail "meta"
}

begun()
{
	new_meta
	create
	check_so "a write" dd_write $T $MIB 4096
	session new_bitmap B
	is_so "all is in scope" "$(st 2)" 0/512
	is_so "frozen" "$(tracking B)" "frozen 1"
	check_so "a write while it runs" dd_write $T $((5 * MIB)) 4096
	is_so "the union" "$(tracking B)" "frozen 2"
	check_so "suspend and resume" dmsetup suspend t
	dmsetup resume t
	is_so "still frozen" "$(tracking B)" "frozen 2"
	check_so "a write after that" dd_write $T $((6 * MIB)) 4096
	read_meta
	is_so "no change of a frozen one" "$(message bitmap clear B 2>&1 | grep -c busy)" 1
}

committed()
{
	label="commit"
	begun
	check_fails "$label: without generation" message backup commit B 0
	check_fails "$label: of one that is not frozen" message backup commit fine 7
	check_so "backup commit" message backup commit B 4711
	is_so "the successor" "$(tracking B)" "recording 2"
	is_so "the generation" "$(generation B)" 4711
	check_fails "$label: once more" message backup commit B 4712
	read_meta
	is_so "it is durable" "$(bits_of B)" \
		"$(printf '%s\n' "$((5 * MIB)) 65536" "$((6 * MIB)) 65536")"
	pass_through

	label="increment"
	session bitmap B
	is_so "two blocks are in scope" "$(st 2)" 0/2
	check_so "a write in the scope" dd_write $T $((5 * MIB)) 8192
	check_so "a write out of it" dd_write $T $((9 * MIB)) 4096
	is_so "one was copied" "$(st 2)" 1/2
	check_so "a view" make_view
	check_so "has the old data" cmp -n 65536 -i $((5 * MIB)) $V "$REF"
	check_fails "$label: but nothing else" dd_read $V $((9 * MIB)) 4096
	dm_remove v
	check_so "the job" message job start
	wait_until st_is 4 complete
	check_so "has copied the rest" cmp -n 65536 -i $((6 * MIB)) "$target" "$REF"
	check_so "backup commit" message backup commit B 4712
	is_so "the writes meanwhile" "$(tracking B)" "recording 2"
	is_so "the generation" "$(generation B)" 4712

	label="increment with a fleece device"
	session bitmap B fleece "$fleece"
	is_so "two blocks are in scope" "$(st 2)" 0/2
	check_so "a write in the scope" dd_write $T $((5 * MIB)) 8192
	check_so "the job" message job start
	check_so "completes" wait_until st_is 4 complete
	is_so "with nothing else" "$(st 2) $(st 5)" "2/2 131072/131072"
	check_so "from the slot" cmp -n 65536 -i $((5 * MIB)) "$target" "$REF"
	check_so "and the origin" cmp -n 65536 -i $((9 * MIB)) "$target" "$REF"
	check_so "backup abort" message backup abort B
	label="increment"
	crash_now
	is_so "after a crash the generation is there" "$(generation B)" 4712
	dm_remove t
}

# Copy the disk as a crash would leave it.
crash_now()
{
	read_meta
	dm_remove t
	write_meta "$TMP/meta" "$meta"
	create
}

aborted()
{
	label="abort"
	begun
	check_so "backup abort" message backup abort B
	is_so "the union" "$(tracking B)" "recording 3"
	is_so "no generation" "$(generation B)" 0
	check_fails "$label: once more" message backup abort B
	dm_remove t

	label="another table"
	begun
	pass_through
	is_so "the union" "$(tracking B)" "recording 3"
	check_fails "$label: a commit is refused" message backup commit B 5
	dm_remove t

	label="broken"
	begun
	message session cancel
	check_fails "$label: no commit" message backup commit B 5
	check_so "but an abort" message backup abort B
	is_so "the union" "$(tracking B)" "recording 3"
	dm_remove t

	label="crash"
	begun
	crash_now
	is_so "the union and the region of all of them" "$(tracking B)" "recording 256"
	dm_remove t
}

messages()
{
	label="messages"
	new_meta
	create
	check_so "one is disabled" message bitmap disable off
	check_so "a write" dd_write $T $MIB 4096
	check_so "disable" message bitmap disable B
	is_so "it has its bits" "$(tracking B)" "disabled 1"
	check_fails "$label: twice" message bitmap disable B
	check_so "a write" dd_write $T $((2 * MIB)) 8192
	is_so "is not in it" "$(tracking B)" "disabled 1"
	is_so "but in the other" "$(tracking fine)" "recording 3"
	read_meta
	is_so "it is closed" "$(flags_of B)" ""
	is_so "with its bits" "$(bits_of B)" "$MIB 65536"
	check_so "enable" message bitmap enable off
	check_so "a write" dd_write $T $((3 * MIB)) 4096
	is_so "is in it" "$(tracking off)" "recording 1"
	read_meta
	is_so "it is in use" "$(flags_of off)" "auto in-use"
	check_so "merge" message bitmap merge off fine B
	is_so "all bits" "$(tracking off)" "recording 3"
	check_so "into a disabled one" message bitmap merge B off
	is_so "all bits" "$(tracking B)" "disabled 3"
	check_so "to smaller blocks" message bitmap merge fine B
	is_so "outward" "$(tracking fine)" "recording 48"
	check_so "clear" message bitmap clear fine
	is_so "no bits" "$(tracking fine)" "recording 0"
	check_so "clear a disabled one" message bitmap clear B
	read_meta
	is_so "durably" "$(bits_of B) $(bits_of fine)" " "
	check_fails "$label: no such bitmap" message bitmap clear C
	check_fails "$label: no such source" message bitmap merge fine C
	check_fails "$label: not a reserved one" message bitmap clear dmlive-intent
	check_fails "$label: no such message" message bitmap
	check_fails "$label: too many words" message bitmap clear B fine
	log_mark
	check_fails "$label: none is added here" message bitmap add C 65536
	like "$label: the log says how" "$(log_since)" "dmlive bitmap"
	dm_remove t
	create
	is_so "it lasts" "$(tracking B), $(tracking off)" "disabled 0, recording 3"
	dm_remove t
	read_meta
	is_sane "after"
	dm_create t "$(cbw_table $SIZE "$origin" $block)" || bail "t"
	check_fails "$label: without metadata" message bitmap clear B
	dm_remove t

	label="table lines"
	for word in "bitmap C" "bitmap B" "bitmap dmlive-intent" "new_bitmap C" \
		"bitmap off new_bitmap off"; do
		check_fails "$label: $word" dm_create t "$(track_table $SIZE "$origin" \
			"$meta" $block target "$target" $word)"
	done
	check_fails "$label: no session" dm_create t \
		"$(track_table $SIZE "$origin" "$meta" $block bitmap off)"
	check_fails "$label: no metadata" dm_create t \
		"$(cbw_table $SIZE "$origin" $block target "$target" bitmap off)"
}

committed
aborted
messages
finish
