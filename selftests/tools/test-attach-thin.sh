#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml uml-udev
#
# cbw is inserted into a thin volume of lvm2 in use and taken out again, also when the
# command is killed; changes are tracked; lvm2 makes snapshots of it, reloads and removes
# it meanwhile.

. "$(dirname "$0")/move-lib.sh"
require_command lvcreate
require_target thin-pool

pv=$(make_loop 160) || bail "disk"
{ vgcreate -q tvg "$pv" && lvcreate -q -y -W n -L 96M -T tvg/pool &&
	lvcreate -q -y -W n -V 32M -T tvg/pool -n vol; } > lvm.log 2>&1 ||
	bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f tvg
take_volume tvg-vol
is "thin" "$(dm_target tvg-vol)" thin

in_use 5 "killed attach 12 2" "killed detach 12 2"
tracks below
refresh_is_noticed tvg/vol

inner_count()
{
	dmsetup ls | grep -c dmlive
}

mount $node mnt || bail "mount"
run 0 "attach" dmlive attach tvg/vol
check "lvm2: a thin snapshot of the attached volume" lvcreate -q -y -s -kn -n snap tvg/vol
check "lvm2: which is sound" sh -c "mkdir -p snap && mount /dev/tvg/snap snap && \
	sha256sum snap/before && umount snap"
check "lvm2: the volume goes on" sh -c "cp mnt/before mnt/after && sync mnt/after"
dmlive detach tvg/vol > /dev/null 2>&1
run 0 "attach" dmlive attach tvg/vol
check "lvm2: refresh" lvchange --refresh tvg/vol
is "it has ended the attachment" "$(dm_target tvg-vol)" thin
wait_until -t 10 [ "$(inner_count)" = 0 ]
is "the inner device goes by itself" "$(inner_count)" 0
run 0 "attach" dmlive attach tvg/vol
umount mnt
check "lvm2: deactivate" lvchange -an tvg/vol
is "the inner device is removed with it" "$(inner_count)" 0
check "lvm2: activate" lvchange -ay tvg/vol
run 0 "attach" dmlive attach tvg/vol
check "lvm2: refresh" lvchange --refresh tvg/vol
check "lvm2: remove" lvremove -q -f tvg/vol
is "no inner device" "$(inner_count)" 0
finish
