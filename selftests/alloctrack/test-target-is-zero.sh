#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With target_is_zero, nothing is written where the content is zero and the volume is too:
# not at first, not after a write has failed, nor when a store is used again. What a failed
# write has left in the volume is zeroed.

. "$(dirname "$0")/store.sh"

readonly MIB=16 BLOCK=128 SIZE=$((16 * 2048))
file=$(make_disk $MIB) && backing=$(make_disk $MIB) && meta=$(make_disk 4) || bail "disks"
make_linear f "$file" > /dev/null && make_linear b "$backing" > /dev/null || bail "linear"

written()
{
	disk_stat "$file" 7
}

# completes_with DESCRIPTION SECTORS: the job completes, and has written so many sectors.
completes_with()
{
	local before
	before=$(written)
	message t stream start
	check "$label: $1" wait_until state_is t complete
	is "$label: so many sectors are written" $(($(written) - before)) "$2"
}

# A write of 128 KiB, two blocks, that fails in its second block, so that the first one,
# which is on the volume then, is not allocated either.
half_a_write()
{
	break_device f "$file" $((8 * 2048 + BLOCK)) $BLOCK
	tr '\0' '\252' < /dev/zero | dd of=$T bs=128k seek=64 count=1 oflag=direct \
		iflag=fullblock status=none 2> /dev/null && not_ok "the write fails"
	repair_device f "$file"
	is "$label: nothing is allocated" "$(at_allocated t)" 0
}

for of in b -; do
	from=$of
	[ $of = - ] || from=/dev/mapper/$of
	label="backing $of, after a failed write"
	at_create t $SIZE /dev/mapper/f $from $BLOCK target_is_zero
	half_a_write
	check_fails "$label: the volume has a part of it" cmp -s -n $((MIB << 20)) "$file" /dev/zero
	check "$label: discard" blkdiscard -o 1M -l 1M $T
	completes_with "the job" $BLOCK
	check "$label: all zero" cmp -n $((MIB << 20)) /dev/mapper/f /dev/zero
	at_remove t
done

label="a store that was used"
dmlive meta format "$meta" --size $((SIZE * 512)) --granularity 64K > /dev/null || bail "format"
table="0 $SIZE alloctrack /dev/mapper/f - $meta $BLOCK 1 target_is_zero"
dm_create t "$table" || bail "create"
half_a_write
at_remove t
dm_create t "$table" || bail "create"
before=$(written)
check "$label: discard" blkdiscard -o 1M -l 1M $T
is "$label: nothing is written for that" "$(written)" "$before"
completes_with "the job" $BLOCK
check "$label: all zero" cmp -n $((MIB << 20)) /dev/mapper/f /dev/zero
at_remove t
finish
