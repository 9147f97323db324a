#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Images on block devices are read like files. A conversion onto a device writes the whole
# disk, including zeros, and nothing beyond it.
# also on: stock

# shellcheck source=../lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
require_command qemu-img qemu-io cmp

cd "$TMP" || exit 1
garbage()
{
	yes 'what the device held before' | head -c $((4 << 20))
}

# refused NAME REGEX COMMAND... - the command fails with the reason.
refused()
{
	local output
	if output=$("${@:3}" 2>&1); then
		not_ok "$1"
	else
		like "$1" "$output" "$2"
	fi
}

# All kinds of extents; the size is not a multiple of 4096.
size=$((2 * 1048576 + 3 * 512))
garbage | tr a-z n-za-m > plain.raw
truncate -s 1M plain.raw
qemu-img create -q -f qcow2 image.qcow2 $size
qemu-io -c "write -s plain.raw 0 300k" -c "write -z 64k 64k" \
	-c "write -c -P 9 1M 64k" -c "write -z 1536k 100k" \
	-c "write -P 7 $((size - 512)) 512" image.qcow2 > /dev/null || bail "qemu-io"
qemu-img convert -O raw image.qcow2 wanted.raw || bail "qemu-img"

for block in 512 4096; do
	disk=$(make_loop 4 $block) || bail "loop device"
	garbage > "$disk"
	check "convert onto a device with blocks of $block" \
		dmlive image convert image.qcow2 "$disk"
	check "blocks of $block: it has the disk's content" \
		cmp -n $size "$disk" wanted.raw
	check "blocks of $block: the rest of the device is untouched" \
		cmp <(tail -c +$((size + 1)) "$disk") <(garbage | tail -c +$((size + 1)))
done

holder=$(make_loop 4) || bail "loop device"
garbage > "$holder"
qemu-img convert -n -O qcow2 image.qcow2 "$holder" 2> /dev/null ||
	qemu-img convert -O qcow2 image.qcow2 "$holder" || bail "qemu-img onto a device"
check "convert from a device" dmlive image convert "$holder" got.raw
check "the content is right" cmp got.raw wanted.raw
qemu-img create -q -f qcow2 -b "$holder" -F qcow2 over.qcow2 || bail "overlay"
qemu-io -c "write -P 3 0 4k" over.qcow2 > /dev/null
qemu-img convert -O raw over.qcow2 wanted2.raw
check "convert with a device as backing file" dmlive image convert --allow-paths over.qcow2 got.raw
check "its content is right" cmp got.raw wanted2.raw
check "a raw device is read to its end" dmlive image convert --format raw "$disk" got.raw
check "and as it is" cmp got.raw "$disk"
mknod node b $((0x$(stat -c %t "$holder"))) $((0x$(stat -c %T "$holder")))
qemu-img rebase -u -b "$TMP/over.qcow2" -F qcow2 "$holder" || bail "rebase"
refused "a loop over a device is found" "has a loop" dmlive image map over.qcow2
qemu-img rebase -u -b "" "$holder" || bail "rebase"

# A part of the last cluster is missing.
cp image.qcow2 cut.qcow2
truncate -s -65000 cut.qcow2
garbage > "$disk"
refused "a part of the image is missing" "truncated" dmlive image convert cut.qcow2 "$disk"
check "the target is as it was" cmp "$disk" <(garbage)
refused "the image's own device is refused as target" "would be overwritten" dmlive image convert --allow-paths over.qcow2 node
small=$(make_loop 1) || bail "loop device"
garbage | head -c 1M > "$small"
refused "a small device is refused as target" "too small" dmlive image convert image.qcow2 "$small"
check "which is left alone" cmp "$small" <(garbage | head -c 1M)
mkfs.ext4 -q "$disk" > /dev/null 2>&1 || bail "mkfs"
mkdir mnt
mount "$disk" mnt || bail "mount"
on_exit umount "$TMP/mnt"
refused "a mounted device is refused as target" "busy" dmlive image convert image.qcow2 "$disk"
finish
