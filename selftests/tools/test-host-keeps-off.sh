#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-udev
#
# A volume holds what a guest has: a volume group, a file system. The host's lvm2, udev and
# btrfs see it once at most, on the volume itself: not on inner devices, views of backups and
# devices that are restored; whatever udev is told afterwards.

rules=$(realpath "$(dirname "$0")/../../udev")
# shellcheck source=trust-lib.sh
. "$(dirname "$0")/trust-lib.sh"
require_command mkfs.ext4 pvs
make_volumes

# lvm2 does not look for volume groups inside logical volumes.
readonly nested="devices/scan_lvs=1"

make_guest()
{
	{ pvcreate -q -y --config $nested $V && vgcreate -q --config $nested guest $V &&
		lvcreate -q -y -W n --config $nested -L 4M -n root guest &&
		vgchange -q -an --config $nested guest; } > lvm.log 2>&1 ||
		bail "the guest's volume group: $(cat lvm.log)"
	qemu-img convert -q -f raw -O qcow2 $V guest.qcow2 || bail "qemu-img"
	udevadm settle
}

# property NAME PROPERTY - what udev's database has of a mapped device.
property()
{
	udevadm info --query=property --property="$2" --value "/dev/mapper/$1"
}

links()
{
	find /dev/disk -lname "*/$(basename "$(realpath "/dev/mapper/$1")")"
}

# unseen NAME [BCACHE] - nobody has looked into it. BCACHE: 1 if the rules of bcache-tools have.
unseen()
{
	check "$label: its node is there" test -b "/dev/mapper/$1"
	is "$label: udev does not probe it" "$(property "$1" ID_FS_TYPE)" ""
	is "$label: no links in /dev/disk" "$(links "$1")" ""
	is "$label: bcache-tools do not probe it" "$(property "$1" BCACHE_TOOLS_PROBED)" "${2-}"
	is "$label: lvm2 sees the host's own only" \
		"$(pvs --noheadings -o pv_name,vg_name 2>&1 | xargs)" "$pv t"
	is "$label: no group of the guest is activated" "$(dmsetup ls | grep -c '^guest')" 0
}

# hidden NAME - now, and when everything is announced again. udev ignores "add" events after
# it has lost its database.
hidden()
{
	local what=$label action
	udevadm settle
	unseen "$1"
	for action in change add; do
		label="$what, udevadm trigger $action"
		udevadm trigger --settle --subsystem-match=block --action=$action || bail "trigger"
		unseen "$1"
	done
	label="$what, udev's database was lost"
	udevadm info --cleanup-db
	udevadm trigger --settle --subsystem-match=block --action=change || bail "trigger"
	unseen "$1"
	label=$what
}

# The lines of 69-bcache.rules that choose what is probed.
install_bcache_rules()
{
	mkdir -p /run/udev/rules.d
	cat > /run/udev/rules.d/69-x.rules <<- 'END' || bail "the rules"
		SUBSYSTEM!="block", GOTO="x_end"
		ACTION=="remove", GOTO="x_end"
		KERNEL!="dm-[0-9]*", GOTO="x_end"
		ENV{DM_UDEV_DISABLE_OTHER_RULES_FLAG}=="1", GOTO="x_end"
		ENV{ID_FS_TYPE}=="?*", GOTO="x_end"
		ENV{BCACHE_TOOLS_PROBED}="1"
		LABEL="x_end"
	END
	udevadm control --reload || bail "udevadm"
	on_exit forget_rules
}

install_rules()
{
	local file
	for file in "$rules"/*.rules; do
		sed "s:@SBINDIR@/dmlive:$(command -v dmlive):" "$file" \
			> "/run/udev/rules.d/${file##*/}" || bail "the rules"
	done
	udevadm control --reload || bail "udevadm"
}

forget_rules()
{
	rm -f /run/udev/rules.d/{69-x,*-dmlive}.rules
	udevadm control --reload
}

start()
{
	check "$label: restore" start_restore guest.qcow2 /dev/t/vm2 a-b --speed 64K --force "$@"
	udevadm settle
}
make_guest

# The flags that dmlive gives suffice while udev keeps its database, except for bcache-tools.
install_bcache_rules
label="a restored device, without the rules"
start
unseen a-b 1
check_fails "$label: no link of lvm2" test -e /dev/a/b
is "$label: systemd knows it" "$(property a-b SYSTEMD_READY)" 1
is "$label: mount and blkid can look into it" "$(blkid -p -s TYPE -o value /dev/mapper/a-b)" \
	LVM2_member
label="a restored device that is complete, without the rules"
dmlive stream a-b speed 0
wait_until -t 60 is_linear a-b
udevadm settle
unseen a-b 1
udevadm trigger --settle --subsystem-match=block --action=change || bail "trigger"
unseen a-b 1
same "$label: content" /dev/mapper/a-b $V
end_restore a-b

install_rules
label="attached"
attach
hidden t-vm1-dmlive

label="a view of a backup"
dmlive backup $V slow.qcow2 --force --speed 1M > slow.log 2>&1 & pid=$!
wait_until grep -q "point in time is now" slow.log || bail "no backup: $(cat slow.log)"
view=$(dmsetup ls | sed -n 's/^\(dmlive-view-[^\t ]*\).*/\1/p')
like "$label: there is one" "$view" .
hidden "$view"
kill -INT $pid
wait $pid
label="the backup was interrupted"
check_fails "$label: no view" dmsetup info "$view"
udevadm settle
unseen t-vm1-dmlive
detach

label="a restored device"
start
hidden a-b
end_restore a-b

label="a restored device that is not private"
start --no-private
is "$label: udev probes it" "$(property a-b ID_FS_TYPE)" LVM2_member
check "$label: the guest's group is activated" test -b /dev/mapper/guest-root
vgchange -q -an guest > lvm.log 2>&1
end_restore a-b
finish
