#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A bitmap belongs to one backup only, and is never merged with a bitmap that may lack
# changes: a commit needs a generation other than the bitmap's present one, and a bitmap
# that was not closed after a crash is not merged. A failed write to the metadata device
# does not look like a successful one.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((32 * 2048)) MIB=1048576
origin=$(make_painted 32) && target=$(make_disk 32) || bail "disks"
block=128

new_meta()
{
	rm -f "$TMP/meta"
	dmlive meta format "$TMP/meta" --size $((SIZE * 512)) --track --bitmap B:64K \
		--bitmap off:64K >&2 || bail "meta"
	disk=$(make_disk $((($(stat -c %s "$TMP/meta") + MIB - 1) / MIB))) || bail "disk"
}

create()
{
	dm_create t "$(track_table $SIZE "$origin" "$meta" $block)" || bail "t"
}

session()
{
	dm_reload t "$(track_table $SIZE "$origin" "$meta" $block target "$target" "$@")" ||
		bail "session"
}

one_backup()
{
	label="generation"
	new_meta
	meta=$disk
	write_meta "$TMP/meta" "$meta"
	create
	session new_bitmap B
	check_so "backup commit" message backup commit B 4711
	check_so "a write" dd_write $T $MIB 4096
	session bitmap B
	check_so "a write while it runs" dd_write $T $((5 * MIB)) 4096
	check_fails "$label: the one of the backup before" message backup commit B 4711
	is_so "nothing has changed" "$(tracking B) $(generation B)" "frozen 2 4711"
	check_so "a new one" message backup commit B 4712
	is_so "the successor" "$(tracking B) $(generation B)" "recording 1 4712"
	dm_remove t
}

# Two backup programs: the session of the second has ended that of the first.
another_session()
{
	label="another session"
	new_meta
	meta=$disk
	write_meta "$TMP/meta" "$meta"
	create
	session new_bitmap B generation 1001
	check_so "a write" dd_write $T $MIB 4096
	session new_bitmap B generation 1002
	check_so "a write" dd_write $T $((5 * MIB)) 4096
	log_mark
	check_fails "$label: the first one cannot be committed" message backup commit B 1001
	like "$label: the log says why" "$(log_since)" "that of another backup"
	is_so "nothing has changed" "$(tracking B) $(generation B)" "frozen 2 0"
	check_so "the second one can" message backup commit B 1002
	is_so "the writes since then" "$(tracking B) $(generation B)" "recording 1 1002"
	like "the table has it" "$(dmsetup table t)" "new_bitmap B generation 1002"
	for words in "generation 5" "bitmap B generation 0" "bitmap B generation x" \
		"bitmap B generation"; do
		check_fails "$label: $words" dmsetup load t --table \
			"$(track_table $SIZE "$origin" "$meta" $block target "$target" $words)"
	done
	dm_remove t
}

unknown()
{
	local at
	label="unknown"
	new_meta
	meta=$disk
	# It is disabled and in use. The flags are 12 bytes before the name.
	at=$(grep -abo off "$TMP/meta" | head -n 1 | cut -d : -f 1)
	printf '\0\0\0\1' | dd of="$TMP/meta" bs=1 seek=$((at - 12)) conv=notrunc status=none
	is_so "it was not closed" "$(flags_of off)" in-use
	write_meta "$TMP/meta" "$meta"
	create
	check_fails "$label: it cannot be enabled" message bitmap enable off
	log_mark
	check_fails "$label: nor merged" message bitmap merge B off
	like "$label: the log says why" "$(log_since)" "not closed after a crash"
	dm_remove t
}

not_durable()
{
	label="not durable"
	new_meta
	write_meta "$TMP/meta" "$disk"
	meta=$(make_linear m "$disk") || bail "m"
	create
	session new_bitmap B
	check_so "a write" dd_write $T $MIB 4096
	break_device m "$disk" 0 "$(sectors "$disk")"
	check_fails "$label: backup commit" message backup commit B 4711
	is_so "it has not become that of the backup" "$(generation B)" 0
	check_fails "$label: once more" message backup commit B 4711
	is_so "it is frozen, and has its bits" "$(tracking B)" "frozen 1"
	dmsetup suspend t
	repair_device m "$disk"
	check_so "the metadata device is back" dmsetup resume t
	is_so "still frozen" "$(tracking B)" "frozen 1"
	check_so "backup commit" message backup commit B 4712
	is_so "the successor" "$(tracking B) $(generation B)" "recording 1 4712"
	dm_remove t
	dm_remove m
}

one_backup
another_session
unknown
not_durable
finish
