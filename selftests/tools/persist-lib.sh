# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of volumes that are attached by udev's rule: beside trust-lib.sh.

top=$(realpath "$(dirname "$0")/../..")
readonly rule=$top/udev/93-dmlive.rules contrib=$top/contrib/initramfs
# shellcheck source=trust-lib.sh
. "$(dirname "$0")/trust-lib.sh"
modprobe -q -a dm-snapshot dm-mirror

# lvm2 may remove the links in /dev/t of what an attached volume lies on.
readonly M=/dev/mapper/t-bm
readonly folder=/etc/dmlive/attach.d

# install_rule: udev calls the dmlive that is tested.
install_rule()
{
	mkdir -p /run/udev/rules.d
	sed "s:@SBINDIR@/dmlive:$(command -v dmlive):" "$rule" \
		> /run/udev/rules.d/93-dmlive.rules || bail "the rule"
	udevadm control --reload || bail "udevadm"
	on_exit forget_rule
}

forget_rule()
{
	rm -rf /run/udev/rules.d/93-dmlive.rules /etc/dmlive
	udevadm control --reload
}

# attach, as that of trust-lib.sh, by the name that stays.
attach()
{
	run 0 "$label: attach" dmlive attach t/vm1 --meta "$M" --json "$@"
}

# uuid NAME: of a mapped device.
uuid()
{
	dmsetup info -c --noheadings -o uuid "$1"
}

# attached: the last command of lvm2 has come back, so it is.
attached()
{
	is "$label: attached" "$(dm_target "${1:-t-vm1}")" cbw ||
		diag "$(dmesg | grep 'dmlive: ' | tail -n 5)"
	is "$label: not suspended, nothing loaded" \
		"$(dmsetup info -c --noheadings -o suspended,tables_loaded "${1:-t-vm1}")" "Active:Live"
	is "$label: one inner device" "$(dmsetup ls | grep -c -- '-dmlive')" 1
}

not_attached()
{
	is "$label: not attached" "$(dm_target t-vm1)" "${1:-linear}"
}

# increments: the next backup is one, and is what the volume holds.
increments()
{
	dirty "$V" 9000
	backup --no-full
	is "$label: an increment" "$(of_backup increment)" true
}

# full REASON: the next backup is a full one, and says why.
full()
{
	dirty "$V" 9000
	backup
	is "$label: not an increment" "$(of_backup increment)" false
	like "$label: the reason" "$(of_backup full_reason)" "$1"
}

# lvm LABEL COMMAND...
lvm()
{
	local start=$EPOCHREALTIME
	label=$1
	check "$label: lvm2" "${@:2}"
	diag "$label: $(elapsed "$start") s"
}
