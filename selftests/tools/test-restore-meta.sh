#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With a metadata device a restore goes on after a crash from that device alone:
# nothing that was written and flushed is lost, and in the end the volume is what
# image and guest have made of it.

. "$(dirname "$0")/restore-lib.sh"
require_command lvcreate

make_image image.qcow2 16
qemu-img convert -q -f qcow2 -O raw image.qcow2 expected.raw || bail "convert"
disk=$(make_disk 24 512) || bail "disk"
meta=$(make_disk 2 512) || bail "disk"

# guest_write NAME MIB BYTE: 64 KiB that end at odd places, flushed; in
# expected.raw too.
guest_write()
{
	head -c 65536 /dev/zero | tr '\0' "\\$3" > guest.data
	dd if=guest.data of="/dev/mapper/$1" bs=512 seek=$(($2 * 2048 + 3)) \
		oflag=direct conv=fsync status=none &&
		dd if=guest.data of=expected.raw bs=512 seek=$(($2 * 2048 + 3)) \
			conv=notrunc status=none
}

# lose_server NAME: as a crash does.
lose_server()
{
	local pid
	pid=$(server_of "$1")
	kill -KILL "$pid" && wait_until is_gone "$pid"
}

# forget NAME: what a restart of the machine leaves of it.
forget()
{
	lose_server "$1"
	dmsetup remove "$1" || dmsetup remove --force "$1"
	rm -rf /run/dmlive
}

# progress NAME BYTES: so much is on the target.
progress()
{
	[ "$(allocated_of "$1")" -ge "$2" ]
}

is_complete()
{
	is_linear "$1" && [ ! -e "/run/dmlive/$1.json" ] && [ ! -e "/run/dmlive/$1.lock" ]
}

# ends_well NAME DESCRIPTION: the device gets linear, with the content expected.
ends_well()
{
	dmlive stream "$1" speed 0 2> /dev/null
	check "$2: linear in the end" wait_until is_complete "$1"
	same "$2: content" "/dev/mapper/$1" expected.raw
}

sane_meta()
{
	check "$1: qemu-img check" qemu-img check -q "$2"
	check "$1: dmlive meta check" dmlive meta check "$2"
}

description()
{
	dmlive meta dump "$1" --json | jq -r .restore | jq -r ".$2"
}

# The whole path, with a server and a mapped device that are lost.
soil "$disk"
run 0 "restore" start_restore image.qcow2 "$disk" r --meta "$meta" --speed 2M \
	--on-error stop --user-timeout 1000 --threads 3
like "status shows the metadata device" "$(dmlive status r)" "bitmap is on $meta, committed"
is "and in JSON" "$(dmlive status r --json | jq -r '.meta + " " + .meta_device')" "rw $meta"
table=$(dmsetup table r)
uuid=$(dmsetup info -c --noheadings -o uuid r)
check "the guest writes ahead of the stream" guest_write r 13 101
run 3 "another restore onto it: in use" dmlive restore image.qcow2 "$disk" --name q --force
spare=$(make_disk 24 512) || bail "disk"
run 3 "its metadata device is in use, even with --force" \
	dmlive restore image.qcow2 "$spare" --name q --meta "$meta" --force
says "the reason" "$meta is in use"
run 3 "resume while it is served" dmlive resume "$meta"
says "the reason" "is being served by process"
check "some is streamed" wait_until progress r 2000000
lose_server r
check "the device is removed" dmsetup remove r
run 3 "no restart with what is on record" dmlive restore image.qcow2 "$disk" --name q
says "the way out" "has begun and is not finished.*dmlive resume $meta"
rm -rf /run/dmlive
run 3 "nor onto its metadata" dmlive restore image.qcow2 "$spare" --name q --meta "$meta"
says "the way out" "unfinished restore.*dmlive resume $meta.*--force"
run 0 "resume from the metadata device" dmlive resume "$meta" --background
on_exit end_restore r
is "the same table" "$(dmsetup table r)" "$table"
is "the same UUID" "$(dmsetup info -c --noheadings -o uuid r)" "$uuid"
check "not started over" progress r 2000000
check "the guest writes again" guest_write r 14 102
lose_server r
run 0 "resume by the metadata device while the mapped device is there" \
	dmlive resume "$meta" --background
