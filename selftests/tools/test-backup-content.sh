#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A backup has the content of the device at the point in time, in every format, size and
# block size, and can be restored.

. "$(dirname "$0")/backup-lib.sh"

make_guest g 16
content g g.ref
for image in g.raw g.qcow2; do
	run 0 "$image" dmlive backup g $image
	same_image $image g.ref
done
is_idle g "raw and qcow2"
check "a raw file is sparse" [ "$(stat -c %b g.raw)" -lt $((12 * 2048)) ]
for method in zlib zstd:3; do
	run 0 "compressed: $method" dmlive backup g c.qcow2 --force --compression $method
	same_image c.qcow2 g.ref
done
check "smaller" [ "$(stat -c %s c.qcow2)" -lt "$(stat -c %s g.qcow2)" ]
run 0 "large clusters" dmlive backup g c.qcow2 --force --cluster-size 2M --threads 1
same_image c.qcow2 g.ref
run 0 "the path of the device" dmlive backup /dev/mapper/g p.raw
same_image p.raw g.ref

target=$(make_disk 16) || bail "disk"
start_restore g.qcow2 "$target" r
check "restored" wait_until is_linear r
check "the restored device has the same content" cmp g.ref /dev/mapper/r
dm_remove r

# Odd sizes; the smallest and the largest blocks.
for block in 8 4096; do
	make_guest "b$block" 8 $block $((4 * 2048 + 4096 + 3))
	content b$block b.ref
	for image in b.raw b.qcow2; do
		run 0 "blocks of $block sectors: $image" dmlive backup b$block $image --force
		same_image $image b.ref
	done
	is_idle b$block "blocks of $block sectors"
done

fleece=$(make_disk 16) || bail "disk"
run 0 "a fleece device" dmlive backup g g.raw --force --fleece "$fleece"
same_image g.raw g.ref
mkdir old
run 0 "a folder for old data" dmlive backup g g.raw --force --fleece old
same_image g.raw g.ref
is "it is empty afterwards" "$(ls -A old)" ""
is_idle g "in the end"
finish
