#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-udev
#
# A volume that udev's handler cannot attach, because its metadata device fails writes, runs
# with its own table. The handler does not try that again until there is a reason to.

. "$(dirname "$0")/persist-lib.sh"
require_target flakey

# meta_table TARGET - give the metadata device that table. Its event, handled late, would be a
# reason to try again what comes next.
meta_table()
{
	dm_reload m "0 $(sectors /dev/t/bm) $1" || bail "m"
	settle_udev
}

# attempts - of this test: the log has those of others, too.
attempts()
{
	local all
	all=$(dmesg | grep -c "dmlive: t-vm1 is not attached; that is tried again")
	echo $((all - ${others:-0}))
}
others=$(attempts)

# tried_once NUMBER - of attempts so far; what an attempt causes is over.
tried_once()
{
	check "$label: udev comes to rest" timeout 60 udevadm settle
	sleep 3
	check "$label: udev stays at rest" timeout 10 udevadm settle
	is "$label: attempts" "$(attempts)" "$1"
	not_attached
	is "$label: it is not suspended, nothing is loaded" \
		"$(dmsetup info -c --noheadings -o suspended,tables_loaded t-vm1)" "Active:Live"
	is "$label: no inner device" "$(dmsetup ls | grep -c -- '-dmlive')" 0
	check "$label: it can be written" dirty $V 100
}

make_volumes
install_rule
readonly good="linear /dev/t/bm 0" bad="flakey /dev/t/bm 0 0 1000 1 error_writes"
dm_create m "0 $(sectors /dev/t/bm) $good" -u TEST-m || bail "m"
label="good"
run 0 "$label: attach" dmlive attach t/vm1 --meta /dev/mapper/m --persistent
attached

meta_table "$bad"
lvm "fails writes" timeout 60 lvchange --refresh t/vm1
tried_once 1
like "$label: it says so" "$(dmesg | grep 'dmlive: ' | tail -n 3)" "Input/output error|cannot"
label="fails writes, an event without a change"
udevadm trigger --action=change "/sys/block/$(basename "$(realpath $V)")"
tried_once 1
lvm "fails writes, refreshed again" timeout 60 lvchange --refresh t/vm1
tried_once 2
# An event without a change that came while another process was at work is no reason either.
label="fails writes, and an event was missed"
settle_udev
tried=$(attempts) failed=$(ls /run/dmlive-attach/*.failed)
mv "$failed" failed
exec {lock}>> /run/lock/lvm/V_t
flock -x "$lock" || bail "flock"
SYNTH_UUID=0 dmlive attach --event /dev/mapper/t-vm1 > "$out" 2>&1
exec {lock}>&-
check "$label: there is a mark" [ -e "/run/dmlive-attach/$(uuid t-vm1).missed-synthetic" ]
cp failed "$failed"
SYNTH_UUID=0 dmlive attach --event /dev/mapper/t-vm1 > "$out" 2>&1
tried_once "$tried"
check_fails "$label: there is none any more" ls /run/dmlive-attach/*.missed*
label="by hand"
tried=$(attempts)
run 1 "$label: attach" timeout 60 dmlive attach t/vm1 --meta /dev/mapper/m
tried_once "$tried"

label="good again"
meta_table "$good"
check "$label: udev" timeout 60 udevadm settle
attached
backup

label="no space for marks"
mkdir -p /run/dmlive-attach
mount -t tmpfs -o nr_inodes=1 none /run/dmlive-attach || bail "mount"
run 0 "$label: detach" dmlive detach t/vm1
says "$label: what comes of it" "detached cannot be written .No space.*attached again"
umount /run/dmlive-attach
lvm "$label: refreshed" timeout 60 lvchange --refresh t/vm1
attached
run 0 "$label: detach" dmlive detach t/vm1 --persistent
finish
