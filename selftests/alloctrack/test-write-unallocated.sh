#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# A write to unallocated blocks allocates exactly these: whole blocks without a read of
# the backing, partly covered ones filled from it. The rest of the device reads as before.

. "$(dirname "$0")/alloctrack.sh"

# writes DESCRIPTION BLOCKS SECTORS OPERATION... - BLOCKS become allocated, and SECTORS of
# the backing are read. Blocks of more than 1 MiB are read in any case, since the kernel
# splits a write into several requests.
writes()
{
	local blocks sectors
	blocks=$(at_allocated t)
	sectors=$(disk_stat "$backing" 3)
	mirrored "$1" "${@:4}"
	sectors=$(($(disk_stat "$backing" 3) - sectors))
	[ "$bytes" -le $((1 << 20)) ] || sectors=$3
	is_so "$1: blocks allocated, sectors read" \
		"$(($(at_allocated t) - blocks)) $sectors" "$2 $3"
}

unallocated()
{
	local last=$(((size - 1) / block * bytes))
	local short=$((size * 512 - last))

	at_create t "$size" "$file" "$backing" "$block"
	reads_as "at first as the backing" "$backing"
	writes "one whole block" 1 0 write "$bytes" "$bytes"
	if [ "$bytes" -gt "$lbs" ]; then
		writes "the start of a block" 1 "$block" write 0 "$lbs"
		writes "its end, now allocated" 0 0 write $((bytes - lbs)) "$lbs"
		writes "from the middle of a block to the middle of the second next" 3 \
			$((2 * block)) write $((3 * bytes - lbs)) $((bytes + 2 * lbs))
	else
		writes "three whole blocks" 3 0 write $((2 * bytes)) $((3 * bytes))
	fi
	reads_as_model
	at_remove t

	at_create t "$size" "$file" "$backing" "$block"
	reads_as "a new one as the backing again" "$backing"
	writes "the whole last block" 1 0 write "$last" "$short"
	at_remove t
	if [ $short -gt "$lbs" ]; then
		at_create t "$size" "$file" "$backing" "$block"
		reads_as "a new one as the backing again" "$backing"
		writes "part of the short last block" 1 $((short / 512)) \
			write $((size * 512 - lbs)) "$lbs"
		reads_as_model
		at_remove t
	fi

	at_create t "$size" "$file" "$backing" "$block"
	random_io "random writes" "$backing" --mix read=1,write=5,fua=1 --ops 120 \
		--max-io 256K
	shows_nothing_stale
	at_remove t

	at_create t "$size" "$file" - "$block"
	random_io "random writes without a backing" - \
		--mix read=1,write=5,fua=1 --ops 60 --max-io 256K
	at_remove t
}

reads_as_model()
{
	mirrored "all of the device" --verify
}

each_volume unallocated
finish
