#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml uml-udev
#
# cbw is inserted into an active logical volume under a mounted, busy file system and
# taken out again. lvm2 works on the volume before, during and after that. Changes by lvm2
# to an attached volume end the attachment and lose nothing.

. "$(dirname "$0")/attach-lib.sh"
require_command lvcreate mkfs.ext4 fsck.ext4

pv=$(make_loop 160) || bail "disk"
{ vgcreate -q tvg "$pv" && lvcreate -q -y -W n -L 64M -n vol tvg; } > lvm.log 2>&1 ||
	bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f tvg
mkfs.ext4 -q /dev/tvg/vol || bail "ext4"
mkdir mnt && mount /dev/tvg/vol mnt || bail "mount"
on_exit umount "$TMP/mnt"
: > "$TMP/fio-rounds"

lvm_works()
{
	check "$1: lvs" lvs tvg/vol
	check "$1: vgscan" vgscan
	is "$1: lvm2 takes no inner device for a volume" \
		"$(pvs --noheadings -o pv_name 2> /dev/null | tr -d ' \n')" "$pv"
	check "$1: lvchange" lvchange --addtag "t$RANDOM" tvg/vol
	is "$1: its node" "$(blkid -o value -s TYPE /dev/tvg/vol)" ext4
}

inner_count()
{
	dmsetup ls | grep -c dmlive
}

# write_file NAME - write 2 MiB, and record the checksum in sums.
write_file()
{
	head -c 2M /dev/urandom > "mnt/$1" && (cd mnt && sha256sum "$1") >> sums
}

write_file before
start_verify mnt/fio --size=24M
next_round
run 0 "attach GROUP/VOLUME" dmlive attach tvg/vol
is "cbw" "$(dm_target tvg-vol)" cbw
for device in tvg-vol tvg/vol /dev/tvg/vol; do
	is "status of $device" "$(dmlive status $device --json | jq -r .name)" tvg-vol
done
run 3 "status of another device: refused" dmlive status "$pv"
says "and why" "$pv is not a mapped device"
run 1 "status of no device: refused" dmlive status tvg/none
says "and why" "tvg/none"
run 3 "bitmaps by its path: none" dmlive bitmap list tvg/vol
says "it reports that there are none" "tvg-vol"
next_round
result $? "I/O continues"
write_file meanwhile
lvm_works "attached"
like "its UUID is the volume's" "$(dmsetup info -c --noheadings -o uuid tvg-vol)" "^LVM-.{64}$"
run 0 "detach by path" dmlive detach /dev/tvg/vol
is "linear" "$(dm_target tvg-vol)" linear
write_file after
for ((i = 0; i < 10; i++)); do
	dmlive attach tvg-vol > "$out" 2> "$err" &&
		dmlive detach tvg/vol > "$out" 2> "$err" || break
done
is "again and again" $i 10 || diag "$(cat "$out" "$err")"
stop_verify
result $? "the guest reads what it wrote" || diag "$(tail -n 20 "$TMP/fio")"
check "files" sh -c "cd mnt && sha256sum --quiet -c ../sums"
lvm_works "detached"
is "no inner device is left" "$(inner_count)" 0

# While an lvm2 command has the lock of the group, dmlive loads no table. Tables loaded by
# lvm2 meanwhile stay.
plain=$(dmsetup table tvg-vol)
is_made()
{
	[ "$(inner_count)" = 1 ]
}
for loaded in '' "$plain"; do
	mkdir -p /run/lock/lvm
	exec {lock}>> /run/lock/lvm/V_tvg
	flock -x $lock || bail "flock"
	dmlive attach tvg/vol > "$out" 2> "$err" {lock}>&- &
	attach=$!
	wait_until is_made || bail "not made: $(cat "$err")"
	is "while lvm2 runs: no table" "$(dmsetup info -c --noheadings -o tables_loaded tvg-vol)" \
		Live
	[ -z "$loaded" ] || dmsetup load tvg-vol --table "$loaded" || bail "load"
	exec {lock}>&-
	wait $attach
	is "lvm2 has run${loaded:+, and has loaded a table}" $? "$([ -z "$loaded" ]; echo $(($? * 3)))"
	if [ -z "$loaded" ]; then
		run 0 "detach" dmlive detach tvg/vol
		continue
	fi
	says "the reason" "someone else is changing it"
	is "its table stays" "$(dmsetup table --inactive tvg-vol)" "$loaded"
	check "cleared" dmsetup clear tvg-vol
	is "no inner device" "$(inner_count)" 0
done

# Changes that lvm2 makes by itself.
run 0 "attach" dmlive attach tvg/vol
check "lvextend" lvextend -q -L +8M tvg/vol
is "it has ended the attachment" "$(dm_target tvg-vol)" linear
run 0 "detach removes what is left" dmlive detach tvg/vol
is "that is, the inner device" "$(inner_count)" 0
run 0 "attach" dmlive attach tvg/vol
check "refresh" lvchange --refresh tvg/vol
run 0 "attach again" dmlive attach tvg/vol
check "rename" lvrename -q tvg/vol tvg/vol2
run 0 "detach under the new name" dmlive detach tvg/vol2
is "no inner device" "$(inner_count)" 0
check "rename back" lvrename -q tvg/vol2 tvg/vol
check "files" sh -c "cd mnt && sha256sum --quiet -c ../sums"

run 0 "attach" dmlive attach tvg/vol
check "unmount" umount mnt
check "deactivate" lvchange -an tvg/vol
is "the inner device is removed with it" "$(inner_count)" 0
check "activate" lvchange -ay tvg/vol
check "file system" fsck.ext4 -fn /dev/tvg/vol
mount /dev/tvg/vol mnt || bail "mount"
check "files" sh -c "cd mnt && sha256sum --quiet -c ../sums"
run 0 "attach" dmlive attach tvg/vol
check "snapshot by lvm2" lvcreate -q -y -s -L 8M -n snap tvg/vol
run 3 "its origin cannot be attached" dmlive attach tvg/vol
says "the reason" "snapshot-origin"
run 3 "nor can an inner part of a volume" dmlive attach tvg-vol-real
says "the reason" "inner part"
check "snapshot removed" lvremove -q -f tvg/snap
run 0 "detach removes what is left" dmlive detach tvg/vol
is "no inner device" "$(inner_count)" 0
finish
