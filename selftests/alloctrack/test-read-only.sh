#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A read-only table reads as any other and never writes to the file: no guest writes, no
# stream, no copies. When it is reloaded read-write, it writes.

. "$(dirname "$0")/alloctrack.sh"

readonly BYTES=65536 SIZE=$((4 * 2048))
file=$(make_painted stale 4) && backing=$(make_painted backing 4) || bail "disks"

# ro_reload NAME TABLE - as dm_reload, with a read-only table.
ro_reload()
{
	printf '%s\n' "$2" | dmsetup reload "$1" --readonly &&
		dmsetup suspend "$1" && dmsetup resume "$1"
}

written()
{
	echo "$(disk_stat "$file" 5) $(disk_stat "$file" 7) $(disk_stat "$file" 12)"
}

# refuses WHAT [DEVICE] - each kind of write is refused, on blocks with and without data.
refuses()
{
	local before offset device=${2:-$T}
	before=$(written)
	for offset in 0 $BYTES $((3 * BYTES + 4096)); do
		check_fails "$1: no write at $offset" dd_write "$device" $offset 4096
		check_fails "$1: no discard at $offset" \
			blkdiscard -o $offset -l $BYTES "$device"
		check_fails "$1: no write-zeroes at $offset" \
			blkdiscard -z -o $offset -l $BYTES "$device"
	done
	is "$1: nothing reaches the file" "$(written)" "$before"
}

# The device node is read-only, which the block layer enforces. Writes from a device on
# top that is not read-only reach the target, which refuses them.
refuses_by_itself()
{
	make_linear top "$T" > /dev/null 2>&1 || {
		skip "$1, from on top" "such a device cannot be made here"
		return
	}
	refuses "$1, from on top" /dev/mapper/top
	at_remove top
}

from_the_start()
{
	local before
	before=$(written)
	dm_create t "$(at_table $SIZE "$file" "$backing" 128 copy_on_read)" --readonly ||
		bail "create"
	is "the device is read-only" "$(blockdev --getro "$T")" 1
	reads_as "reads as its backing, also where it could copy" "$backing"
	is "no metadata, idle, nothing allocated" "$(at_status t 1 3)" "none idle 0/64"
	check_fails "no stream" message t stream start
	is "it stays idle" "$(at_status t 2)" idle
	dmsetup suspend t && dmsetup resume t
	refuses "read-only"
	refuses_by_itself "read-only"
	mirrored "the content is still the same" --verify
	is "nothing is allocated" "$(at_allocated t)" 0
	is "the file was not written" "$(written)" "$before"

	check "a read-write table" dm_reload t "$(at_table $SIZE "$file" "$backing" 128)"
	is "the device is writable" "$(blockdev --getro "$T")" 0
	mirrored "it can be written" write $((BYTES + 4096)) 4096 write 0 $BYTES
	is "two blocks are allocated" "$(at_allocated t)" 2
}

# Follows from_the_start.
in_between()
{
	local state
	check "a read-only table again" \
		ro_reload t "$(at_table $SIZE "$file" "$backing" 128 copy_on_read)"
	is "the device is read-only again" "$(blockdev --getro "$T")" 1
	is "allocated blocks are kept" "$(at_allocated t)" 2
	mirrored "each block is read from the right device" --verify
	refuses "read-only again"
	is "still two blocks" "$(at_allocated t)" 2

	check "read-write, streaming slowly" dm_reload t \
		"$(at_table $SIZE "$file" "$backing" 128 stream stream_speed 300000)"
	check "it streams" wait_until allocated_above t 2
	check "a read-only table during the job" \
		ro_reload t "$(at_table $SIZE "$file" "$backing" 128 stream_speed 0)"
	state="$(written) $(at_allocated t)"
	mirrored "reads as before" --verify
	check_fails "cancel is refused" message t stream cancel
	is "the job makes no progress" "$(written) $(at_allocated t)" "$state"
	check "read-write" dm_reload t "$(at_table $SIZE "$file" "$backing" 128)"
	check "the job completes" wait_until state_is t complete
	mirrored "reads as before" --verify
	check "complete, and read-only" \
		ro_reload t "$(at_table $SIZE "$file" "$backing" 128 auto_remove)"
	is "the state" "$(at_status t 2)" complete
	refuses "complete"
	refuses_by_itself "complete"
	mirrored "reads as before" --verify
	at_remove t
}

# On a file device that is read-only itself.
read_only_file()
{
	paint stale "$file"
	blockdev --setro "$file"
	dm_create t "$(at_table $SIZE "$file" "$backing" 128)" --readonly ||
		bail "create"
	reads_as "file device read-only: reads as its backing" "$backing"
	at_remove t
	blockdev --setrw "$file"
}

# Refused at load: the job of a read-only table could never run.
no_stream()
{
	log_mark
	check_fails "stream is refused" dm_create t \
		"$(at_table $SIZE "$file" "$backing" 128 stream)" --readonly
	like "the log says why" "$(log_since)" \
		'stream needs a table that is not read-only'
}

from_the_start
in_between
read_only_file
no_stream
finish
