#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A mounted file system is backed up: attach, backup, a killed backup, detach.
# only on: uml

. "$(dirname "$0")/backup-lib.sh"

# write_files - write files until it is stopped.
write_files()
{
	local i
	for ((i = 0; ; i++)); do
		dd if=/dev/urandom of="$TMP/mnt/$((i % 20))" bs=64k count=2 \
			conv=fsync status=none || exit 1
	done
}

disk=$(make_disk 24) || bail "disk"
make_linear lv "$disk" > /dev/null || bail "lv"
plain=$(dmsetup table lv)
mkfs.ext4 -q /dev/mapper/lv || bail "mkfs"
mkdir mnt
mount /dev/mapper/lv mnt || bail "mount"
on_exit sh -c "! mountpoint -q $TMP/mnt || umount $TMP/mnt"
write_files &
writer=$!
on_exit stop_process $writer

run 3 "without cbw it is refused" dmlive backup lv lv.qcow2
says "the way out" "dmlive attach lv"
run 0 "attach" dmlive attach lv
before[lv]=$(dmsetup table lv)
for i in 1 2 3; do
	run 0 "backup $i" dmlive backup lv lv.qcow2 --force --compression zstd
	check "backup $i: the image is right" qemu-img check -q lv.qcow2
	qemu-img convert -O raw lv.qcow2 lv.raw
	check "backup $i: the file system is clean" e2fsck -fn lv.raw
	is_idle lv "backup $i"
done
rm lv.raw

# Another program replaces the table meanwhile, as lvm2 does to extend a volume. Its table
# stays, also when the backup was killed.
other=$(make_disk 24) || bail "disk"
inner=$(dm_number lv-dmlive)
start_backup lv lv.raw
dm_reload lv "$plain" || bail "reload"
ends 4 "another table under a backup"
says "the reason" "session is gone"
is "the new table stays" "$(dmsetup table lv)" "$plain"
is "no view is left" "$(dmsetup ls | grep -c dmlive-view)" 0
is "nothing is left in /run" "$(find /run/dmlive -name 'lv.*')" ""
dm_reload lv "${before[lv]}" || bail "reload"
start_backup lv lv.raw
kill -KILL $backup
wait $backup 2> /dev/null
dm_reload lv "$plain" || bail "reload"
dmsetup remove "$(dmsetup ls | awk '/dmlive-view/ { print $1 }')" || bail "view"
dm_reload lv "0 $(sectors "$disk") cbw $inner - 128 2 fleece $other" || bail "reload"
run 3 "another program's session, after a backup was killed" dmlive backup lv lv.raw
is "it continues" "$(dm_status lv 1)" active
dm_reload lv "${before[lv]}" || bail "reload"
is_idle lv "after other tables"

start_backup lv lv.raw
check_fails "detach under a backup is refused" dmlive detach lv
kill -KILL $backup
wait $backup 2> /dev/null
check "a killed backup leaves its session" [ "$(dm_status lv 1)" = active ]
run 0 "detach" dmlive detach lv
says "it reports the remains" "lv.raw was interrupted"
is "the device has its own table" "$(dmsetup table lv)" "$plain"
is "no view is left" "$(dmsetup ls | grep -c dmlive-view)" 0
is "nothing is left in /run" \
	"$(find /run/dmlive -name 'lv.*')" ""
check "no partial image is left" [ ! -e lv.raw.partial ]

check "the file system is written to" is_running $writer
stop_process $writer
# The last command of the writer may still be running.
check "and can be unmounted" wait_until umount mnt
check "and is clean" e2fsck -fn /dev/mapper/lv
finish