check "the guest writes a third time" guest_write r 15 103
forget r
run 0 "resume in the foreground" timeout -s INT 200 dmlive resume "$meta" --json
like "it says when it has finished" "$(tail -n 1 "$out")" '"linear":true'
ends_well r "after three losses"
sane_meta "metadata in the end" "$meta"
is "marked as finished" "$(description "$meta" finished)" 1
is "the backing file is the image" "$(qemu-img info --output=json "$meta" |
	jq -r '."backing-filename" + " " + ."backing-filename-format"')" "$TMP/image.qcow2 qcow2"
end_restore r
run 3 "nothing to resume any more" dmlive resume "$meta"
says "the reason" "over, there is nothing to resume"

# A crash: the disks as they are while everything is in use, on other disks. What
# is copied first is the older state, as far as the bits go.
cp image.qcow2.raw expected.raw
soil "$disk"
run 0 "finished metadata may be used again" start_restore image.qcow2 "$disk" r \
	--meta "$meta" --speed 2M --name c
on_exit end_restore c
check "the guest writes" guest_write c 12 104
check "some is streamed" wait_until progress c 1000000
meta2=$(make_disk 2 512) || bail "disk"
dd if="$meta" of="$meta2" bs=64K iflag=direct oflag=direct status=none
dd if="$disk" of="$spare" bs=1M iflag=direct oflag=direct status=none
forget c
run 0 "resume the copy" dmlive resume "$meta2" --target "$spare" --name d --background
on_exit end_restore d
check "not started over" progress d 1000000
ends_well d "copy of a crash"
end_restore d
sane_meta "its metadata" "$meta2"

# The original goes on too, though the image is said to have changed.
touch image.qcow2
run 3 "a changed image is refused" dmlive resume "$meta"
says "the reason" "has changed.*--force"
check_fails "no device is left" dmsetup info c
run 0 "--force takes it" dmlive resume "$meta" --force --no-finish --background
dmlive stream c speed 0
check "complete" wait_until has_state c complete
forget c

# All is on the target, but nobody came to say so.
mv image.qcow2 away.qcow2
run 0 "complete metadata need no image" dmlive resume "$meta"
ends_well c "complete metadata"
like "it says so" "$(cat "$out")" "everything was on the target already"
end_restore c
mv away.qcow2 image.qcow2
sane_meta "complete metadata" "$meta"

# Starting over is asked for.
cp image.qcow2.raw expected.raw
run 0 "restore" start_restore image.qcow2 "$disk" e --meta "$meta" --speed 1M
forget e
run 0 "--force starts over" start_restore image.qcow2 "$disk" e --meta "$meta" --force --speed 1M
lose_server e
dmsetup remove e
run 0 "--force gives up what is on record" start_restore image.qcow2 "$disk" e --force
ends_well e "started over"
is "the old metadata are marked" "$(description "$meta" finished)" 1
end_restore e

# Refusals.
refused()
{
	local before
	before=$(md5sum < "$disk")
	run 3 "$1: refused" dmlive restore image.qcow2 "$disk" --name f "${@:3}"
	says "$1: the reason" "$2"
	check_fails "$1: no device is left" dmsetup info f
	is "$1: the target is as it was" "$(md5sum < "$disk")" "$before"
}

