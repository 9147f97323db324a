#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# On a logical volume with a mounted ext4: a session whose fleece device is a logical
# volume of the same group, and a job to another one, give a clean file system, also when
# the volume below is suspended and extended meanwhile.

. "$(dirname "$0")/cbw.sh"
require_command lvcreate mkfs.ext4 e2fsck

lvm_quiet()
{
	"$@" > "$TMP/lvm" 2>&1 || bail "$*: $(cat "$TMP/lvm")"
}

readonly SIZE=$((32 * 2048)) MNT=$TMP/mnt BACKUP=$TMP/backup
mkdir "$MNT" "$BACKUP"
disk=$(make_loop 128) || bail "disk"	# LVM does not accept null_blk
lvm_quiet vgcreate -q -s 1M tvg "$disk"
on_exit vgremove -q -ff -y tvg
lvm_quiet lvcreate -q -y -W n -L 32M -n vm tvg
lvm_quiet lvcreate -q -y -W n -L 8M -n fleece tvg
lvm_quiet lvcreate -q -y -W n -L 32M -n backup tvg
readonly ORIGIN=/dev/tvg/vm

load()
{
	local i
	for ((i = 0; ; i++)); do
		dd if=/dev/urandom of="$MNT/load.$((i % 5))" bs=16K count=$((RANDOM % 50)) \
			conv=fsync status=none || break
	done
}

session()
{
	dm_reload t "$(cbw_table $SIZE $ORIGIN 128 "$@")" || bail "session"
}

# synced NUMBER - write a file that a backup must have.
synced()
{
	dd if=/dev/urandom of="$MNT/synced" bs=64K count=20 conv=fsync status=none
	cp "$MNT/synced" "$TMP/synced"
}

is_clean()
{
	check_so "is clean" e2fsck -fn "$1"
	check_so "mounts" mount -o ro,noload "$1" "$BACKUP"
	check_so "has the synced data" cmp "$BACKUP/synced" "$TMP/synced"
	umount "$BACKUP"
}

dm_create t "$(cbw_table $SIZE $ORIGIN 128)" || bail "t"
mkfs.ext4 -q $T && mount $T "$MNT" || bail "file system"
on_exit unmount
load > "$TMP/load" 2>&1 &
load=$!
on_exit stop_process $load

label="fleece"
synced
session fleece /dev/tvg/fleece
rm "$MNT/synced"
make_view || bail "view"
is_clean $V
check_so "the volume below can be extended" lvextend -q -L +8M tvg/vm
is_clean $V
is_so "active, no errors" "$(st 1)$(st 7)$(st 8)" active00
dm_remove v

label="job"
synced
session target /dev/tvg/backup job
rm "$MNT/synced"
check_so "the volume of the target can be suspended" dmsetup suspend tvg-backup
dmsetup resume tvg-backup
check_so "completes" wait_until st_is 4 complete
session
is_clean /dev/tvg/backup

label="at the end"
check_so "the load continued" is_running $load
stop_process $load
check_so "unmount" unmount
check_so "clean" e2fsck -fn $T
dm_remove t
finish
