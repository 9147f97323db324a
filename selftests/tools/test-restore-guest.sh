#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest works on a logical volume while it is restored, until after the swap to the
# linear table. It reads back its own writes, and the image's data everywhere else.
# also on: stock

. "$(dirname "$0")/restore-lib.sh"
require_command fio lvcreate

make_image image.qcow2 96
disk=$(make_loop 160) || bail "disk"
soil "$disk"
{
	pvcreate -q -ff -y "$disk" && vgcreate -q tvg "$disk" &&
		lvcreate -q -y -W n -L 128M -n target tvg
} > /dev/null || bail "LVM"
on_exit vgchange -q -an tvg

# The guest writes to the last third only; the rest is compared with the image.
start_restore image.qcow2 /dev/tvg/target r --size target --speed 6M --force
result $? "starts on a logical volume"
for i in 1 2 3; do
	fio --name=guest$i --filename=/dev/mapper/r --offset=$((52 + 12 * i))M \
		--size=12M --rw=randwrite --direct=1 --bsrange=512-96k \
		--bs_unaligned=0 --ioengine=libaio --iodepth=8 --randseed=$i \
		--io_size=24M --verify=crc32c --do_verify=1 --verify_fatal=1 \
		--trim_percentage=$((i == 2 ? 10 : 0)) --fsync=$((i == 3 ? 16 : 0)) \
		> fio$i.log 2>&1 &
	fios[i]=$!
done
for ((pass = 0; pass < 3; pass++)); do
	cmp -n $((64 << 20)) image.qcow2.raw /dev/mapper/r || break
	blockdev --flushbufs /dev/mapper/r
done
is "reads meanwhile see the image" $pass 3
dmlive stream r speed 0
for i in 1 2 3; do
	wait "${fios[i]}" || diag "$(tail -n 5 fio$i.log)"
	wait "${fios[i]}"
	result $? "guest $i read back what it wrote"
done
check "ends as linear" wait_until is_linear r
check "the image's part in the end" cmp -n $((64 << 20)) image.qcow2.raw /dev/mapper/r
is "zeros behind the image and the guest" \
	"$(tail -c +$(((100 << 20) + 1)) /dev/mapper/r | tr -d '\0' | wc -c)" 0
end_restore r
finish
