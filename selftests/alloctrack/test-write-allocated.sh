#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Allocated blocks need the file only: reads, writes, discards and write-zeroes of any
# size are passed to the file unchanged, and the backing may be gone.

. "$(dirname "$0")/alloctrack.sh"

allocated()
{
	local reads written i small=() total=$(((size + block - 1) / block))
	make_linear b "$backing" > /dev/null || bail "linear"
	at_create t "$size" "$file" /dev/mapper/b "$block"

	mirrored "write all of the device" "--from=$backing" \
		write 0 1048576 write 1048576 $((size * 512 - 1048576))
	is_so "all is allocated" "$(at_status t 3)" "$total/$total"

	reads=$(disk_stat "$backing" 1)
	written=$(disk_stat "$file" 7)
	for ((i = 1; i < 50; i++)); do
		small+=(write $((i * 5 * lbs)) "$lbs")
	done
	mirrored "small writes" "${small[@]}"
	is_so "they are written once and alone" \
		$(($(disk_stat "$file" 7) - written)) $((49 * lbs / 512))
	is_so "the backing is not read" "$(disk_stat "$backing" 1)" "$reads"

	dm_reload b "0 $(sectors "$backing") error" || bail "error table"
	mirrored "all operations while the backing is broken" --verify \
		write "$lbs" $((bytes + lbs)) dsync $((3 * lbs)) "$lbs" \
		zero $((5 * lbs)) "$bytes" discard $((bytes - lbs)) $((4 * bytes)) \
		read 0 1048576 discard 0 $((size * 512)) write $((7 * lbs)) "$lbs"
	is_so "no error was counted" "$(at_status t 6 7)" "0 0"
	at_remove t
	at_remove b
}

each_volume allocated
finish
