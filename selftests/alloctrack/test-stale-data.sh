#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The former content of the volume is never read: not after discards, write-zeroes or
# partial writes, on any kind of file device.

. "$(dirname "$0")/alloctrack.sh"

readonly MIB=4
readonly BYTES=$((MIB << 20))

# Kinds of file devices. Each function prints the path of one.

file_with_discard()
{
	make_disk $MIB 512
}

file_without_discard()
{
	make_disk $MIB 4096 discard=0
}

# Advertises write-zeroes; tmpfs refuses those that may not unmap.
file_that_learns()
{
	make_loop $MIB 4096
}

# Write-zeroes of both kinds, discards.
file_with_write_zeroes()
{
	local volume=$TMP/mnt/volume$EPOCHREALTIME
	truncate -s $BYTES "$volume" && make_loop "$volume" 512
}

make_file_system()
{
	local disk
	disk=$(make_disk 32) && mkfs.ext4 -q -F "$disk" && mkdir -p "$TMP/mnt" &&
		mount "$disk" "$TMP/mnt" || return 1
	on_exit umount "$TMP/mnt"
}

all_is_allocated()
{
	local counts
	counts=$(at_status t 3)
	is_so "$1 allocates all" "${counts%/*}" "${counts#*/}"
}

discard_all()
{
	if [ "$(queue_limit discard_max_bytes)" -gt 0 ]; then
		check "$label: discard of all" blkdiscard "$T"
		all_is_allocated "discard"
		check "$label: reads as zeros" cmp -n $((size * 512)) "$T" /dev/zero
	else
		check_fails "$label: discard is refused" blkdiscard "$T"
		is_so "and allocates nothing" "$(at_allocated t)" 0
	fi
}

# stale KIND BLOCK BACKING
stale()
{
	local file size bytes=$(($2 * 512)) label

	label="${1//_/ }, blocks of $(($2 / 2)) KiB, backing ${3##*/}"
	file=$("$1") || bail "$1"
	size=$((MIB * 2048 - $(blockdev --getss "$file") / 512))
	paint stale "$file"
	at_create t $size "$file" "$3" "$2"
	random_io "random operations" "$3" --ops 200 \
		--mix read=1,write=3,fua=1,zero=3,discard=6
	shows_nothing_stale
	at_remove t

	paint stale "$file"
	at_create t $size "$file" "$3" "$2"
	discard_all
	at_remove t

	paint stale "$file"
	at_create t $size "$file" "$3" "$2"
	mirrored "punches" "--from=$3" punch 4096 $((bytes + 8192)) \
		zero $((BYTES / 2)) 8192
	check "$label: write-zeroes" blkdiscard -z "$T"
	all_is_allocated "write-zeroes"
	shows_nothing_stale
	at_remove t
}

# A discard that covers a block in part leaves it alone: it is not allocated, and
# reads as before.
partial_discard()
{
	local file label=''
	file=$(make_painted stale $MIB) || bail "file"
	at_create t $((MIB * 2048)) "$file" "$backing" 128
	reads_as "at first as the backing" "$backing"
	check "discard of a part of a block" blkdiscard -o 4096 -l 8192 "$T"
	is "leaves it unallocated" "$(at_allocated t)" 0
	mirrored "leaves it as it was" --verify
	check "discard of one and two halves" \
		blkdiscard -o $((65536 + 32768)) -l 131072 "$T"
	is "allocates the whole one" "$(at_allocated t)" 1
	dd if=/dev/zero of="$MODEL" bs=65536 seek=2 count=1 conv=notrunc status=none
	mirrored "which reads as zeros" --verify
	at_remove t
}

make_file_system || bail "file system"
backing=$(make_painted backing $((MIB - 1)) 512) || bail "backing"
for kind in file_with_discard file_without_discard file_that_learns file_with_write_zeroes; do
	stale $kind 8 "$backing"
	stale $kind 128 -
done
stale file_with_discard 4096 "$backing"
stale file_with_write_zeroes 4096 -
partial_discard
finish
