#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-udev
#
# A volume that is attached with --persistent is attached whenever lvm2 has given it a table,
# by udev's rule, before the command of lvm2 returns. The next backup is what the volume
# holds; it is an increment where no write went past.

. "$(dirname "$0")/persist-lib.sh"

make_volumes
install_rule
pv2=$(make_loop 80) || bail "disk"
vgextend -q t "$pv2" > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"

label="the first time"
run 0 "$label: attach" dmlive attach t/vm1 --meta "$M" --persistent --json
file=$folder/$(uuid t-vm1).conf
is "$label: the file" "$(cat "$file")" "# /dev/t/vm1, with /dev/t/bm
[Attach]
VolumeUUID=$(uuid t-vm1)
MetadataUUID=$(uuid t-bm)"
attached
backup
is "$label: a full one" "$(of_backup increment)" false
increments

lvm "refreshed" lvchange --refresh t/vm1
attached; increments
lvm "refreshed twice" sh -c 'lvchange --refresh t/vm1 && lvchange --refresh t/vm1'
attached; increments
lvm "its metadata device refreshed" lvchange --refresh t/bm
attached; increments
lvm "renamed" lvrename -q t/vm1 t/vm3
attached t-vm3
lvm "renamed back" lvrename -q t/vm3 t/vm1
attached; increments
lvm "the group renamed" vgrename -q t t9
attached t9-vm1
lvm "the group renamed back" vgrename -q t9 t
attached; increments
lvm "moved" pvmove -q -i 1 -n vm1 "$pv" "$pv2"
attached
is "$label: to where it was to go" "$(pvs --noheadings -o lv_name "$pv2" | xargs)" vm1
increments
lvm "a snapshot" lvcreate -q -y -s -L 4M -n snap t/vm1
not_attached snapshot-origin
lvm "the snapshot removed" lvremove -q -y t/snap
attached; increments
lvm "a snapshot, and a write" lvcreate -q -y -s -L 4M -n snap t/vm1
dirty $V 100
lvm "the snapshot removed, after a write" lvremove -q -y t/snap
attached; full "written to without tracking"

lvm "a snapshot to be merged" lvcreate -q -y -s -L 4M -n snap t/vm1
dirty /dev/t/snap 700
lvm "a snapshot merged" lvconvert -q -i 1 --merge t/snap
attached; full "written to without tracking"
increments
label="detached"
run 0 "$label: detach" dmlive detach t/vm1
lvm "a snapshot to be merged, detached" lvcreate -q -y -s -L 4M -n snap t/vm1
dirty /dev/t/snap 1400
lvm "a snapshot merged, detached" lvconvert -q -i 1 --merge t/snap
attach
full "written to without tracking"
increments

# The store grows with the volume, and so does the chain of backups.
restorable()
{
	check "$label: qemu-img convert" qemu-img convert -O raw $last whole.raw
	check "$label: gives what the volume holds" cmp whole.raw $V
	rm whole.raw
}
dirty $V 100
lvm "extended" lvextend -q -L 24M t/vm1
attached
is "$label: the store" "$(dmlive meta dump --json "$M" | jq .size)" "$(blockdev --getsize64 $V)"
dirty $V 20000
increments; restorable
lvm "extended by an extent" lvextend -q -l +1 t/vm1
attached; increments; restorable
lvm "extended while moved" sh -c 'lvextend -q -l +1 t/vm1 && pvmove -q -i 1 -n vm1 "$1" "$2"' - \
	"$pv2" "$pv"
attached; increments; restorable
lvm "a volume for the restore" lvcreate -q -y -W n -L 28M -n back t
run 0 "$label: restore" dmlive restore $last t/back --name back --force
check "$label: is what the volume holds" \
	cmp -n "$(blockdev --getsize64 $V)" /dev/mapper/back $V
dm_remove back && lvremove -q -y t/back > /dev/null || bail "lvremove"
lvm "reduced" lvreduce -q -y -f -L 20M t/vm1
attached; full "has become smaller"
increments; restorable

# other_extents - the volume's last MiB is given away, and it gets another one.
other_extents()
{
	lvm "$1: reduced" lvreduce -q -y -f -L 19M t/vm1
	lvcreate -q -y -W n -l 1 -n other t > lvm.log 2>&1 || bail "other: $(cat lvm.log)"
	dd if=/dev/urandom of=/dev/t/other bs=1M count=1 oflag=direct status=none
	"${@:2}"
	lvm "$1: extended" lvextend -q -L 20M t/vm1
}
label="detached"
run 0 "$label: detach" dmlive detach t/vm1
other_extents "detached, other extents" true
attach
increments; restorable
lvremove -q -y t/other > /dev/null || bail "lvremove"

# The handler sees the smaller size, and can only note it.
miss_event()
{
	exec {lock}>> /run/lock/lvm/V_t
	flock -x "$lock" || bail "flock"
	dmlive attach --event /dev/mapper/t-vm1 2> "$err"
	like "$label: the event" "$(cat "$err")" "a command of lvm2 is at work"
	exec {lock}>&-
}
rm /run/udev/rules.d/93-dmlive.rules && udevadm control --reload
other_extents "other extents" miss_event
is "$label: not attached" "$(dmsetup table t-vm1 | grep -c cbw)" 0
install_rule
label="other extents, at last"
check "$label: event" dmlive attach --event /dev/mapper/t-vm1
attached; full "written to without tracking"
increments; restorable
lvremove -q -y t/other > /dev/null || bail "lvremove"
lvm "activated again" sh -c 'lvchange -an t/vm1 && vgchange -an t && vgchange -ay t'
attached; full "changes were not tracked"
increments
finish
