#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A restore onto a thin volume whose pool gets full: the stream stops and the guest's
# writes fail, or both wait, as the pool says; with more space the restore ends, and still
# takes space for data only.

. "$(dirname "$0")/thin-lib.sh"

make_sparse 24
make_thin_pool 16
lvm_quietly lvchange -q --errorwhenfull y tvg/pool
make_thin thin 4G

guest_writes()
{
	dd if=sparse.raw of=/dev/mapper/g bs=1M skip=3 seek=$1 count=1 oflag=direct status=none
}

pool_is_full()
{
	[[ $(dmsetup status tvg-pool-tpool) == *out_of_data_space* ]]
}

label="errors when full"
run 0 "$label" start_restore sparse.qcow2 /dev/tvg/thin g --on-error enospc
check "$label: the stream stops" wait_until has_state g stopped
check_fails "$label: a write of the guest fails" guest_writes 2000
check "$label: reads work" cmp -n 65536 -i $((1020 << 20)) sparse.raw /dev/mapper/g
lvm_quietly lvextend -q -L +24M tvg/pool
check "$label: the guest writes" guest_writes 2000
run 0 "$label: resume" dmlive stream g resume
check "$label: linear" wait_until is_linear g
check "$label: only the data take space" took_at_most 27
dd if=sparse.raw of=sparse.raw bs=1M skip=3 seek=2000 count=1 conv=notrunc status=none
same_content "$label: content" sparse.raw
end_restore g

label="waits when full"
echo 600 > /sys/module/dm_thin_pool/parameters/no_space_timeout
lvm_quietly lvchange -q --errorwhenfull n tvg/pool
blkdiscard /dev/tvg/thin
make_thin other 1G
head -c 20M sparse.raw | tr '\0' '\1' | dd of=/dev/tvg/other bs=1M oflag=direct \
	iflag=fullblock status=none || bail "other"
run 0 "$label" start_restore sparse.qcow2 /dev/tvg/thin g --on-error enospc --force
check "$label: the pool is full" wait_until pool_is_full
guest_writes 3000 &
guest=$!
check_fails "$label: the guest waits" wait_until -t 2 has_ended $guest
lvm_quietly lvextend -q -L +24M tvg/pool
wait $guest
result $? "$label: its write succeeds"
check "$label: linear" wait_until is_linear g
check "$label: only the data take space" took_at_most 47
end_restore g
finish
