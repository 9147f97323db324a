#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# With /run/dmlive full or read-only, no command begins, and a message says why; commands
# that take dmlive away from a device still work. A file that would exceed ulimit -f is
# an error, not a signal.

. "$(dirname "$0")/backup-lib.sh"

make_linear l "$(make_disk 8)" > /dev/null || bail "l"
plain=$(dmsetup table l)
mkdir -p /run/dmlive
: >> /run/dmlive-devices.lock
on_exit sh -c "! mountpoint -q /run/dmlive || umount /run/dmlive"
on_exit sh -c "umount /run/dmlive-devices.lock 2> /dev/null; true"

declare -A limits=([full]=nr_inodes=1 [read-only]=ro)
declare -A reasons=([full]="No space left on device" [read-only]="Read-only file system")
for state in full read-only; do
	run 0 "attach" dmlive attach l
	before[l]=$(dmsetup table l)
	start_backup l l.raw --force
	mount -t tmpfs -o "${limits[$state]}" none /run/dmlive || bail "mount"
	ends 0 "$state: a backup that runs ends"
	check_fails "$state: the record is not worth a word by then" grep -F l.backup "$err"
	is "$state: its session too" "$(dmsetup table l)" "${before[l]}"
	run 1 "$state: none begins" dmlive backup l l.raw --force
	says "$state: the reason" "${reasons[$state]}"
	if [ $state = read-only ]; then
		mount --bind /run/dmlive-devices.lock /run/dmlive-devices.lock &&
			mount -o remount,ro,bind /run/dmlive-devices.lock || bail "bind"
	fi
	run 0 "$state: detach" dmlive detach l
	is "$state: its own table" "$(dmsetup table l)" "$plain"
	umount /run/dmlive
done
umount /run/dmlive-devices.lock
rm -f /run/dmlive/*

# There is space for one page: the lock.
run 0 "attach" dmlive attach l
mount -t tmpfs -o size=4k none /run/dmlive || bail "mount"
run 1 "no room for the record" dmlive backup l l.raw --force
says "no room for the record: the reason" "/run/dmlive/l.backup.*No space left on device"
umount /run/dmlive
fleece=$(make_disk 4)
(ulimit -f 64; exec dmlive backup l l.raw --force --fleece "$fleece") > "$out" 2> "$err"
is "ulimit -f: the status" $? 1
says "ulimit -f: the reason" "File too large"
run 0 "detach" dmlive detach l
finish
