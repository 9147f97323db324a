#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A restore with --track that has no place for its bitmap, or whose place is used for
# something else, is refused before anything is changed. A message says when the bitmap
# cannot belong to any image.

. "$(dirname "$0")/track-lib.sh"
make_image image.qcow2 8
target=$(make_disk 8) || bail "disk"
track=$(make_disk 4 512) || bail "disk"
soil "$target"

# refused LABEL REGEX OPTION... - and nothing is changed.
refused()
{
	dd if="$track" of=before bs=64K iflag=direct status=none
	run 3 "$1: refused" dmlive restore image.qcow2 "$target" --name g --track B "${@:3}"
	says "$1: the reason" "$2"
	dd if="$track" of=after bs=64K iflag=direct status=none
	check "$1: its metadata device is as it was" cmp before after
	check "$1: the target is as it was" cmp dirt "$target"
	is "$1: no device is left" "$(dmsetup info -c --noheadings -o name | grep -c '^g')" 0
}

# empty - clear the metadata device.
empty()
{
	dd if=/dev/zero of="$track" bs=64K oflag=direct status=none 2> /dev/null
}

# store ARGUMENT... - make this store on the metadata device.
store()
{
	empty
	dmlive meta format "$track" --track --force "$@" > /dev/null || bail "meta format"
	blockdev --flushbufs "$track"
}

run 2 "--track-meta alone" dmlive restore image.qcow2 "$target" --name g --track-meta "$track"
run 2 "a name that is reserved" dmlive restore image.qcow2 "$target" --name g \
	--track dmlive-x --track-meta "$track"
says "the reason" "not begin with dmlive-"
refused "no volume" "not a logical volume that a small one.*--track-meta DEVICE"
truncate -s 256K small
small=$(make_loop "$TMP/small") || bail "loop"
refused "too small" "too small for the tracking of g: 256.* available, .* required" --track-meta "$small"
refused "the target" "are, or lie on, the same device" --track-meta "$target"
refused "the other metadata device" "need a metadata device each" --track-meta "$track" \
	--meta "$track"
refused "a file" "is not a block device" --track-meta image.qcow2
mkfs.ext4 -q "$track" 2> /dev/null || bail "mkfs"
blockdev --flushbufs "$track"
refused "a file system" "holds a .*ext4.*--force" --track-meta "$track"
store --size 8M --bitmap C
refused "no such bitmap" "has no bitmap 'B' that is enabled" --track-meta "$track"
store --size 9M --bitmap B
refused "another size" "bitmaps for a device of 9437184 bytes, and g gets 8388608" \
	--track-meta "$track"
dmlive meta format plain --size 8M --granularity 64K --bitmap B > /dev/null
empty
dd if=plain of="$track" bs=64K oflag=direct status=none
refused "no store for tracking" "no store for tracking" --track-meta "$track"
dmsetup create g-dmlive --notable
run 3 "the name of the inner device" dmlive restore image.qcow2 "$target" --name g --track B \
	--track-meta "$track" --force
says "the reason" "g-dmlive is not the inner device of g, but has its name"
dmsetup remove g-dmlive

# A store that was made for the restore is used as it is.
store --size 8M --bitmap B:4K --bitmap C:128K
cp image.qcow2.raw expected.raw
run 0 "a store with a bitmap of 4K" start_tracked image.qcow2 "$target" g --track-meta "$track"
guest_writes g 100 3
ends_tracked g "of 4K"
exactly g "of 4K" 4096
run 0 "an increment" dmlive backup g 1.qcow2 --bitmap B --base image.qcow2 --no-full
same_image 1.qcow2 expected.raw
is "of what the guest wrote" "$(data_bits 1.qcow2 4096)" \
	$((65536 / 4096)) # a block of the session
run 0 "the other bitmap belongs to no backup" dmlive backup g c.qcow2 --bitmap C
is_full c.qcow2 "the other bitmap"
end_tracked g
soil "$target"
refused "a store that was used" "were in use" --track-meta "$track"

