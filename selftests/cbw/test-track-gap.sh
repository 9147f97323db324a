#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Writes that were not tracked are noticed: then all blocks count as changed, the bitmaps
# do not belong to a backup any more, and the log says since when and why. Without such
# writes, bits and generations stay.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((32 * 2048)) MIB=1048576 ALL=512
origin=$(make_painted 32) && target=$(make_disk 32) && meta=$(make_disk 1) || bail "disks"
dmlive meta format "$TMP/new" --size $((SIZE * 512)) --track --bitmap B:64K >&2 ||
	bail "meta"
generation=100

create()
{
	dm_create t "$(track_table $SIZE "${1:-$origin}" "$meta" 128)" || bail "t"
}

session()
{
	dm_reload t "$(track_table $SIZE "$origin" "$meta" 128 target "$target" "$@")" ||
		bail "session"
}

# based - t is active, and B has no bits and belongs to a backup.
based()
{
	dmsetup info t > /dev/null 2>&1 || create
	session new_bitmap B
	message backup commit B $((++generation)) || bail "commit"
	dm_reload t "$(track_table $SIZE "$origin" "$meta" 128)" || bail "reload"
}

bits()
{
	dm_status t | tr ' ' '\n' | grep -A 4 -x B | tail -n 2 | xargs
}

# seal - the flags of the seal, which is at $at, and the reason for the last gap.
seal()
{
	read_meta
	od -A n -t u4 --endian=big -j $((at + 8)) -N 8 "$TMP/meta" | xargs
}

# gap REASON WORDS - t has found a gap at the resume. Call log_mark before the resume.
gap()
{
	is_so "all counts as changed, no generation" "$(bits)" "$ALL 0"
	like "$label: the log has when and why" "$(log_since)" \
		"changes were not tracked .* UTC \(.*$2.*\).*next backup is full"
	is_so "it is recorded" "$(seal)" "0 $1"
}

no_gap()
{
	is_so "$1" "$(bits)" "$2 $generation"
}

write_meta "$TMP/new" "$meta"
at=$(LC_ALL=C grep -abo dmls "$TMP/new" | tail -n 1 | cut -d : -f 1)

# All I/O through t is counted as it reaches the device below: split, deferred, dropped.
through_t()
{
	label="no gap"
	log_mark
	create
	is_so "a new store has no seal, and no gap" "$(tracking B)" "recording 0"
	based
	session bitmap B
	check_so "a write that waits for its region" dd_write $T $MIB 4096
	check_so "a large one" dd if=/dev/zero of=$T bs=4M seek=1 count=1 oflag=direct \
		conv=notrunc,fsync status=none
	check_so "one with a flush" dd_write $T $((9 * MIB + 512)) 3584 oflag=dsync
	check_so "a discard" blkdiscard -o $((12 * MIB)) -l $((8 * MIB)) $T
	check_so "write-zeroes" blkdiscard -z -o $((24 * MIB)) -l 65536 $T
	set=$((1 + 64 + 1 + 128 + 1))
	check_so "suspend and resume" dmsetup suspend t
	is_so "sealed while suspended" "$(seal)" "1 0"
	instance=$(od -A n -t x1 -j $((at + 16)) -N 16 "$TMP/meta" | tr -d ' \n')
	is_so "by this load of the module" "$instance" \
		"$(tr -d - < /sys/module/dm_live/parameters/instance)"
	dmsetup resume t
	is_so "the session continues" "$(tracking B) $(st 1)" "frozen $set active"
	is_so "no seal while it is in use" "$(seal)" "0 0"
	message backup abort B
	dm_reload t "$(track_table $SIZE "$origin" "$meta" 128)"
	no_gap "after another table" $set
	check_so "reading $origin" dd if="$origin" of=/dev/null bs=1M iflag=direct status=none
	dm_remove t
	create
	no_gap "removed and created again" $set
	is "$label: nothing in the log" "$(log_since | grep -c -e 'not tracked' -e 'past it')" 0
}

# The counts are those of the same bios, whenever the device is suspended.
under_load()
{
	local pid disk=$origin
	label="under load"
	dm_remove t
	origin=$(make_linear o "$disk") || bail "o"
	log_mark
	create		# another device: the first gap
	based
	blkmodel $T --ops 3000 --threads 4 --max-io 256K --no-verify --seed 1 \
		--mix write=65,discard=10,zero=10,flush=10,fua=5 > "$TMP/out" 2>&1 &
	pid=$!
	on_exit stop_process $pid
	for words in "new_bitmap B" "bitmap B"; do
		# shellcheck disable=SC2086
		session $words
		dmsetup suspend --noflush t && dmsetup resume t
		message backup abort B
	done
	wait $pid
	result $? "$label: no I/O failed" || diag "$(< "$TMP/out")"
	dmsetup suspend t && dmsetup resume t
	is_so "the generation is there" "$(bits | cut -d ' ' -f 2)" "$generation"
	is "$label: no other gap" "$(log_since | grep -c -e 'not tracked' -e 'past it')" 1
	dm_remove t
	dm_remove o
	origin=$disk
}

in_between()
{
	label="written while closed"
	based
	dm_remove t
	log_mark
	check_so "a write to the origin" dd_write "$origin" $((5 * MIB)) 512
	create
	gap 5 "written to without tracking"
	label="discarded while closed"
	dm_remove t
	check_so "a discard of the origin" blkdiscard -o 0 -l 65536 "$origin"
	log_mark
	create
	gap 5 "written to without tracking"
	label="another device"
	dm_remove t
	log_mark
	create "$target"
	gap 4 "another one"
	dm_remove t
	label="and back"
	log_mark
	create
	gap 4 "another one"
	label="an older copy of the store"
	based
	dm_remove t
	read_meta "$meta" "$TMP/old"
	create
	check_so "a write" dd_write $T 0 512
	dm_remove t
	write_meta "$TMP/old" "$meta"
	log_mark
	create
	gap 5 "written to without tracking"
	label="damaged seal"
	dm_remove t
	read_meta
	printf 'x' | dd of="$TMP/meta" bs=1 seek=$((at + 60)) conv=notrunc status=none
	write_meta "$TMP/meta" "$meta"
	log_mark
	create
	gap 2 damaged
}

