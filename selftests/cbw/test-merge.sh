#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# Adjacent blocks are copied by one read and one write, and each block only once. Zeros
# are written as such. Blocks that are copied or out of scope cost nothing.

. "$(dirname "$0")/cbw.sh"

readonly SIZE=$((16 * 2048))
origin=$(make_disk 16) && target=$(make_disk 16) || bail "disks"
# No zeros, since these would be separate runs.
dd if=/dev/urandom of="$origin" bs=1M count=16 oflag=direct status=none
dm_create t "0 $SIZE cbw $origin - 8"
begin_session $SIZE "$origin" 8 target "$target"

# costs DESCRIPTION READS WRITES COMMAND... - at most this number of reads and writes.
costs()
{
	local reads writes
	reads=$(disk_stat "$origin" 1) writes=$(disk_stat "$target" 5)
	check "$1" "${@:4}"
	reads=$(($(disk_stat "$origin" 1) - reads))
	writes=$(($(disk_stat "$target" 5) - writes))
	diag "$reads reads, $writes writes"
	[ $reads -le "$2" ] && [ $writes -le "$3" ]
	result $? "$1: at most $2 reads of the origin and $3 writes of the target"
}

# The disks take at most 255 sectors per request.
costs "a write of 256 blocks" 12 12 dd_write $T 0 1048576
is "copies them" "$(st 2)" 256/4096
costs "the same again" 0 0 dd_write $T 0 1048576
costs "a write that is half copied" 8 8 dd_write $T 524288 1048576
is "copies the other half" "$(st 2)" 384/4096
costs "write-zeroes of 2,048 blocks" 80 80 blkdiscard -f -z -o 4194304 -l 8388608 $T
is "copies them" "$(st 2)" 2432/4096
make_view
check "a view discards" blkdiscard -f -o 12582912 -l 1048576 $V
costs "what it discarded" 0 0 dd_write $T 12582912 1048576
check "the view up to there" cmp -n 12582912 $V "$REF"
check "and after it" cmp -i 13631488 $V "$REF"
finish
