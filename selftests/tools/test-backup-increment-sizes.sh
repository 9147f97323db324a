#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# Increments are right with all sizes of blocks, bits and clusters, and with any size of
# the device.

. "$(dirname "$0")/increment-lib.sh"

# Bits smaller and larger than blocks and clusters; devices of odd sizes.
for row in "8 2M 0" "4096 4K 0" "8 512 3" "128 64K 7"; do
	read -r block granularity less <<< "$row"
	label="blocks of $block sectors, bits of $granularity"
	rm -f s?.qcow2
	size=$((8 * 2048 - less))
	name=s$block-$granularity
	disk=$(make_disk 8) || bail "disk"
	dmlive meta format m --size $((size * 512)) --track --force \
		--bitmap "B:$granularity" > /dev/null || bail "meta"
	m=$(make_disk $((($(stat -c %s m) + 1048575) >> 20)))
	dd if=m of="$m" bs=64K oflag=direct status=none
	dm_create "$name" "0 $size cbw $disk $m $block" || bail "$name"
	before[$name]=$(dmsetup table "$name")
	run 0 "$label: full" dmlive backup $name s0.qcow2 --bitmap B --force --cluster-size 2M
	change $name 9 1
	change $name 4097 5000
	change $name $((size - 1)) 1
	content $name s.ref
	run 0 "$label" dmlive backup $name s1.qcow2 --bitmap B --base s0.qcow2 --force --no-full
	same_image s1.qcow2 s.ref
	change $name 300 40
	content $name s.ref
	run 0 "$label: large clusters" dmlive backup $name s2.qcow2 --bitmap B \
		--base s1.qcow2 --force --no-full --cluster-size 2M
	same_image s2.qcow2 s.ref
	is_committed $name s2.qcow2 "$label"
	dm_remove $name
done
finish
