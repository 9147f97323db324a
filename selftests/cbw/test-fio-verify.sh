#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# fio reads back its own data while sessions of all kinds begin, end, are cancelled and
# are reloaded under it.

. "$(dirname "$0")/cbw.sh"
require_command fio

readonly SIZE=$((24 * 2048)) ROUNDS=${ROUNDS:-2}
origin=$(make_disk 24) && target=$(make_disk 24) || bail "disks"

# session FEATURE_WORD... - begin a session; without words, end it.
session()
{
	dm_reload t "$(cbw_table $SIZE "$origin" "$block" "$@")"
}

one_round()
{
	local block=$1
	label="blocks of $(($1 / 2)) KiB"
	check_so "a job" session target "$target" job
	check_so "completes" wait_until st_is 4 complete
	check_so "a fleece device, with a view" session fleece "$target"
	make_view || bail "view"
	check_so "the view releases all" blkdiscard -f $V
	is_so "all of it" "$(st 2)" 0/0
	dm_remove v
	check_so "no session" session
	check_so "a session" session target "$target" job job_speed 100000
	check_so "suspended without a flush" dmsetup suspend --noflush t
	dmsetup resume t
	check_so "cancelled" message session cancel
	check_so "linear" dm_reload t "0 $SIZE linear $origin 0"
	check_so "another session" session target "$target" job job_speed 100000
	check_so "another after that" session target "$target" on_cbw_error break_snapshot
}

dm_create t "$(cbw_table $SIZE "$origin" 128)" || bail "t"
fio --name=verify --filename=$T --rw=randwrite --bsrange=4k-256k --bs_unaligned=0 \
	--blockalign=4k --direct=1 --ioengine=libaio --iodepth=16 --size=24M \
	--loops=100000 --verify=crc32c --verify_backlog=64 --verify_fatal=1 \
	--time_based --runtime=600 --serialize_overlap=1 --norandommap \
	> "$TMP/fio" 2>&1 &
fio=$!
on_exit stop_process $fio
for ((round = 0; round < ROUNDS; round++)); do
	for block in 8 128 4096; do
		one_round $block
	done
done
label="fio"
check_so "is at it still" is_running $fio
kill -INT $fio
wait $fio
status=$?
# 128: ended by the signal.
is_so "verified all its data" "$((status & ~128))$(grep -o 'err=[ 0-9]*' "$TMP/fio")" \
	"0err= 0" || diag "$(cat "$TMP/fio")"
finish
