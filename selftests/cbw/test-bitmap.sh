#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `dmlive bitmap` on metadata devices: it refuses to change one that is used by a target
# or mapped otherwise, and lists what the target records. A bitmap that was added
# records; a spare is used where a device is full. Merging the intent bitmap by hand
# after a crash gives the same bits as the kernel's recovery.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((64 * 2048))
origin=$(make_painted 64) || bail "origin"
meta=$(make_disk 8) || bail "meta"
crashed=$(make_disk 8) || bail "another disk"

create()
{
	dm_create t "$(track_table $SIZE "$origin" "${1:-$meta}" 128)" || bail "t"
}

check "a metadata device" dmlive meta format "$meta" --size $((SIZE * 512)) --track \
	--bitmap fine:4K --bitmap coarse:1M
check "add to it" dmlive bitmap add "$meta" more --granularity 64K
create
is "the target records in it" "$(tracking more)" "recording 0"
is "meta dump of the metadata device in use" "$(bits_of more "$meta")" ""
check "a write" dd_write $T $((1 << 20)) 65536
is "list of the mapped device" "$(dmlive bitmap list t --json |
	jq -r '.[] | "\(.name) \(.granularity) \(.auto) \(."set-bytes")"' | sort | tr '\n' ';')" \
	"coarse 1048576 true 1048576;fine 4096 true 65536;more 65536 true 65536;"
like "list for people" "$(dmlive bitmap list $T)" "bitmap fine: granularity 4.0 KiB, recording, 64.0 KiB set"
for verb in add remove enable disable clear; do
	bitmap_refused "$verb on the metadata device in use" "in use by the mapped device t: .*bitmap $verb t" \
		$verb "$meta" fine
done
bitmap_refused "merge on the metadata device in use" "in use by the mapped device t" merge "$meta" fine more

dumped=$(dmlive bitmap dump --json t more 2> "$TMP/warning")
is "dump of the mapped device" $? 0
check "prints ranges" jq -e 'type == "array"' <<< "$dumped"
like "with a warning" "$(< "$TMP/warning")" "t is in use: bits of the last seconds may be missing"
check "dump of the metadata device in use" eval \
	"dmlive bitmap dump --json '$meta' more > '$TMP/dumped' 2> '$TMP/warning'"
like "with the same warning" "$(< "$TMP/warning")" "t is in use: bits of the last seconds"

# The metadata as a crash leaves it.
read_meta "$meta" "$TMP/crash" || bail "copy"
write_meta "$TMP/crash" "$crashed" || bail "copy"
dmsetup suspend t
is "meta dump shows what the target has written since" "$(bits_of more "$meta")" "1048576 65536"
check "meta check finds no error" dmlive meta check "$meta"
dmsetup resume t
dm_remove t
check "its bits are on the device" test "$(dmlive bitmap dump "$meta" more --json |
	jq -r '.[] | "\(.start) \(.length)"')" = "1048576 65536"
bitmap_refused "dump of a bitmap that a crash left open" "'fine' was not closed.*activate its target" dump "$crashed" fine
check "by hand" dmlive bitmap merge "$crashed" fine dmlive-intent
check "by hand, another" dmlive bitmap merge "$crashed" coarse dmlive-intent
check "by hand, the last" dmlive bitmap merge "$crashed" more dmlive-intent
read_meta "$crashed" "$TMP/by-hand"
write_meta "$TMP/crash" "$crashed" || bail "copy"
create "$crashed"
dm_remove t
read_meta "$crashed" "$TMP/by-target"
for b in fine coarse more; do
	is "$b: by hand as by the target" "$(bits_of $b "$TMP/by-hand")" "$(bits_of $b "$TMP/by-target")"
	like "$b: the region is set" "$(bits_of $b "$TMP/by-hand")" "^0 16777216"
	is "$b: closed by hand" "$(flags_of $b "$TMP/by-hand")" auto
done
is "the intent bitmap: closed by hand" "$(flags_of dmlive-intent "$TMP/by-hand")" ""
check "by hand: qemu-img check" qemu-img check -q "$TMP/by-hand"
write_meta "$TMP/by-hand" "$crashed" || bail "copy"
create "$crashed"
is "the target cannot know that it was not written to since then" "$(tracking more)" \
	"recording $((SIZE / 128))"
dm_remove t

# Other users of the device.
dm_create lin "0 2048 linear $meta 0" || bail "linear"
bitmap_refused "a device that is mapped" "in use by the mapped device " clear "$meta" fine
dm_remove lin

# A device without free space: the space of a spare is used.
bytes=$(dmlive meta size --size $((SIZE * 512)) --track --bitmap fine:4K)
dmlive meta format "$TMP/exact" --size $((SIZE * 512)) --track --bitmap fine:4K ||
	bail "dmlive meta format"
truncate -s "$bytes" "$TMP/exact"
loop=$(losetup --show -f "$TMP/exact") || bail "losetup"
on_exit losetup -d "$loop"
bitmap_refused "a file that is attached to a loop device" "loop device $loop" clear "$TMP/exact" fine
check "the first spare" dmlive bitmap add "$loop" one --granularity 64K
check "the second spare" dmlive bitmap add "$loop" two --granularity 64K
is "are used" "$(dmlive bitmap list "$loop" --json | jq -r '[.[].name] | join(" ")')" \
	"fine dmlive-intent one two"
bitmap_refused "no room" "device is too small" add "$loop" three --granularity 64K
check "remove one" dmlive bitmap remove "$loop" one
check "and there is space" dmlive bitmap add "$loop" three --granularity 64K
check "all of it: qemu-img check" qemu-img check -q "$loop"
check "all of it: dmlive meta check" dmlive meta check "$loop"
finish
