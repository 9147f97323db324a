#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A metadata device that does not fit, is not prepared or is damaged is refused with the
# reason in the kernel log, and nothing is written to it.

. "$(dirname "$0")/store.sh"
require_module loop

readonly SIZE=65536 BLOCK=128
# Offsets in the image of "dmlive meta format" of the fields that are damaged here. The
# extensions follow the header: the state, then the bitmaps.
readonly INCOMPATIBLE=72 AUTOCLEAR=88 STATE=112 BITMAPS=128
readonly NR_BITMAPS=$((BITMAPS + 8)) DIRECTORY_SIZE=$((BITMAPS + 16)) \
	DIRECTORY_OFFSET=$((BITMAPS + 24))

# put FILE OFFSET HEX - overwrite bytes.
put()
{
	printf '%b' "$(sed 's/../\\x&/g' <<< "$3")" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# be64 FILE OFFSET - print a number in the file.
be64()
{
	echo $((16#$(od -A n -t x1 -j "$2" -N 8 "$1" | tr -d ' ')))
}

# refused DESCRIPTION REGEX [TABLE] - with $TMP/meta on the metadata device.
refused()
{
	local table=${3:-$(meta_table $SIZE "$file" "$backing" "$meta" $BLOCK)}

	write_meta "$TMP/meta" "$meta" || bail "write"
	read_meta "$meta" "$TMP/before"
	log_mark
	if printf '%s\n' "$table" | dmsetup create t 2> /dev/null; then
		dm_remove t
		not_ok "$1: not refused"
		return
	fi
	like "$1" "$(log_since)" "$2"
	read_meta "$meta" "$TMP/after"
	cmp -s "$TMP/before" "$TMP/after" || not_ok "$1: the metadata was changed"
}

# damaged DESCRIPTION REGEX OFFSET HEX [OFFSET HEX]
damaged()
{
	cp "$TMP/good" "$TMP/meta"
	put "$TMP/meta" "$3" "$4"
	[ $# -lt 6 ] || put "$TMP/meta" "$5" "$6"
	refused "$1" "$2"
}

file=$(make_disk 33) && backing=$(make_painted backing 32) &&
	meta=$(make_meta $SIZE $BLOCK) || bail "disks"
read_meta "$meta" "$TMP/good"
directory=$(be64 "$TMP/good" $DIRECTORY_OFFSET)
table=$(be64 "$TMP/good" "$directory")

cp "$TMP/good" "$TMP/meta"
refused "another size" 'for a device of 33554432 bytes, not 33550336' \
	"$(meta_table $((SIZE - 8)) "$file" "$backing" "$meta" $BLOCK)"
refused "another granularity" "'alloctrack' has a granularity of 65536 bytes, not 4096" \
	"$(meta_table $SIZE "$file" "$backing" "$meta" 8)"
dmlive meta format "$TMP/meta" --force --size $((SIZE * 512)) --granularity 64K \
	--bitmap alloctrac --bitmap alloctrack2
refused "another name" "no bitmap 'alloctrack'"

rm "$TMP/meta"
qemu-img create -q -f qcow2 "$TMP/meta" $((SIZE * 512))
refused "an image without bitmaps" "there are no bitmaps"
qemu-img bitmap --add -g 64K "$TMP/meta" alloctrack
refused "an image that is not prepared" "not prepared"
: > "$TMP/meta" && truncate -s 512K "$TMP/meta"
refused "an empty device" "not a qcow2 image"
rm "$TMP/meta"
qemu-img create -q -f qcow2 -o compat=0.10 "$TMP/meta" $((SIZE * 512))
refused "a qcow2 image of version 2" "not a qcow2 image of version 3"

damaged "marked dirty" "marked dirty" $INCOMPATIBLE 0000000000000001
damaged "marked corrupt" "marked corrupt" $INCOMPATIBLE 0000000000000002
damaged "unknown features" "unknown incompatible features 0x800" \
	$INCOMPATIBLE 0000000000000800
damaged "changed by a program without support for bitmaps" "out of date" \
	$AUTOCLEAR 0000000000000000
damaged "unknown state version" "version 9, not 1" $((STATE + 8)) 00000009
damaged "unknown state flags" "unknown flags" $((STATE + 12)) 80000000
damaged "too many bitmaps" "directory has an invalid size" $NR_BITMAPS 00001000
damaged "a directory beyond the end" "directory lies outside" \
	$DIRECTORY_OFFSET 0000000080000000
damaged "a directory that is not aligned" "directory is not aligned" \
	$DIRECTORY_OFFSET 0000000000010200
damaged "a directory of another size" "larger than its entries" \
	$DIRECTORY_SIZE 0000000000000040
damaged "a bitmap of unknown type" "'alloctrack': unknown type 2" $((directory + 16)) 02
damaged "unknown flags of a bitmap" "'alloctrack': unknown flags" $((directory + 12)) 00000012
damaged "an impossible granularity" "invalid granularity" $((directory + 17)) 3f
damaged "a table of another size" "its table has 2 entries" $((directory + 8)) 00000002
damaged "a table beyond the end" "its table lies outside" \
	"$directory" 0000000080000000
damaged "bits beyond the end" "entry 0 of its table lies outside" "$table" 0000000080000000
damaged "reserved bits in the table" "reserved bits are set" "$table" 0100000000020000
damaged "bits that are not allocated" "clusters are not allocated" "$table" 0000000000000001
damaged "bits on the directory" "overlap" "$table" "$(printf %016x "$directory")"
damaged "bits on the header" "not allocated|overlap" "$table" 0000000000000000

# The last cluster of the image is missing.
dm_create short "0 $((table / 512)) linear $meta 0" || bail "short"
cp "$TMP/good" "$TMP/meta"
refused "a device that is too small" "outside of the device" \
	"$(meta_table $SIZE "$file" "$backing" /dev/mapper/short $BLOCK)"

write_meta "$TMP/good" "$meta"
check "undamaged metadata is accepted" dm_create t \
	"$(meta_table $SIZE "$file" "$backing" "$meta" $BLOCK)"
dm_remove t

# A size that is not a multiple of any buffer.
for extra in 512 3584; do
	cp "$TMP/good" "$TMP/odd" && truncate -s %4096 "$TMP/odd" &&
		truncate -s +$extra "$TMP/odd" && odd=$(losetup --show -f "$TMP/odd") ||
		bail "losetup"
	log_mark
	check "$extra bytes behind the last 4 KiB are accepted" dm_create t \
		"$(meta_table $SIZE "$file" "$backing" "$odd" $BLOCK)"
	check_fails "and nothing is read there" grep -q "beyond end" <<< "$(log_since)"
	dm_remove t
	losetup -d "$odd"
done
dm_create t "$(meta_table $SIZE "$file" "$backing" "$meta" $BLOCK)" || bail "t"

# Two devices on one store.
file2=$(make_disk 33) || bail "disks"
log_mark
check_fails "a second target on the same metadata device" dm_create u \
	"$(meta_table $SIZE "$file2" "$backing" "$meta" $BLOCK)"
like "the log says why" "$(log_since)" "another target uses it"
dmsetup remove u 2> /dev/null
check "the first works on" dd_write $T 0 $((BLOCK * 512)) oflag=dsync
dm_remove t
check "after its removal the second can use it" dm_create u \
	"$(meta_table $SIZE "$file2" "$backing" "$meta" $BLOCK)"
dm_remove u
finish