past_t()
{
	label="past it"
	based
	session bitmap B
	check_so "a write" dd_write $T $MIB 65536
	check_so "one to the origin" dd_write "$origin" $((5 * MIB)) 512
	log_mark
	dmsetup suspend t
	like "$label: the log says so" "$(log_since)" "1 sectors were written .* past it"
	read_meta
	is_so "it is not sealed" "$(seal)" "8 6"
	cp "$TMP/meta" "$TMP/known"
	dmsetup resume t
	gap 6 "written to directly"
	is_so "the session is lost" "$(st 1)" broken
	check_fails "$label: backup commit" message backup commit B $((generation + 1))
	message backup abort B
	label="directly, then closed"
	check_so "a discard of the origin" blkdiscard -f -o 0 -l 65536 "$origin"
	dm_remove t
	log_mark
	create
	gap 6 "written to directly"
	label="while suspended"
	dmsetup suspend t
	check_so "a write to the origin" dd_write "$origin" $((5 * MIB)) 512
	log_mark
	dmsetup resume t
	gap 5 "written to without tracking"
}

# A table that is refused since another one uses the store writes nothing to the store,
# even if an older copy of it was written back meanwhile.
not_its_own()
{
	label="of another table"
	write_meta "$TMP/new" "$meta"
	create
	write_meta "$TMP/known" "$meta"
	is_so "a recorded gap counts" "$(seal)" "8 6"
	log_mark
	check_fails "$label: refused" dm_create t2 \
		"$(track_table $SIZE "$origin" "$meta" 128)"
	like "$label: the log says why" "$(log_since)" "another target uses it"
	is "$label: and says nothing of a gap" "$(log_since | grep -c 'not tracked')" 0
	read_meta
	check_so "nothing was written" cmp "$TMP/meta" "$TMP/known"
	dmsetup remove t2 2> /dev/null
	check_so "the first one goes on" dd_write $T 0 512
	dm_remove t
	write_meta "$TMP/new" "$meta"
}

# Only the counters of the mapped device exist.
uncounted()
{
	local linear="0 $SIZE linear $origin 0"
	label="an origin that does not count"
	iostats=/sys/block/${origin#/dev/}/queue/iostats
	echo 0 > "$iostats"
	based
	dm_reload t "$linear"
	dm_reload t "$(track_table $SIZE "$origin" "$meta" 128)"
	no_gap "another table, and back" 0
	dm_reload t "$linear"
	check_so "a write without tracking" dd_write $T 0 512
	log_mark
	dm_reload t "$(track_table $SIZE "$origin" "$meta" 128)"
	gap 5 "written to without tracking"
	dm_remove t
	log_mark
	create
	gap 7 "does not count"
	echo 1 > "$iostats"
}

# After a crash, writes since then are not detected; but a gap that is recorded in the
# store counts.
crash()
{
	label="crash"
	dm_remove t
	create
	based
	check_so "a write" dd_write $T $MIB 4096
	read_meta "$meta" "$TMP/crash"
	dm_remove t
	write_meta "$TMP/crash" "$meta"
	dd_write "$origin" 0 512
	create
	no_gap "the region that was written to" 256
	label="crash after a gap"
	dm_remove t
	# Its flags: at byte 12 of its entry of 32 bytes, which is the entry before.
	entry=$(grep -abo dmlive-intent "$TMP/known" | head -n 1 | cut -d : -f 1)
	printf '\0\0\0\3' | dd of="$TMP/known" bs=1 seek=$((entry - 24 - 32 + 12)) \
		conv=notrunc status=none
	is_so "it was not closed" "$(flags_of B "$TMP/known")" "auto in-use"
	write_meta "$TMP/known" "$meta"
	log_mark
	create
	gap 6 "written to directly"
	label="not closed"
	based
	dmsetup suspend t
	dm_reload m "0 $(sectors "$disk") linear $disk 0"
	dmsetup resume t
	break_device m "$disk" 0 "$(sectors "$disk")"
	check_so "a suspend that cannot close it" dmsetup suspend t
	repair_device m "$disk"
	dmsetup resume t
	no_gap "nothing was written" 0
	break_device m "$disk" 0 "$(sectors "$disk")"
	dmsetup suspend t
	repair_device m "$disk"
	dd_write "$origin" 0 512
	log_mark
	dmsetup resume t
	gap 5 "written to without tracking"
	dm_remove t
}

without()
{
	label="no place for a seal"
	meta=$(make_meta $SIZE B:64K:auto dmlive-intent:16M) || bail "meta"
	create
	check_so "a write" dd_write $T $MIB 4096
	dm_remove t
	dd_write "$origin" $((5 * MIB)) 512
	log_mark
	create
	dmsetup suspend t
	dmsetup resume t
	is_so "the bits as they were" "$(tracking B)" "recording 1"
	is "$label: the log says so once" \
		"$(log_since | grep -c "no place for a seal.*dmlive meta prepare")" 1
	dm_remove t
}

through_t
under_load
in_between
past_t
dm_remove t
not_its_own
uncounted
disk=$meta && dm_remove t
meta=$(make_linear m "$disk") || bail "m"
crash
dm_remove m
without
finish
