#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# cbw is inserted into volumes of several segments, linear and striped, and into mirrors
# that need no dmeventd, in use, and taken out again.

. "$(dirname "$0")/move-lib.sh"
require_target mirror

one=$(make_disk 32) && two=$(make_disk 32) && three=$(make_disk 32) || bail "disks"
dm_create segments "0 16384 linear $one 0
16384 32768 striped 2 128 $one 16384 $two 0
49152 16384 linear $two 16384
65536 8192 linear $one 32768" || bail "segments"
take_volume segments
in_use 5
tracks below

synced()
{
	dmsetup status m | grep -q ' 48/48 '
}

for log in "core 2 1024 nosync" "disk 2 $three 1024"; do
	one=$(make_disk 24) && two=$(make_disk 24) || bail "disks"
	dm_create m "0 49152 mirror $log 2 $one 0 $two 0" || bail "mirror"
	wait_until -t 60 synced || bail "mirror: $(dmsetup status m)"
	take_volume m
	in_use 3 "killed detach 30"
	has_plain "mirror, ${log%% *} log"
	dm_remove m
	blockdev --flushbufs "$one" "$two"
	check "mirror, ${log%% *} log: both legs hold the same" cmp -n $((49152 * 512)) "$one" "$two"
done
dm_create m "0 49152 mirror core 2 1024 nosync 2 $one 0 $two 0 1 handle_errors" || bail "mirror"
run 3 "a mirror that dmeventd must watch: refused" dmlive attach m
says "the reason" "dmeventd"
says "the way out" "--type raid1"
dm_remove m
finish
