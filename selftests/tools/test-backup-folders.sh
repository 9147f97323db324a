#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A backup into a folder works, or is refused before its point in time; where files have no
# holes, it does not fill a file with zeros for the old data.

. "$(dirname "$0")/backup-lib.sh"
require_command mkfs.vfat
require_module vfat

make_guest g 24
content g g.raw

# mount_folder FOLDER TYPE MIB
mount_folder()
{
	local device
	mkdir "$1"
	device=$(make_loop "$3") && "mkfs.$2" "$device" > mkfs.log 2>&1 &&
		mount -t "$2" "$device" "$1" || bail "$2: $(cat mkfs.log)"
	on_exit umount "$1"
}

written()
{
	awk '{ print $7 }' "/sys/block/$(basename "$(findmnt -n -o SOURCE "$1")")/stat"
}

for type in vfat exfat; do
	label=$type
	if ! command -v mkfs.$type > /dev/null || ! modprobe -q $type; then
		skip "$label" "there is no $type"
		continue
	fi
	mount_folder $type $type 80
	start=$(written $type)
	run 3 "$label: old data there" dmlive backup g $type/a.qcow2
	says "$label: the reason" "$type: files cannot have holes there.* whole size of g .*--fleece"
	is "$label: nothing is left" "$(ls -A $type)" ""
	sync -f $type
	check "$label: little is written" [ $(($(written $type) - start)) -lt 10240 ]
	is_idle g "$label"
	run 3 "$label: named" dmlive backup g a.qcow2 --fleece $type
	for image in a.qcow2 b.raw; do
		run 0 "$label: $image, old data elsewhere" dmlive backup g $type/$image --fleece .
		same_image $type/$image g.raw
	done
	is_idle g "$label"
done

for type in ext4 xfs btrfs; do
	label=$type
	if ! command -v mkfs.$type > /dev/null || ! modprobe -q $type; then
		skip "$label" "there is no $type"
		continue
	fi
	mount_folder $type $type 320
	run 0 "$label: all there" dmlive backup g $type/a.qcow2
	same_image $type/a.qcow2 g.raw
done
finish
