#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Writes that a worker sends down are counted once, and requests that are never sent
# down are counted too. A nowait write that would have to wait does not end
# target_is_zero.

. "$(dirname "$0")/alloctrack.sh"
require_command fio

readonly MIB=16 BLOCK=128
# One request at a time: the next nowait request gets EAGAIN.
file=$(make_disk $MIB 512 hw_queue_depth=1 irqmode=2 completion_nsec=200000) &&
	backing=$(make_disk $MIB) || bail "disks"

# guest OPTION... - run fio on t, as a single job.
guest()
{
	fio --name=guest --filename=$T --direct=1 --ioengine=io_uring --output-format=terse \
		"$@" > "$TMP/fio" 2>&1
}

# counted FIELD - a counter of t, as for disk_stat; 9: requests in flight.
counted()
{
	local words
	read -r -a words < "/sys/dev/block/$(dm_number t)/stat"
	echo "${words[$1 - 1]}"
}

label="nowait writes"
at_create t $((MIB * 2048)) "$file" "$backing" $BLOCK target_is_zero
check "$label: whole blocks" guest --rw=write --bs=64k --size=4M --iodepth=16
is "$label: are allocated" "$(at_allocated t)" 64
written=$(disk_stat "$file" 7)
message t stream start
check "$label: zeros are streamed" wait_until state_is t complete
is "$label: and are not written" $(($(disk_stat "$file" 7) - written)) 0
at_remove t

label="parts of blocks"
fast=$(make_disk $MIB) || bail "disk"
at_create t $((MIB * 2048)) "$fast" "$backing" $BLOCK
check "$label: written at once" guest --rw=write --bs=4k --zonemode=strided --zonesize=4k \
	--zonerange=64k --size=16M --io_size=1M --iodepth=64 --iodepth_batch_submit=32
is "$label: the right number of writes, and none in flight" \
	"$(counted 5) $(counted 9)" "256 0"
at_remove t

label="copied by reads"
at_create t $((MIB * 2048)) "$file" "$backing" $BLOCK copy_on_read
check "$label: reads" guest --rw=read --bs=64k --size=4M --iodepth=16
is "$label: are counted" "$(counted 1) $(counted 3)" "64 8192"
finish
