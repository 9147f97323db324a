#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With copy_on_read, blocks that are read from the backing become allocated, with the
# backing's content. An error of the file never fails the read itself.

. "$(dirname "$0")/alloctrack.sh"

# copies DESCRIPTION ALLOCATED OPERATION... - afterwards ALLOCATED blocks are allocated.
copies()
{
	mirrored "$1" "${@:3}"
	check "$label: $1: is copied" wait_until allocated_is t "$2"
}

copy_on_read()
{
	local whole=$(((size + block - 1) / block)) last=$(((size - 1) / block * bytes))

	make_linear f "$file" > /dev/null && make_linear b "$backing" > /dev/null ||
		bail "linear"
	at_create t "$size" /dev/mapper/f /dev/mapper/b "$block" copy_on_read
	copies "a part of a block" 1 "--from=$backing" \
		read $((2 * bytes - lbs)) "$lbs"
	copies "parts of two" 3 read $((3 * bytes - lbs)) $((2 * lbs))
	copies "a part of the last" 4 read $last "$lbs"

	dm_reload b "0 $(sectors "$backing") error" || bail "error table"
	mirrored "now they are read from the file" read "$bytes" $((3 * bytes)) \
		read $last $((size * 512 - last))
	repair_device b "$backing"

	dm_reload f "0 $(sectors "$file") error" || bail "error table"
	mirrored "a read of the backing while the file is broken" read 0 "$lbs"
	repair_device f "$file"
	is_so "allocates nothing" "$(at_allocated t)" 4
	check "$label: and counts as a write error" wait_until errors_are "0 1"

	mirrored "read all" --verify
	check "$label: all is copied" wait_until allocated_is t $whole
	dm_reload b "0 $(sectors "$backing") error" || bail "error table"
	mirrored "all is read from the file" --verify
	at_remove t
	at_remove b
	at_remove f
}

# errors_are "READ WRITE"
errors_are()
{
	[ "$(at_status t 6 7)" = "$1" ]
}

each_volume copy_on_read
finish