# A job that is cancelled and started again.
cp image.qcow2.raw expected.raw
run 0 "--force" start_tracked image.qcow2 "$target" g --track-meta "$track" --force --speed 16K
check "cancelled" dmlive stream g cancel
guest_writes g 9000 3
is "it is served on" "$(state_below g)" cancelled
exactly g "cancelled"
check "started again" dmlive stream g start
ends_tracked g "cancelled and started"
exactly g "cancelled and started"
end_tracked g

# Larger than the image, which is raw and has an odd size.
large=$(make_disk 12) || bail "disk"
soil "$large"
head -c 7000700 image.qcow2.raw > odd.raw
cp odd.raw expected.raw
truncate -s 12M expected.raw
run 0 "a raw image" start_tracked odd.raw "$large" g --size target --track-meta "$track" --force
guest_writes g 13672 8
guest_writes g 20000 1
ends_tracked g "raw"
exactly g "raw"
run 0 "an increment of a raw image" dmlive backup g odd.qcow2 --bitmap B --base odd.raw --no-full
same_image odd.qcow2 expected.raw
run 0 "the chain is right" dmlive image chain odd.qcow2
truncate -s +1 odd.raw
check_fails "the chain is wrong when the image has changed" dmlive image chain odd.qcow2
end_tracked g

# Writes to it since then are not known.
loop=$(make_loop "$TMP/image.qcow2.raw") || bail "loop"
cp image.qcow2.raw expected.raw
run 0 "a block device" start_tracked "$loop" "$target" g --force --track-meta "$track"
says "it is said" "is a block device.*belongs to no backup, so the next backup of g is a full one"
guest_writes g 10 1
ends_tracked g "a block device"
exactly g "a block device"
run 3 "so no increment" dmlive backup g x.qcow2 --bitmap B --base "$loop" --no-full
says "the reason" "belongs to no backup"
end_tracked g
qemu-img snapshot -q -c s image.qcow2
run 0 "an internal snapshot" start_tracked image.qcow2 "$target" g --force --snapshot s \
	--track-meta "$track"
says "it is said" "internal snapshot.*belongs to no backup"
end_tracked g

# On a volume beside the target, which stays.
if command -v lvcreate > /dev/null; then
	pv=$(make_loop 32) || bail "disk"
	{ vgcreate -q tvg "$pv" && lvcreate -q -y -W n -L 8M -n target tvg; } > lvm.log 2>&1 ||
		bail "LVM: $(cat lvm.log)"
	on_exit vgremove -q -f tvg
	run 0 "on a volume beside it" start_tracked image.qcow2 /dev/tvg/target g --meta auto
	guest_writes g 7 7
	ends_tracked g "a volume"
	check "it stays" [ -b /dev/tvg/target_dmlive_track ]
	check "the other one goes" wait_until [ ! -e /dev/tvg/target_dmlive ]
	exactly g "a volume"
	run 0 "detached" dmlive detach g
	end_tracked g
	# As after a restart of the machine.
	check "deactivated" lvchange -q -an tvg/target
	check "activated" lvchange -q -ay tvg/target
	run 0 "attached again" dmlive attach /dev/tvg/target --name g \
		--meta /dev/tvg/target_dmlive_track
	on_exit dm_remove g
	guest_writes g 15000 9
	exactly g "attached again"
	run 0 "an increment after that" dmlive backup g lv.qcow2 --bitmap B --base image.qcow2 \
		--no-full
	same_image lv.qcow2 expected.raw
	dm_remove g
	lvcreate -q -y -W n -l 100%FREE -n rest tvg > /dev/null 2>&1
	lvremove -q -y tvg/target_dmlive_track > /dev/null 2>&1
	lvextend -q -l +100%FREE tvg/rest > /dev/null 2>&1
	run 3 "the group is full" dmlive restore image.qcow2 /dev/tvg/target --name g --track B --force
	says "the reason" "insufficient free space.*--track-meta DEVICE"
	check_fails "no device is left" dmsetup info g-dmlive
fi
finish
