#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# cbw is inserted into cached volumes in use and taken out again, also when the command
# is killed: write-back caches lose nothing, and their metadata are sound.

. "$(dirname "$0")/move-lib.sh"
require_target cache writecache
require_command cache_check lvcreate

disk=$(make_disk 64) && fast=$(make_disk 24) || bail "disks"
dm_create fast-meta "0 8192 linear $fast 0" || bail "metadata"
dm_create fast-data "0 32768 linear $fast 8192" || bail "data"
size=$(sectors "$disk")
modprobe -q dm-cache-smq
dm_create cached "0 $size cache /dev/mapper/fast-meta /dev/mapper/fast-data $disk 128 \
2 metadata2 writeback smq 2 migration_threshold 20480" || bail "cache"
take_volume cached
in_use 5 fails_late "killed attach 14 3" "killed detach 12 3"
tracks below
like "cache: it was used" "$(dmsetup status cached)" "rw -"
dm_remove cached
check "cache: its metadata are sound" cache_check /dev/mapper/fast-meta
dm_remove fast-data
dm_remove fast-meta

soil "$fast"
dd if=/dev/zero of="$fast" bs=1M count=1 oflag=direct status=none
dm_create wc "0 $size writecache s $disk $fast 4096 0" || bail "writecache"
take_volume wc
in_use 5 fails_late "killed attach 15 3" "killed detach 13 3"
tracks below
is "writecache: it has no error" "$(dmsetup status wc | cut -d ' ' -f 4)" 0

# lvm2 reloads it whenever it likes.
pv=$(make_loop 64) || bail "disk"
on_exit vgremove -q -f cvg
{ vgcreate -q cvg "$pv" && lvcreate -q -y -W n -L 16M -n vol cvg &&
	lvcreate -q -y --type cache-pool -L 8M -n fast cvg &&
	lvconvert -q -y --type cache --cachepool cvg/fast cvg/vol; } > lvm.log 2>&1 ||
	bail "LVM: $(cat lvm.log)"
run 3 "a cache of lvm2: refused" dmlive attach cvg/vol
says "the reason" "an lvm2 command that reloads it"
says "a way out" "lvconvert --splitcache"
says "the other way out" "--name NAME"
is "it is as it was" "$(dm_target cvg-vol)" cache
check "without its cache" lvconvert -q -y --uncache cvg/vol
run 0 "it is accepted" dmlive attach cvg/vol
run 0 "detach" dmlive detach cvg/vol
finish
