#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-udev
#
# While a restore in place is not finished, no command of lvm2 comes back with the volume's
# own table in use: udev's rule fences it before that. When it has completed, nothing does.

rule=$(realpath "$(dirname "$0")/../../udev/93-dmlive.rules")
. "$(dirname "$0")/in-place-lib.sh"
make_volumes

label="without the rule"
run 3 "$label: refused" dmlive restore image.qcow2 t/vm1 --in-place --meta /dev/t/m --force
says "$label: the reason" "93-dmlive.rules is not installed.*--name NAME"
check "$label: the volume is as it was" has_own_table
check_fails "$label: no record" [ -e "$record" ]

mkdir -p /run/udev/rules.d
sed "s:@SBINDIR@/dmlive:$(command -v dmlive):" "$rule" \
	> /run/udev/rules.d/93-dmlive.rules || bail "the rule"
udevadm control --reload || bail "udevadm"
forget_rule()
{
	rm -f /run/udev/rules.d/93-dmlive.rules
	udevadm control --reload
}
on_exit forget_rule

label="with the rule masked"
mkdir -p /etc/udev/rules.d
on_exit rm -f /etc/udev/rules.d/93-dmlive.rules
ln -s /dev/null /etc/udev/rules.d/93-dmlive.rules || bail "mask"
run 3 "$label: refused" dmlive restore image.qcow2 t/vm1 --in-place --meta /dev/t/m --force
rm /etc/udev/rules.d/93-dmlive.rules

begin()
{
	run 0 "$label: in place" dmlive restore image.qcow2 t/vm1 --in-place --meta /dev/t/m \
		--speed 64K --background --force
	is "$label: alloctrack" "$(dm_target $MAP)" alloctrack
}

# lvm LABEL COMMAND... - the volume is fenced when it returns.
lvm()
{
	label=$1
	check "$label: lvm2" "${@:2}"
	is_fenced "$label"
	check "$label: it is not suspended" [ "$(dmsetup info -c --noheadings -o suspended $MAP)" = Active ]
}

resume()
{
	run 0 "$label: resume" dmlive resume t/vm1 --background
	check "$label: content at once" has_content "$1"
}

label="begin"
begin
check "$label: content at once" has_content 6
check "$label: udev" udevadm trigger --settle --action=change "/sys/block/$(basename "$(realpath $V)")"
is "$label: an event changes nothing" "$(dm_target $MAP)" alloctrack
lvm "refreshed" lvchange -q --refresh t/vm1
is "$label: nobody used it" "$(dmesg | grep -c 'was in use when lvm2')" 0
resume 5
exec {used}< $V
lvm "refreshed while it is in use" lvchange -q --refresh t/vm1
is "$label: said" "$(dmesg | grep -c 'was in use when lvm2')" 1
exec {used}<&-
lvm "refreshed twice" sh -c 'lvchange -q --refresh t/vm1 && lvchange -q --refresh t/vm1'
lvm "activated again" sh -c 'lvchange -q -an t/vm1 && vgchange -q -an t && vgchange -q -ay t'
resume 4
lvm "deactivated while it is served" sh -c 'lvchange -q -an t/vm1 && vgchange -q -ay t'
lvm "extended" lvextend -q -L 14M t/vm1
plain_table=$(dmsetup table $INNER)
is "$label: its inner device has the new table" "$(blockdev --getsize64 /dev/mapper/$INNER)" 14680064
lvm "a snapshot" lvcreate -q -y -s -L 2M -n snap t/vm1
run 3 "$label: resume" dmlive resume t/vm1
says "$label: the reason" "no table of its own"
lvm "the snapshot removed" lvremove -q -y t/snap
lvm "renamed, and back" sh -c 'lvrename -q t/vm1 t/vm9 && lvrename -q t/vm9 t/vm1'
label="while a command of lvm2 that does not wait is at work"
dmsetup table $INNER | dmsetup load $MAP && exec {lock}>> /run/lock/lvm/V_t && flock -x "$lock" ||
	bail "flock"
dmsetup resume --noudevsync $MAP
check "$label: udev" timeout 60 udevadm settle
exec {lock}>&-
is_fenced "$label"
run 3 "$label: the table is not trusted" dmlive resume t/vm1
says "$label: the way out" "lvchange --refresh"
lvm "refreshed after that" lvchange -q --refresh t/vm1

label="attached persistently"
mkdir -p /etc/dmlive/attach.d
printf '[Attach]\nVolumeUUID=%s\nMetadataUUID=%s\n' "$(dmsetup info -c --noheadings -o uuid $MAP)" \
	"$(dmsetup info -c --noheadings -o uuid t-m)" > /etc/dmlive/attach.d/x.conf
check "$label: an event" dmlive attach --event /dev/mapper/$MAP
is_fenced "$label"
rm -r /etc/dmlive/attach.d
label="resumed at last, with all"
run 0 "$label" dmlive resume --all
check "$label: content at once" has_content 3
dmlive stream $MAP speed 0
ends_well "$label"
check "$label: refresh" lvchange -q --refresh t/vm1
check "$label: has its own table" has_own_table
finish
