#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A group backup of a file system and the device with its journal, which is suspended
# first, does not wait for itself. On kernels before 6.8 it could hang for ever.

. "$(dirname "$0")/backup-lib.sh"
require_command mkfs.ext4 dumpe2fs

make_guest a 8
make_guest z 8
{ mke2fs -q -F -b 4096 -O journal_dev /dev/mapper/z &&
	mke2fs -q -F -t ext4 -b 4096 -J device=/dev/mapper/z /dev/mapper/a; } || bail "mkfs"
mkdir mnt && mount -t ext4 /dev/mapper/a mnt || bail "mount"
on_exit umount "$TMP/mnt"
for order in "z z.raw a a.raw" "a a.raw z z.raw"; do
	echo $RANDOM > mnt/new
	# shellcheck disable=SC2086
	dmlive backup $order --force > "$out" 2> "$err" < /dev/null &
	backup=$!
	wait_until -t 60 has_ended $backup ||
		{ not_ok "$order: it waits for itself"; dmsetup resume z; dmsetup resume a; }
	ends 0 "$order"
	is "$order: frozen" "$(dumpe2fs -h a.raw 2> /dev/null | grep -c needs_recovery)" 0
done
is_idle a "in the end"
is_idle z "in the end"
finish
