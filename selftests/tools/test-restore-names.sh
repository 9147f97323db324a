#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml-udev
#
# Names of images on logical volumes stay valid after a restart, when dm-N is another
# volume. Files that an image names outside of its volume group or folder are read only if
# that is allowed; a restore for which it was allowed continues without the option.

. "$(dirname "$0")/restore-meta-lib.sh"
require_command lvcreate
require_target cbw
require_module loop

pv=$(make_loop 200) || bail "disk"
{
	vgcreate -q tvg "$pv"
	for name in vm sun mon target; do
		lvcreate -q -y -W n -L 24M -n $name tvg
	done
	lvcreate -q -y -W n -L 16M -n bm tvg
} > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f tvg

backing_of()
{
	qemu-img info -U --output json "$1" | jq -r '."backing-filename"'
}

dd if=image.qcow2.raw of=/dev/tvg/vm bs=1M oflag=direct status=none
check "meta format" dmlive meta format /dev/tvg/bm --size 24M --track --bitmap n --force
run 0 "attach" dmlive attach tvg/vm --meta /dev/tvg/bm
on_exit dmlive detach tvg/vm --force
run 0 "full" dmlive backup tvg/vm /dev/tvg/sun --format qcow2 --fleece . --bitmap n
dd if=/dev/urandom of=/dev/tvg/vm bs=64k count=4 seek=30 oflag=direct conv=notrunc status=none
for base in /dev/tvg/sun "$(realpath /dev/tvg/sun)"; do
	run 0 "onto a volume, based on $base" dmlive backup tvg/vm /dev/tvg/mon --format qcow2 \
		--fleece . --bitmap n --base "$base" --force
	is "it has the name of the volume" "$(backing_of /dev/tvg/mon)" /dev/tvg/sun
	check_fails "without a warning" grep -q allow-paths "$err"
	run 0 "full again" dmlive backup tvg/vm /dev/tvg/sun --format qcow2 --fleece . \
		--bitmap n --full --force
done
run 0 "into a file" dmlive backup tvg/vm mon.qcow2 --bitmap n --base "$(realpath /dev/tvg/sun)"
is "it has the name of the volume" "$(backing_of mon.qcow2)" /dev/tvg/sun
says "what it takes to restore it" "is not beside its base, /dev/tvg/sun: .*--allow-paths"
run 0 "a file beside it" dmlive backup tvg/vm tue.qcow2 --bitmap n --base mon.qcow2 --no-full
dd if=/dev/tvg/vm of=expected.raw bs=1M iflag=direct status=none

run 1 "a file over a volume" dmlive restore mon.qcow2 /dev/tvg/target --name r
says "the reason" "mon.qcow2: its backing file /dev/tvg/sun lies neither.*--allow-paths"
check_fails "there is no device" dmsetup info r
run 0 "allowed" start_restore mon.qcow2 /dev/tvg/target r --meta auto --speed 16K --allow-paths
is "on record" "$(jq .allow_paths /run/dmlive/r.json)" true
lose_server r
run 0 "resume" dmlive resume r --background
forget r
run 0 "resume after a crash" dmlive resume /dev/tvg/target_dmlive --background
ends_well r "allowed"
end_restore r

# A volume on a volume, by every name.
qemu-img create -q -u -f qcow2 -b sun -F qcow2 /dev/tvg/mon 24M || bail "qemu-img"
dmlive image convert --quiet --allow-paths mon.qcow2 expected.raw
for image in /dev/mapper/tvg-mon "$(realpath /dev/tvg/mon)"; do
	run 0 "$image, with a bare name of its base" start_restore "$image" /dev/tvg/target r \
		--speed 16K --meta auto --force
	is "its name on record" "$(jq -r .image /run/dmlive/r.json)" /dev/tvg/mon
	is "nothing is allowed" "$(jq .allow_paths /run/dmlive/r.json)" false
	forget r
done
run 0 "resume after a crash" dmlive resume /dev/tvg/target_dmlive --background
is "its name is the same" "$(jq -r .image /run/dmlive/r.json)" /dev/tvg/mon
ends_well r "a bare name"
end_restore r

# A raw volume, from which the kernel streams.
run 0 "raw" start_restore "$(realpath /dev/tvg/vm)" /dev/tvg/target r --format raw --speed 16K \
	--force
is "its name on record" "$(jq -r .image /run/dmlive/r.json)" /dev/tvg/vm
lose_server r
run 0 "resume" dmlive resume r --background
is "its name is the same" "$(jq -r .image /run/dmlive/r.json)" /dev/tvg/vm
end_restore r

# lvm2's name of a layer of the volume, of which blkdeactivate does not let go.
run 3 "a layer's name" dmlive restore mon.qcow2 /dev/tvg/target --name tvg-target-restored --force \
	--allow-paths
says "the reason, the way out" "tvg-target-restored: .*called tvg-target.*another name.*--no-priv"
check_fails "a layer's name: there is no device" dmsetup info tvg-target-restored
run 3 "a layer's name, of a new volume" dmlive restore image.qcow2 tvg/new --name tvg-new-r --create
check_fails "the volume is not kept" lvs tvg/new
for name in tvg-target-restored tvg-target--restored tvg-targetrestored; do
	only=
	[ $name != tvg-target-restored ] || only=--no-private
	run 0 "$name $only" start_restore /dev/tvg/vm /dev/tvg/target $name --format raw --force $only
	end_restore $name
done

# In another group, or not a volume.
other=$(make_loop 24) || bail "disk"
qemu-img create -q -u -f qcow2 -b "$other" -F raw /dev/tvg/mon 24M || bail "qemu-img"
run 1 "a device of no group" dmlive restore /dev/tvg/mon /dev/tvg/target --name r --force
says "the reason" "/dev/tvg/mon: its backing file $other lies neither"

# A json: name, in an image whose bitmaps cannot be read.
qemu-img create -q -f qcow2 -F qcow2 -b \
	'json:{"driver":"qcow2","file":{"driver":"file","filename":"image.qcow2"}}' j.qcow2 ||
	bail "qemu-img"
qemu-img bitmap --add j.qcow2 x || bail "qemu-img"
at=$(LC_ALL=C grep -obUaP '\x23\x85\x28\x75\x00\x00\x00\x18' j.qcow2 | head -n 1 | cut -d: -f1)
[ -n "$at" ] || bail "no bitmaps extension"
printf '\0\0\0\0' | dd of=j.qcow2 bs=1 seek=$((at + 8)) conv=notrunc status=none
run 0 "a json: name and bad bitmaps" dmlive restore j.qcow2 "$other" --name r --force
says "a warning" "j.qcow2: bad bitmaps extension: .*its bitmaps cannot be read"
same "the content" /dev/mapper/r image.qcow2.raw
end_restore r
finish