tiny=$(make_loop 1) || bail "loop"
truncate -s 256K tiny.img
small=$(make_loop "$TMP/tiny.img") || bail "loop"
refused "metadata device too small" "too small.*256.0 KiB.*$(dmlive meta size --size 16M --granularity 4K) bytes" --meta "$small"
mkfs.ext4 -q -L precious "$tiny" || bail "mkfs"
refused "file system on it" "ext4 file system 'precious'.*--force" --meta "$tiny"
qemu-img create -q -f qcow2 -u foreign.qcow2 1G
dd if=foreign.qcow2 of="$tiny" conv=fsync status=none
refused "an image on it" "qcow2 image.*--force" --meta "$tiny"
dmlive meta format "$tiny" --size 16M --granularity 4K --bitmap alloctrack:auto --bitmap mine --force
refused "bitmaps of others on it" "more than one bitmap" --meta "$tiny"
refused "the target itself" "on, the same device" --meta "$disk" --force
refused "no block device" "losetup" --meta "$TMP/image.qcow2"
blockdev --setro "$tiny"
refused "read-only" "read-only" --meta "$tiny"
blockdev --setrw "$tiny"
refused "no volume for auto" "no logical volume.*at least [0-9]* bytes.*--meta DEVICE" --meta auto
dmlive meta format "$tiny" --size 16M --granularity 4K --force
run 2 "metadata that know no name" dmlive resume "$tiny"
run 2 "metadata that know no target" dmlive resume "$tiny" --name f
says "the way out" "--target"
run 2 "metadata that know no image" dmlive resume "$tiny" --name f --target "$disk"
says "the way out" "dmlive resume $tiny IMAGE"
check "no device is left" sh -c '! dmsetup info f'
cp image.qcow2.raw expected.raw
run 0 "all given by hand" dmlive resume "$tiny" image.qcow2 --name f --target "$disk"
on_exit end_restore f
ends_well f "by hand"
end_restore f
wipefs -qa "$tiny"
dd if=/dev/zero of="$tiny" bs=64K count=1 status=none
run 1 "nothing on it to resume" dmlive resume "$tiny"
run 2 "--target without metadata" dmlive resume absent --target "$disk"

# A logical volume, and one beside it.
pv=$(make_disk 64 512) || bail "disk"
{ vgcreate -q tvg "$pv" && lvcreate -q -y -W n -L 24M -n target tvg; } > lvm.log 2>&1 ||
	bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f tvg
run 0 "--meta auto" start_restore image.qcow2 /dev/tvg/target g --meta auto --speed 2M
check "there is a volume beside it" [ -b /dev/tvg/target_dmlive ]
is "its target has a name that lasts" "$(dmsetup suspend g && description /dev/tvg/target_dmlive target
	dmsetup resume g)" /dev/tvg/target
check "the guest writes" guest_write g 11 105
forget g
run 3 "a restore without --meta finds it" dmlive restore image.qcow2 /dev/tvg/target --name h
says "the way out" "dmlive resume /dev/tvg/target_dmlive"
run 3 "and with" dmlive restore image.qcow2 /dev/tvg/target --name h --meta auto
run 3 "and onto another" dmlive restore image.qcow2 /dev/tvg/target --name h --meta "$tiny"
run 0 "resume" dmlive resume /dev/tvg/target_dmlive --background
ends_well g "volume"
check "its volume is gone" wait_until [ ! -e /dev/tvg/target_dmlive ]
end_restore g
cp image.qcow2.raw expected.raw
run 0 "--meta auto, and no swap" start_restore image.qcow2 /dev/tvg/target g --meta auto --no-finish
check "complete" wait_until has_state g complete
run 0 "finish" dmlive finish g
check "its volume is gone" [ ! -e /dev/tvg/target_dmlive ]
ends_well g "finished by hand"
end_restore g
run 0 "--meta auto again" start_restore image.qcow2 /dev/tvg/target g --meta auto --speed 1M
forget g
run 0 "--force" start_restore image.qcow2 /dev/tvg/target g --force
check "the volume of the one that was given up is gone" [ ! -e /dev/tvg/target_dmlive ]
ends_well g "started over"
end_restore g
lvcreate -q -y -W n -l 100%FREE -n rest tvg > /dev/null 2>&1
run 3 "the group is full" dmlive restore image.qcow2 /dev/tvg/target --name g --meta auto
says "the reason" "insufficient free space.*--meta DEVICE"
check_fails "no device is left" dmsetup info g
finish
