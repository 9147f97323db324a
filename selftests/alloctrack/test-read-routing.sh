#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A read takes each block from the right place: allocated blocks from the file, others
# from the backing, zeros past the backing's end or without one. Reads allocate nothing.

. "$(dirname "$0")/alloctrack.sh"

# flips - operations that write every second block: at the start, around the end of the
# backing, and the last, short block.
flips()
{
	local last=$(((size - 1) / block)) b
	for ((b = 1; b < last; b += 2)); do
		[ $b -lt 40 ] || [ $((b * block)) -gt $((short - 8 * block)) ] || continue
		[ $b -lt 80 ] || [ $((b * block)) -lt $((short + 8 * block)) ] || continue
		echo "write $((b * bytes)) $bytes"
	done
	echo "write $((last * bytes)) $((size * 512 - last * bytes))"
}

routing()
{
	# Shorter than the device, and not a multiple of any block.
	local short=$((size - 2048 + 3 * lbs / 512)) ops
	make_linear short "$backing" $short > /dev/null || bail "linear"

	at_create t "$size" "$file" /dev/mapper/short "$block"
	reads_as "reads as the backing, then zeros" /dev/mapper/short
	random_io "small reads" /dev/mapper/short --mix read=1 --ops 60
	is_so "reads allocate nothing" "$(at_allocated t)" 0

	mapfile -t ops < <(flips)
	# shellcheck disable=SC2068 # words
	mirrored "writes of every second block, reads across them" \
		--verify ${ops[@]}
	is_so "they allocated their blocks" "$(at_allocated t)" ${#ops[@]}
	check "$label: reads through the page cache" cmp "$T" "$MODEL"
	at_remove t

	at_create t "$size" "$file" - "$block"
	reads_as "zeros without a backing" -
	at_remove t
	at_remove short

	# A longer backing, and a device of an odd size.
	size=$((block + lbs / 512))
	at_create t "$size" "$file" "$backing" "$block"
	reads_as "a backing that is longer than the device" "$backing"
	at_remove t
}

each_volume routing
finish
