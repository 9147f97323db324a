#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# In every state of session and job, while the guest writes, the device can be suspended,
# reloaded and removed by force. The state does not change, the guest continues, and a
# later session is right.

. "$(dirname "$0")/cbw.sh"

# The guest uses a device of its own, on the part before the hole of the target.
readonly SIZE=$((8 * 2048)) GUEST_SIZE=$((6 * 2048)) F=/dev/mapper/f
origin=$(make_disk 8) && disk=$(make_disk 8) || bail "disks"
make_linear g "$disk" > /dev/null || bail "linear"
readonly G=/dev/mapper/g

start_guest()
{
	rm -f "$TMP/state" "$TMP/guest"
	stamper write "$TMP/state" $RANDOM 2 20480 $F > "$TMP/guest" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	wait_until grep -q started "$TMP/guest" || bail "the guest does not start"
}

# session FEATURE_WORD... - begin it, and keep a copy of what it must have.
session()
{
	dmsetup load t --table "$(cbw_table $SIZE "$origin" 8 "$@")" &&
		dmsetup suspend t || bail "load"
	cp "$TMP/state" "$TMP/point"
	dmsetup resume t || bail "resume"
}

# into STATE - begin a session of t and bring it, or its job, into that state.
into()
{
	local words=(target "$G")

	case $1 in
	stopped)	words+=(on_target_error stop) ;;
	running|paused|cancelled)
			words+=(job_speed 65536) ;;
	esac
	session "${words[@]}"
	case $1 in
	stopped|failed)	break_device g "$disk" $((7 * 2048)) 8 ;;
	esac
	case $1 in
	active)		;;
	broken)		message session cancel ;;
	*)		message job start ;;
	esac
	case $1 in
	paused)		message job pause ;;
	cancelled)	message job cancel ;;
	esac
	wait_until in_state "$1" || bail "not $1: $(dm_status t)"
}

in_state()
{
	case $1 in
	active)		[ "$(st 1) $(st 4)" = "active none" ] ;;
	broken)		[ "$(st 1) $(st 4)" = "broken none" ] ;;
	complete)	[ "$(st 1) $(st 4)" = "complete complete" ] ;;
	*)		[ "$(st 1) $(st 4)" = "active $1" ] ;;
	esac
}

# view_says STATE - the view returns the right data or fails reads.
view_says()
{
	if [ "$1" = broken ]; then
		check_fails "$label: the view fails" stamper check "$TMP/point" $V 1
	else
		check_so "the view is right" stamper check "$TMP/point" $V 1
	fi
}

one_state()
{
	label=$1
	into "$1"
	# A view can also be made of a broken session.
	make_view || bail "view"
	check_so "suspend" dmsetup suspend t
	dmsetup resume t
	check_so "suspend without a flush" dmsetup suspend --noflush t
	dmsetup resume t
	check_so "is as it was" in_state "$1"
	view_says "$1"
	dm_remove v
	repair_device g "$disk"

	session target $G
	make_view || bail "view"
	is_so "a new session" "$(st 1) $(st 4)" "active none"
	view_says active
	dm_remove v

	into "$1"
	check_so "no session" dm_reload t "$(cbw_table $SIZE "$origin" 8)"
	is_so "is none" "$(st 1)" none
	repair_device g "$disk"
	check_so "the guest still writes" is_running $guest
}

# by_force STATE - the device is open, so removal by force gives it a table of errors.
by_force()
{
	label="$1, removed by force"
	into "$1"
	make_view || bail "view"
	dmsetup remove --force t > /dev/null 2>&1
	check_so "the guest gets an error" wait_until has_ended $guest
	wait $guest
	check_fails "$label: so does the view" stamper check "$TMP/point" $V 1
	dm_remove v
	repair_device g "$disk"
	check_so "the device can be used again" \
		dm_reload t "$(cbw_table $SIZE "$origin" 8)"
	start_guest
}

viewcheck "$disk" - paint $RANDOM
dm_create t "$(cbw_table $SIZE "$origin" 8)" || bail "t"
dm_create f "0 $GUEST_SIZE linear $T 0" || bail "f"
start_guest
for state in active running paused stopped failed cancelled complete broken; do
	one_state $state
done
for state in active running stopped broken; do
	by_force $state
done
label="at the end"
kill -TERM $guest
wait $guest
result $? "the guest had no error"
dm_remove f
finish
