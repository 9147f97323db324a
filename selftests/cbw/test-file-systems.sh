#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The backup of a busy, mounted file system is clean, since the suspend freezes it, and
# has all data that was synced before. Both for the job's target and for a copy of the
# view, with ext4 and xfs.

. "$(dirname "$0")/cbw.sh"
require_command fio mkfs.ext4 e2fsck

readonly MNT=$TMP/mnt BACKUP=$TMP/backup
mkdir "$MNT" "$BACKUP"

mkfs_ext4()
{
	mkfs.ext4 -q -b 4096 "$1"
}

fsck_ext4()
{
	e2fsck -fn "$1" && ! dumpe2fs -h "$1" 2> /dev/null | grep -q needs_recovery
}

mkfs_xfs()
{
	mkfs.xfs -q -f "$1"
}

# A frozen xfs leaves its log dirty on purpose; a mount replays it.
fsck_xfs()
{
	[ "$1" = $T ] || { mount -o nouuid "$1" "$BACKUP" && umount "$BACKUP"; } &&
		xfs_repair -n "$1"
}

# Keep the file system busy: create, extend, rename and remove files.
disturb()
{
	local i=0
	while [ ! -e "$TMP/quiet" ]; do
		mkdir -p "$MNT/busy/$((i % 7))"
		head -c $((RANDOM * 4)) /dev/urandom > "$MNT/busy/$((i % 7))/$((i % 31))"
		[ $((i % 3)) -ne 0 ] || mv "$MNT/busy/$((i % 7))/$((i % 31))" \
			"$MNT/busy/renamed$((i % 11))"
		[ $((i % 5)) -ne 0 ] || rm -rf "$MNT/busy/$((i % 7))"
		i=$((i + 1))
	done
}

start_load()
{
	rm -f "$TMP/quiet"
	disturb > "$TMP/disturb" 2>&1 &
	load=$!
	on_exit stop_process $load
	fio --name=load --directory="$MNT" --size=8M --rw=randrw --bsrange=512-64k \
		--fsync=32 --numjobs=2 --time_based --runtime=120 \
		--output="$TMP/fio" > /dev/null 2>&1 &
	fio=$!
	on_exit stop_process $fio
	wait_until test -e "$MNT/load.1.0" -a -e "$MNT/busy" || bail "no load"
}

end_load()
{
	check_so "the load ran all the time" is_running $fio
	kill -TERM $fio
	touch "$TMP/quiet"
	wait $fio
	wait $load
	is_so "the load met no error" "$(cat "$TMP/disturb")$(grep -o 'err=[^0].*' "$TMP/fio" |
		grep -v 'err= 0')" ''
}

# is_good KIND DEVICE WHAT - check a backup without replaying its log.
is_good()
{
	check_so "$3 can be mounted read-only, without a replay" mount \
		-o "ro,${norecovery[$1]}" "$2" "$BACKUP" || return
	(cd "$BACKUP" && sha256sum --quiet -c) < "$TMP/sums" > "$TMP/sums.result" 2>&1
	result $? "$label: data that was synced before is in $3" || diag "$(cat "$TMP/sums.result")"
	check_so "all files of $3 can be read" \
		find "$BACKUP" -type f -exec sha256sum {} +
	umount "$BACKUP"
}

# synced_files NUMBER
synced_files()
{
	local i
	for ((i = 0; i < 5; i++)); do
		dd if=/dev/urandom of="$MNT/synced.$1.$i" bs=32K count=$((i * 3 + 1)) \
			conv=fsync status=none || bail "synced files"
	done
	(cd "$MNT" && sha256sum synced.*) > "$TMP/sums"
}

# session FEATURE_WORD... - begin a session under load; without words, end it.
session()
{
	dm_reload t "$(cbw_table $SIZE "$origin" 128 "$@")" || bail "session"
}

one_kind()
{
	label=$1
	viewcheck "$target" - paint 1
	dm_create t "$(cbw_table $SIZE "$origin" 128)" || bail "t"
	mkfs_$1 $T > "$TMP/mkfs" 2>&1 || bail "mkfs: $(cat "$TMP/mkfs")"
	mount $T "$MNT" || bail "mount"
	on_exit unmount
	start_load

	synced_files 1
	label="$1, job"
	session target "$target" job
	rm -f "$MNT"/synced.*
	check_so "completes" wait_until st_is 4 complete
	session
	is_good "$1" "$target" "the target"
	check_so "the target is clean" fsck_$1 "$target"

	synced_files 2
	label="$1, view"
	session fleece "$target"
	rm -f "$MNT"/synced.*
	make_view || bail "view"
	is_good "$1" $V "the view"
	check_so "a copy of the view" dd if=$V of="$copy" bs=1M iflag=direct oflag=direct \
		status=none
	is_good "$1" "$copy" "the copy"
	check_so "the copy is clean" fsck_$1 "$copy"
	is_so "no errors" "$(st 7)$(st 8)" 00

	label=$1
	end_load
	check_so "unmount" umount "$MNT"
	check_so "the file system itself is clean" fsck_$1 $T
	dm_remove v
	dm_remove t
}

declare -A norecovery=([ext4]="noload" [xfs]="norecovery,nouuid")
MIB=64
for kind in ext4 xfs; do
	# The smallest size that mkfs.xfs accepts.
	[ $kind = ext4 ] || MIB=320
	SIZE=$((MIB * 2048))
	if ! command -v mkfs.$kind > /dev/null; then
		skip "$kind" "no mkfs.$kind"
		continue
	fi
	grep -qw $kind /proc/filesystems || modprobe -q $kind || {
		skip "$kind" "not in this kernel"
		continue
	}
	origin=$(make_disk $MIB) && target=$(make_disk $MIB) && copy=$(make_disk $MIB) ||
		bail "disks"
	one_kind $kind
done
finish
