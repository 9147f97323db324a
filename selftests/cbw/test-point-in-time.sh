#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# The point in time is exact: a session keeps every write that was acknowledged before
# the suspend and none that was issued after the resume, during writes, discards and
# write-zeroes of all sizes, a job, readers and discards of views.

. "$(dirname "$0")/cbw.sh"

# In sectors; not a multiple of a block.
readonly SIZE=$((8 * 2048 - 8))

# next_point STORE FEATURE_WORD... - begin a new session of t, and make its view.
next_point()
{
	dmsetup reload t --table "$(cbw_table $SIZE "$origin" "$block" "$@")" &&
		dmsetup suspend t || bail "reload"
	cp "$TMP/state" "$TMP/point" || bail "copy of the state"
	dmsetup resume t || bail "resume"
	make_view || bail "view"
}

# reader_ends PID FILE DESCRIPTION
reader_ends()
{
	wait "$1"
	result $? "$label: $3"
	diag "$(cat "$2")"
}

with_job()
{
	local reader
	label="$name, job"
	next_point target "$target" job job_speed $((4 << 20))
	stamper check "$TMP/point" $V 3 > "$TMP/reader" 2>&1 &
	reader=$!
	on_exit stop_process $reader
	check_so "a reader sees the point in time" stamper check "$TMP/point" $V 2
	reader_ends $reader "$TMP/reader" "so do three at once"
	message job_speed 0
	check_so "the job completes" wait_until st_is 4 complete
	check_so "the target is the point in time" stamper check "$TMP/point" "$target" 1
	diag "$(dm_status t)"
	dm_remove v
}

with_release()
{
	local chunk=$((1 << 19))
	[ $((block * 512)) -le $chunk ] || chunk=$((block * 512))
	label="$name, fleece"
	next_point fleece "$target"
	check_so "readers see the point in time" stamper check "$TMP/point" $V 2
	check_so "so does one that releases" stamper release "$TMP/point" $V $chunk
	is_so "nothing is left in scope" "$(st 2)" 0/0
	is_so "no errors" "$(st 7)$(st 8)" 00
	dm_remove v
}

# points BLOCK LBS STRIPE_BYTES
points()
{
	local block=$1 guest
	name="blocks of $(($1 / 2)) KiB, sectors of $2, stripes of $3"
	label=$name
	origin=${origins[$2]} target=${targets[$2]}
	viewcheck "$target" - paint $RANDOM
	dm_create t "$(cbw_table $SIZE "$origin" "$block")" || bail "t"
	rm -f "$TMP/state" "$TMP/guest"
	stamper write "$TMP/state" $RANDOM 4 "$3" $T > "$TMP/guest" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	wait_until grep -q started "$TMP/guest" || bail "the guest does not start"
	with_release
	with_job
	label=$name
	check_so "the guest wrote all the time" is_running $guest
	kill -TERM $guest
	reader_ends $guest "$TMP/guest" "the guest had no error"
	check_so "its data is there" stamper check "$TMP/state" $T 1
	dm_remove t
}

declare -A origins targets
for lbs in 512 4096; do
	origins[$lbs]=$(make_disk 8 $lbs) && targets[$lbs]=$(make_disk 8 $lbs) || bail "disks"
done
points 8 512 20480
points 128 4096 20480
points 128 512 $((1044 * 1024))
points 4096 512 20480
finish
