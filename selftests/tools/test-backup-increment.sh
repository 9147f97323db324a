#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml uml-udev
#
# A chain of increments has the content of the device at each of its points in time. An
# increment only has the changes. QEMU's tools work on the chain, and it can be restored.

. "$(dirname "$0")/increment-lib.sh"

# own_bytes IMAGE - the bytes of the image itself, data and zeros.
own_bytes()
{
	qemu-img map --output json "$1" |
		jq '[.[] | select(.depth == 0 and .present != false) | .length] | add // 0'
}

make_tracked g 16
content g 0.ref
run 3 "no previous backup" dmlive backup g 0.qcow2 --bitmap B --no-full
says "the reason" "belongs to no backup"
run 0 "the first one" dmlive backup g 0.qcow2 --bitmap B
is_full 0.qcow2 "the first one"
same_image 0.qcow2 0.ref
is_committed g 0.qcow2 "the first one"

# Data, zeros, a discard, over data and over zeros; first and last block.
change g 0 1
change g 4096 8
change g 8192 300
change g 16383 129 zero
blkdiscard -o $((10 << 20)) -l $((1 << 20)) /dev/mapper/g || bail "blkdiscard"
change g 32767 1
content g 1.ref
run 0 "an increment" dmlive backup g 1.qcow2 --bitmap B --base 0.qcow2 --no-full
is_increment 1.qcow2 0.qcow2 "an increment"
same_image 1.qcow2 1.ref
is "only the changes" "$(own_bytes 1.qcow2)" $(((1 + 1 + 3 + 2 + 16 + 1) << 16))
is_committed g 1.qcow2 "an increment"

content g 2.ref
run 0 "nothing has changed" dmlive backup g 2.qcow2 --bitmap B --base 1.qcow2 --no-full
is_increment 2.qcow2 1.qcow2 "nothing has changed"
is "it is empty" "$(own_bytes 2.qcow2)" 0
is_committed g 2.qcow2 "nothing has changed"

mkdir day "day/a b"
last=2.qcow2
for ((i = 3; i < 6; i++)); do
	change g $((i * 1000)) $((i * 10))
	change g $((i * 5000)) 8
	content g $i.ref
	run 0 "number $i" dmlive backup g $i.qcow2 --bitmap B --base $last --no-full \
		--compression zstd
	is_increment $i.qcow2 $last "number $i"
	last=$i.qcow2
done
for ((i = 0; i < 6; i++)); do
	same_image $i.qcow2 $i.ref
done
run 0 "the chain" dmlive image chain 5.qcow2
is "all of them" "$(grep -c "increment of bitmap 'B'" "$out")" 5

change g 99 1
content g 6.ref
run 0 "in another folder" dmlive backup g "day/a b/6.qcow2" --bitmap B --base 5.qcow2 --no-full
is "a relative name" "$(backing "day/a b/6.qcow2")" ../../5.qcow2
same_image "day/a b/6.qcow2" 6.ref
change g 100 1
content g 7.ref
run 0 "from that folder" dmlive backup g day/7.qcow2 --bitmap B --no-full \
	--base "$PWD/day/a b/6.qcow2"
is "a relative name" "$(backing day/7.qcow2)" "a b/6.qcow2"
same_image day/7.qcow2 7.ref

# QEMU changes the chain, on a copy.
mkdir copy
cp ./?.qcow2 copy
check "qemu-img rebase" qemu-img rebase -q -F qcow2 -b 1.qcow2 copy/4.qcow2
check "the same content" qemu-img compare -q -F raw copy/4.qcow2 4.ref
check "qemu-img check" qemu-img check -q copy/4.qcow2
# It uses the name as it is in the image.
check "qemu-img commit" sh -c "cd copy && qemu-img commit -q -b 0.qcow2 2.qcow2"
check "the same content" qemu-img compare -q -F raw copy/0.qcow2 2.ref
check "qemu-img check" qemu-img check -q copy/0.qcow2
rm -r copy

target=$(make_disk 16) || bail "disk"
start_restore 5.qcow2 "$target" r
check "restored" wait_until is_linear r
check "with the content of the newest" cmp 5.ref /dev/mapper/r
dm_remove r

run 0 "a new chain" dmlive backup g 8.qcow2 --bitmap B --full
is_full 8.qcow2 "a new chain"
same_image 8.qcow2 7.ref
is_committed g 8.qcow2 "a new chain"

is_idle g "in the end"
finish
