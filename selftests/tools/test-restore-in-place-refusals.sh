#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What cannot be restored in place is refused with the reason and the way out, and left as it
# is.

image_mib=2
. "$(dirname "$0")/in-place-lib.sh"
require_target thin-pool
require_command thin_check
make_volumes
modprobe -q -a dm-snapshot
disk=$(make_disk 6) || bail "disk"

refused()
{
	run 3 "$1" dmlive restore image.qcow2 "${@:2}" --in-place
}

usage()
{
	run 2 "$1" dmlive restore image.qcow2 t/vm1 --in-place "${@:2}"
}

usage "--create" --create
says "--create: the reason" "exclude each other"
usage "--name" --name x
says "--name: the reason" "exclude each other"
usage "--track" --track B
usage "--size image" --size image
usage "--no-private" --no-private
says "--no-private: the reason" "--no-private exclude each other"
refused "a disk" "$disk"
says "a disk: the way out" "not a mapped device.*--name NAME"
run 1 "no such volume" dmlive restore image.qcow2 t/none --in-place
run 3 "without udev" env -u DM_DISABLE_UDEV dmlive restore image.qcow2 t/vm1 --in-place \
	--meta /dev/t/m --force
says "without udev: the way out" "93-dmlive.rules.*--name NAME"
exec 8< /dev/mapper/$MAP
refused "in use" t/vm1 --meta /dev/t/m --force
says "in use: the reason" "is in use"
exec 8<&-

label="attached"
dmlive attach t/vm1 > /dev/null || bail "attach"
refused "$label" t/vm1 --meta /dev/t/m --force
says "$label: the way out" "dmlive detach t-vm1"
refused "$label: the inner device" /dev/mapper/$INNER --meta /dev/t/m --force
dmlive detach t/vm1 > /dev/null || bail "detach"

label="attached persistently"
mkdir -p /etc/dmlive/attach.d
conf=/etc/dmlive/attach.d/test-in-place.conf
on_exit rm -f $conf
printf '[Attach]\nVolumeUUID=%s\nMetadata=/dev/none\n' \
	"$(dmsetup info -c --noheadings -o uuid $MAP)" > $conf
refused "$label" t/vm1 --meta /dev/t/m --force
says "$label: the way out" "$conf.*dmlive detach t-vm1 --persistent"
rm $conf

label="with a snapshot"
lvcreate -q -y -s -L 2M -n snap t/vm1 > lvm.log 2>&1 || bail "lvcreate: $(cat lvm.log)"
refused "$label" t/vm1 --meta /dev/t/m --force
says "$label: the reason" "snapshot-origin"
lvremove -q -y t/snap > lvm.log 2>&1 || bail "lvremove"

label="without a UUID"
dm_create plain "0 12288 linear $disk 0" || bail "plain"
refused "$label" /dev/mapper/plain --meta /dev/t/m --force
says "$label: the reason" "UUID"

check "the volume is as it was" has_own_table
check_fails "no record" [ -e "$record" ]
is "nothing is reported" "$(dmlive status --json | jq -c .)" "[]"

# A record that cannot be read still fences the volume.
label="a damaged record"
dmlive restore image.qcow2 t/vm1 --name older --meta /dev/t/m --speed 16K --background \
	--force > lvm.log 2>&1 || bail "restore: $(cat lvm.log)"
pid=$(server_of older)
kill -KILL "$pid" && wait_until is_gone "$pid"
dmsetup remove --retry older || bail "dmsetup remove"
: > "$record"
run 3 "$label: an older restore is not resumed" dmlive resume /dev/t/m
says "$label: the reason" "being restored in place"
dd if=/dev/zero of=/dev/t/m bs=1M count=1 oflag=direct status=none
run 0 "$label: the handler" dmlive attach --event /dev/mapper/$MAP
is_fenced "$label"
run 3 "$label: resume" dmlive resume t/vm1
says "$label: the reason" "metadata device"
run 0 "$label: detach --force" dmlive detach t/vm1 --force
check "$label: its own table" is_over

# It could hide any restore, or none.
label="a record that cannot be read"
mkdir "$record"
dmlive attach --event /dev/mapper/$MAP 2> "$err"
check "$label: no fence" has_own_table
says "$label: it is said" "cannot be read"
refused "$label: restore" t/vm1 --meta /dev/t/m --force
says "$label: the reason" "$record.*cannot be read"
run 3 "$label: attach" dmlive attach t/vm1
run 3 "$label: detach" dmlive detach t/vm1 --force
rmdir "$record"

label="thin"
{ lvcreate -q -y -L 12M -n pool t && lvconvert -q -y --type thin-pool t/pool &&
	lvcreate -q -y -V 64M -T t/pool -n thin; } > lvm.log 2>&1 || bail "thin: $(cat lvm.log)"
refused "$label" t/thin --meta /dev/t/m --force
says "$label: the reason, and the way out" "keep lvm2 from removing it.*--name NAME"
check_fails "$label: no inner device" dmsetup info t-thin-dmlive
finish
