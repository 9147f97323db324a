#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# also on: uml-udev
#
# With any image and target, the restored device has the image's content to the last byte,
# and nothing of the target's former content.

. "$(dirname "$0")/restore-lib.sh"

random_raw content.raw 8
truncate -s +1536 content.raw

make_images()
{
	local raw=content.raw
	qemu-img convert -f raw -O qcow2 $raw plain.qcow2
	qemu-img convert -f raw -O qcow2 -c $raw compressed.qcow2
	qemu-img convert -f raw -O qcow2 -c -o compression_type=zstd,cluster_size=2M \
		$raw zstd-2M.qcow2
	qemu-img convert -f raw -O qcow2 -o cluster_size=512 $raw small.qcow2
	qemu-img convert -f raw -O qcow2 -o extended_l2=on,cluster_size=128k \
		$raw subclusters.qcow2
	qemu-img create -q -f qcow2 -b compressed.qcow2 -F qcow2 overlay.qcow2
	image_io overlay.qcow2 "write -P 0x5a 1M 300k" "write -z 5M 2M" \
		"write -P 0xa5 7M 4k"
	qemu-img create -q -f qcow2 -b compressed.qcow2 -F qcow2 longer.qcow2 14M
	image_io longer.qcow2 "write -P 0x77 13M 64k"
	cp plain.qcow2 snapshots.qcow2
	qemu-img snapshot -c before snapshots.qcow2
	image_io snapshots.qcow2 "write -P 0x33 0 2M"
}
make_images || bail "the images cannot be made"

# try NAME IMAGE TARGET [OPTION...] - EXPECTED has the content that qemu-img reads.
try()
{
	local name=$1 image=$2 target=$3 device=/dev/mapper/r
	soil "$target"
	run 0 "$name: restored" dmlive restore "$image" "$target" --name r --force "${@:4}"
	is "$name: the device is linear" "$(dm_target r)" linear
	same "$name: content" $device expected.raw
	is "$name: nothing stale behind the image" \
		"$(tail -c +$(($(stat -c %s expected.raw) + 1)) $device | tr -d '\0' | wc -c)" 0
	dm_remove r
	# The bytes are on the target itself.
	same "$name: content of the target" "$target" expected.raw
}

expect()
{
	qemu-img convert "$@" -O raw expected.raw
}

disk512=$(make_disk 16 512) || bail "disk"
disk4096=$(make_disk 16 4096) || bail "disk"
on_exit dm_remove r

for image in plain compressed zstd-2M small subclusters overlay longer; do
	expect $image.qcow2
	try "$image, 512" $image.qcow2 "$disk512"
	try "$image, 4096" $image.qcow2 "$disk4096" --block-size 64K
done
expect plain.qcow2
try "block size 2M" plain.qcow2 "$disk512" --block-size 2M
try "size of the target" plain.qcow2 "$disk4096" --size target
try "one thread" compressed.qcow2 "$disk512" --threads 1
expect -l before snapshots.qcow2
try "internal snapshot" snapshots.qcow2 "$disk512" --snapshot before
expect content.raw
try "raw file" content.raw "$disk512"
try "raw file, 4096" content.raw "$disk4096" --format raw
no_discard=$(make_disk 16 512 discard=0) || bail "disk"
expect overlay.qcow2
try "target without discard" overlay.qcow2 "$no_discard"
finish
