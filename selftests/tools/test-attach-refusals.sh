#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# dmlive attach and dmlive detach refuse with the reason and the way out, and change
# nothing. Also a step that fails changes nothing.

. "$(dirname "$0")/attach-lib.sh"

disk=$(make_disk 16 512) && other=$(make_disk 16 512) || bail "disks"
make_a

# Command lines.
run 2 "no DEVICE" dmlive attach
run 2 "two" dmlive attach a b
run 2 "an unknown option" dmlive attach a --unknown
run 2 "a bad name" dmlive attach "$disk" --name x/y
for size in 2K 3M 5000 x; do
	run 2 "block size $size" dmlive attach a --block-size $size
done
run 2 "detach without NAME" dmlive detach
run 1 "no such device" dmlive attach absent
run 1 "no such path" dmlive attach /dev/absent
run 1 "detach of no device" dmlive detach absent

# attach
run 3 "not a mapped device" dmlive attach "$other"
says "the way out" "--name NAME"
run 3 "over a disk in use" dmlive attach "$disk" --name n
says "the reason" "in use by the mapped device .*; to free it:"
run 3 "a name in use" dmlive attach "$other" --name a
says "the reason" "already"
dm_create user "0 8 linear $A 0" || bail "user"
run 3 "over a mapped device in use" dmlive attach a --name n
says "the way out" "dmlive attach a"
dm_remove user
dmsetup suspend a
run 3 "a suspended device" dmlive attach a
says "the way out" "dmsetup resume a"
dmsetup resume a
dmsetup load a --table "0 8 zero"
run 3 "a device with another table loaded" dmlive attach a
says "the way out" "dmsetup clear a"
dmsetup clear a
dm_create a-dmlive "0 8 zero" || bail "a-dmlive"
run 3 "the inner device's name is in use" dmlive attach a
says "the way out" "rename"
dm_remove a-dmlive
is_plain "after refusals"

dm_create s "0 $(sectors "$disk") snapshot-origin $other" 2> /dev/null && {
	run 3 "a target that must not be active twice" dmlive attach s
	says "the reason" "snapshot-origin"
	dm_remove s
}
cow=$(make_disk 16 512) || bail "disk"
soil "$cow"
dd if=/dev/zero of="$cow" bs=4096 count=1 oflag=direct status=none
dm_create s "0 $(sectors "$other") snapshot $other $cow P 8" 2> /dev/null && {
	run 3 "a snapshot" dmlive attach s
	says "the reason" "keeps its exceptions in memory"
	says "the way out" "--name NAME"
	dm_remove s
}
dm_create s "0 $(sectors "$other") multipath 0 0 1 1 round-robin 0 1 1 $other 1000" 2> /dev/null && {
	run 3 "a multipath device" dmlive attach s
	says "the reason" "multipathd"
	dm_remove s
}
dm_create s "0 $(sectors "$other") alloctrack $other - - 8" || bail "s"
run 3 "a device that is being restored" dmlive attach s
says "the way out" "wait"
dm_remove s
dmsetup create empty --notable && on_exit dm_remove empty
run 1 "a device without a table" dmlive attach empty
dm_remove empty

# The kernel refuses.
soil "$other"
run 1 "a metadata device without metadata" dmlive attach a --meta "$other" --block-size 4K
says "its reason" "the kernel refuses the table: cbw: "
is_plain "after the kernel's refusal"
run 3 "a device as its own metadata device" dmlive attach a --meta $A
says "the reason" "lies on"
truncate -s 16M meta && file=$(losetup -f --show meta) && on_exit losetup -d "$file" ||
	bail "loop"
run 1 "metadata in a file on another device" dmlive attach a --meta "$file"
mkfs.ext4 -q $A && mkdir mnt && mount $A mnt || bail "mount"
on_exit sh -c "! mountpoint -q $TMP/mnt || umount $TMP/mnt"
truncate -s 4M mnt/meta && loop=$(losetup -f --show mnt/meta) || bail "loop"
run 3 "metadata in a file on the device" dmlive attach a --meta "$loop"
says "the reason" "lies on, the volume $A"
losetup -d "$loop"
umount mnt
run 3 "a metadata device in use" dmlive attach a --meta "$disk"
is_plain "after that"

# detach
run 3 "detach of a device that is not attached" dmlive detach a
run 3 "detach of a disk" dmlive detach "$disk"
run 0 "attach" dmlive attach a
run 3 "attached twice" dmlive attach a
says "the way out" "dmlive detach a"
run 3 "a new device over it" dmlive attach a --name n
run 3 "the inner device" dmlive attach a-dmlive
run 3 "a new device over the inner device" dmlive attach a-dmlive --name n
run 3 "detach of the inner device" dmlive detach a-dmlive
dmsetup suspend a
run 3 "detach of a suspended device" dmlive detach a
dmsetup resume a
is_attached "after refusals"

inner=$(dm_number a-dmlive)
session="0 $(sectors $A) cbw $inner - 128 2 target $other"
dm_reload a "$session" || bail "session"
run 3 "detach in a session" dmlive detach a
says "the way out" "--force"
dm_create v "0 $(sectors $A) cbw-snapshot $A" || bail "view"
run 3 "detach under a view" dmlive detach a --force
says "the way out" "dmsetup remove v"
is "the session continues" "$(dm_status a 1)" active
run 0 "status in a session" dmlive status a
like "status shows the session" "$(cat "$out")" "session active.*target device $other"
dm_remove v
run 0 "detach by force" dmlive detach a --force
is_plain "by force"

run 0 "a new device" dmlive attach "$other" --name n
on_exit dm_remove n
exec 9< /dev/mapper/n
run 3 "detach of a new device that is open" dmlive detach n
exec 9<&-
run 0 "detach" dmlive detach n

# Remains of killed commands.
half=$(dmsetup table a)
dmsetup create a-dmlive -u LVM-dmlive-a --table "$half" || bail "inner"
run 0 "attach with an inner device left over" dmlive attach a
is_attached "after one was killed"
dmsetup load a --table "$(dmsetup table a-dmlive)"
run 0 "detach with its table loaded" dmlive detach a
is_plain "after that"
dmsetup create a-dmlive -u LVM-dmlive-a --table "$half" || bail "inner"
dmsetup load a --table "0 $(sectors $A) cbw $(dm_number a-dmlive) - 128"
run 0 "detach of one that was being attached" dmlive detach a
is_plain "and that"
dmsetup create old-dmlive -u LVM-dmlive-a --table "$half" || bail "inner"
run 0 "the device was renamed meanwhile" dmlive detach a
check_fails "its inner device is gone" dmsetup info old-dmlive
is_plain "and that too"

# Without the target.
readonly MODULE=/run/vm/dm-cbw.ko LOADER=/proc/sys/kernel/modprobe
if [ ! -e $MODULE ] || ! rmmod dm_cbw; then
	skip "no target cbw" "its module cannot be removed"
else
	loader=$(cat $LOADER)
	echo > $LOADER
	run 3 "no target cbw" dmlive attach a
	says "the way out" "modprobe dm-cbw"
	is_plain "without the target"
	echo "$loader" > $LOADER
	insmod $MODULE || bail "insmod"
fi
finish
