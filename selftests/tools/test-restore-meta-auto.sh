#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# also on: uml-udev
#
# The metadata of a restore onto a logical volume can be on a small volume beside it, which
# is created for the restore, found after a crash, and removed at the end.

. "$(dirname "$0")/restore-meta-lib.sh"
require_command lvcreate
spare=$(make_disk 2 512) || bail "disk"

pv=$(make_loop 64) || bail "disk"
{ vgcreate -q tvg "$pv" && lvcreate -q -y -W n -L 24M -n target tvg; } > lvm.log 2>&1 ||
	bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f tvg
run 0 "--meta auto" start_restore image.qcow2 /dev/tvg/target g --meta auto --speed 16K
check "there is a volume beside it" [ -b /dev/tvg/target_dmlive ]
is "its tags say what it is" "$(lvs --noheadings -o lv_tags tvg/target_dmlive | tr -d ' ')" \
	dmlive,dmlive.of=target,dmlive.role=metadata
is "its target has a name that lasts" "$(dmsetup suspend g && description /dev/tvg/target_dmlive target
	dmsetup resume g)" /dev/tvg/target
check "the guest writes" guest_write g 11 105
forget g
run 3 "a restore without --meta finds it" dmlive restore image.qcow2 /dev/tvg/target --name h
says "the way out" "dmlive resume /dev/tvg/target_dmlive"
run 3 "and with" dmlive restore image.qcow2 /dev/tvg/target --name h --meta auto
run 3 "and onto another" dmlive restore image.qcow2 /dev/tvg/target --name h --meta "$spare"
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
run 0 "--meta auto again" start_restore image.qcow2 /dev/tvg/target g --meta auto --speed 16K
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
