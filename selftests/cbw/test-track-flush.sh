#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Bits are cleared only when their data is durable on the origin: after a power cut each
# block that differs from the backup is set. Without a flush of the origin, or after a
# failed one, a commit or a clear clears no bit.

. "$(dirname "$0")/track.sh"
require_target delay flakey

readonly SIZE=$((8 * 2048))
block=8
# The origin has a cache, which loses its content at a power cut.
disk=$(make_disk 8 512 cache_size=4) && target=$(make_disk 8) || bail "disks"

new_meta()
{
	rm -f "$TMP/meta"
	dmlive meta format "$TMP/meta" --size $((SIZE * 512)) --track --bitmap B:4K >&2 ||
		bail "dmlive meta format"
	meta=$(make_disk 1) && write_meta "$TMP/meta" "$meta" || bail "meta"
}

# origin_table well|bad - with flushes that succeed or fail.
origin_table()
{
	local flushed=$disk
	[ "$1" = well ] || flushed=/dev/mapper/broken
	echo "0 $SIZE delay $disk 0 0 $disk 0 0 $flushed 0 0"
}

flushes_are()
{
	dm_reload origin "$(origin_table "$1")" --nolockfs || bail "flushes: $1"
}

# paint BYTE BLOCK - write a block, without a flush.
paint()
{
	head -c 4096 /dev/zero | tr '\0' "$1" > "$TMP/block"
	dd if="$TMP/block" of=$T bs=4096 seek="$2" oflag=direct conv=notrunc status=none ||
		bail "write"
}

byte_at()
{
	dd_read "$1" $(($2 * 4096)) 4096 | head -c 1 | tr '\0' 0
}

# cut_power - the content of the origin's cache is lost.
cut_power()
{
	local dir name=${disk#/dev/}
	for dir in /sys/kernel/config/nullb/*; do
		[ "$name" = "${dir##*/}" ] || [ "$name" = "nullb$(< "$dir/index")" ] || continue
		echo 0 > "$dir/power" && echo 1 > "$dir/power"
		wait_until -t 5 test -b "$disk"
		return
	done
	bail "$disk: not found"
}

create()
{
	dm_create broken "0 $SIZE flakey $disk 0 0 10000 1 error_writes" || bail "broken"
	dm_create origin "$(origin_table well)" || bail "origin"
	dm_create t "$(track_table $SIZE /dev/mapper/origin "$meta" $block)" || bail "t"
}

destroy()
{
	dm_remove t
	dm_remove origin
	dm_remove broken
}

# session GENERATION - a full session with a complete backup.
session()
{
	track_table $SIZE /dev/mapper/origin "$meta" $block target "$target" new_bitmap B \
		generation "$1" job | dmsetup reload t && dmsetup suspend t &&
		dmsetup resume t || bail "session"
	check_so "the backup is complete" wait_until st_is 1 complete
}

nr_flushes()
{
	local words
	read -r -a words < "/sys/block/${disk##*/}/stat"
	echo "${words[15]}"
}

flushed_since()
{
	[ "$(nr_flushes)" -gt "$1" ]
}

label="power cut after a commit"
new_meta
create
paint N 5
session 77
is_so "the backup has the write" "$(byte_at "$target" 5)" N
check_so "commit" message backup commit B 77
# The crash is here: this state of the metadata is put back below.
read_meta
destroy
cut_power
write_meta "$TMP/meta" "$meta"
create
is_so "the origin has it too" "$(byte_at $T 5)" N
destroy

label="a flush that fails"
new_meta
create
paint N 6
session 78
flushes_are bad
check_fails "$label: commit" message backup commit B 78
is_so "the union stays" "$(tracking B)" "frozen 1"
flushes_are well
check_fails "$label: commit, though the next one succeeds" message backup commit B 78
check_so "abort" message backup abort B
is_so "the bitmap has it" "$(tracking B)" "recording 1"
flushes_are bad
check_fails "$label: clear" message bitmap clear B
is_so "no bit is lost" "$(tracking B)" "recording 1"
flushes_are well
session 79
flushes_are bad
check_fails "$label: the guest's own" sync $T
flushes_are well
check_fails "$label: commit after that" message backup commit B 79
check_so "another table" dm_reload t "$(track_table $SIZE /dev/mapper/origin "$meta" $block)"
session 80
check_so "commit of the next backup" message backup commit B 80
# The origin may show data that is not durable, until the device is created again.
is_so "the bits stay" "$(tracking B)" "recording 1"

label="a clear"
paint C 7
check_so "all is written" tracking_is B "recording 2"
check_so "regions are closed" wait_until tracking_is regions 0/1
flushes=$(nr_flushes)
check_so "clear" message bitmap clear B
check_so "flushes the origin" flushed_since "$flushes"
paint D 7
flushes=$(nr_flushes)
check_so "regions are closed again" wait_until tracking_is regions 0/1
check_so "after another flush" flushed_since "$flushes"
check_so "clear" message bitmap clear B
flushes_are bad
check_so "suspend and resume, when flushes fail" eval "dmsetup suspend t && dmsetup resume t"
is_so "all is set" "$(tracking B)" "recording 2048"
flushes_are well
flushes=$(nr_flushes)
check_so "suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
is_so "needs no flush" "$(nr_flushes)" "$flushes"
destroy
finish
