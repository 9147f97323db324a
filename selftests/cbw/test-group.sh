#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Devices that are all suspended before the first is resumed have one point in time.
# Writes go to the second device when the first has acknowledged them; the backup of the
# second never has one that the backup of the first lacks.

. "$(dirname "$0")/cbw.sh"

readonly SIZE=$((8 * 2048 - 8))
declare -A origin target
for d in a b; do
	origin[$d]=$(make_disk 8) && target[$d]=$(make_disk 8) || bail "disks"
	dm_create $d "$(cbw_table $SIZE "${origin[$d]}" 128)" || bail "$d"
done

# session DEVICE FEATURE_WORD... - load it.
session()
{
	dmsetup load "$1" --table "$(cbw_table $SIZE "${origin[$1]}" 8 "${@:2}")" ||
		bail "load"
}

is_complete()
{
	[ "$(dm_status "$1" 1)" = complete ]
}

# group FIRST SECOND - suspend and resume in this order.
group()
{
	label="$1 before $2"
	for d in a b; do
		session $d target "${target[$d]}" job
	done
	dmsetup suspend "$1" && dmsetup suspend "$2" || bail "suspend"
	cp "$TMP/state" "$TMP/point"
	dmsetup resume "$1" && dmsetup resume "$2" || bail "resume"
	for d in a b; do
		dm_create v$d "0 $SIZE cbw-snapshot /dev/mapper/$d" || bail "view"
	done
	check_so "views are one point in time" \
		stamper check "$TMP/point" /dev/mapper/va 1 /dev/mapper/vb
	for d in a b; do
		check_so "$d completes" wait_until is_complete $d
	done
	check_so "so are the targets" \
		stamper check "$TMP/point" "${target[a]}" 1 "${target[b]}"
	dm_remove va
	dm_remove vb
	check_so "the guest still writes" is_running $guest
}

stamper write "$TMP/state" $RANDOM 4 4096 /dev/mapper/a /dev/mapper/b > "$TMP/guest" 2>&1 &
guest=$!
on_exit stop_process $guest
wait_until grep -q started "$TMP/guest" || bail "the guest does not start"
for ((round = 0; round < 2; round++)); do
	group a b
	group b a
done
label="at the end"
kill -TERM $guest
wait $guest
result $? "the guest had no error" || diag "$(cat "$TMP/guest")"
check_so "its data is there" stamper check "$TMP/state" /dev/mapper/a 1 /dev/mapper/b
finish
