#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A dead metadata device never leaves a device suspended: not at a resume, with another
# table, or at the start or end of a session. on_meta_error decides what can be written
# then. When the metadata device is back it lacks no change.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((64 * 2048)) REGION=16777216
origin=$(make_painted 64) && disk=$(make_meta $SIZE B:64K:auto dmlive-intent:16M) &&
	meta=$(make_linear m "$disk") && fleece=$(make_disk 64) || bail "disks"
cp "$TMP/meta.new" "$TMP/fresh"

table()
{
	track_table $SIZE "$origin" "$meta" 128 on_meta_error "$policy" "$@"
}

# begin LABEL POLICY - t on new metadata.
begin()
{
	label="$1, $2" policy=$2
	write_meta "$TMP/fresh" "$disk"
	dm_create t "$(table)" || bail "t"
}

end()
{
	dm_remove t
	dm_remove v
}

dies()
{
	break_device m "$disk" 0 "$(sectors "$disk")"
}

is_back()
{
	repair_device m "$disk"
	check_so "a resume with it" eval "dmsetup suspend t && dmsetup resume t"
	is_so "the metadata is good" "$(tracking state)" rw
}

# goes_on DESCRIPTION yes|no - reads work; writes do, or do not.
goes_on()
{
	is_so "$1: the metadata has failed" "$(tracking state)" failed
	check_so "$1: a read" reads $T 8192 4096
	if [ "$2" = yes ]; then
		check_so "$1: a write" dd_write $T $((2 * REGION)) 4096
		check_so "$1: a discard" blkdiscard -o $((3 * REGION)) -l 1048576 $T
	else
		check_fails "$label: $1: no write" dd_write $T $((2 * REGION)) 4096
		check_fails "$label: $1: no discard" blkdiscard -o $((3 * REGION)) -l 1048576 $T
	fi
	check_so "$1: a flush" sync $T
	check_fails "$label: $1: no message" message bitmap clear B
}


# Write to the metadata now, since without the intent bitmap that would happen late.
is_noticed()
{
	check_fails "$label: a message notices it" message bitmap clear B
}

reads()
{
	dd_read "$@" > /dev/null
}

# It dies while t is suspended, and is marked as closed.
closed()
{
	local before
	begin "closed" "$1"
	check_so "a write" dd_write $T 4096 4096
	before=$(events)
	dmsetup suspend t
	dies
	check_so "a resume" dmsetup resume t
	check_so "an event" wait_until events_above "$before"
	goes_on "resumed" no
	check_so "the same table" dm_reload t "$(table)"
	goes_on "with the same table" no
	is_back
	is_so "B" "$(tracking B)" "recording 1"
	is_so "nothing to be recovered" "$(tracking recovered)" 0
	end
}

# It dies in use: with or without a record of the regions that may have changed.
at_work()
{
	local writes=$2 all=$3
	begin "in use" "$1"
	check_so "a write" dd_write $T 4096 4096
	read_meta "$disk"
	is_so "in use" "$(flags_of B)" "auto in-use"
	dies
	check_so "a write to what is open" dd_write $T 8192 4096
	if [ "$writes" = yes ]; then
		check_so "a write elsewhere" dd_write $T $REGION 4096
		is_noticed
	else
		check_fails "$label: no write elsewhere" dd_write $T $REGION 4096
	fi
	goes_on "before a suspend" "$writes"
	check_so "suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	goes_on "resumed" "$writes"
	check_so "the same table" dm_reload t "$(table)"
	goes_on "with the same table" "$writes"
	check_so "once more" dm_reload t "$(table)"
	goes_on "with the same table again" "$writes"
	is_back
	is_so "B has all that may have changed" "$(tracking B)" "recording $all"
	end
}

# It dies during a session, which continues and can be ended.
in_session()
{
	local writes=$2
	begin "in a session" "$1"
	check_so "a session" dm_reload t "$(table fleece "$fleece" on_cbw_error break_snapshot)"
	make_view || bail "view"
	dd_write $T 4096 4096 || bail "write"
	dies
	dd_write $T $REGION 4096 2> /dev/null
	is_noticed
	is_so "the session is active" "$(st 1)" active
	check_so "the view can be read" reads $V 4096 4096
	dm_remove v
	check_so "its end" dm_reload t "$(table)"
	is_so "it has ended" "$(st 1)" none
	goes_on "after it" "$writes"
	is_back
	end
}

# A session on a bitmap cannot begin, since its scope is not known.
on_a_bitmap()
{
	begin "a session on a bitmap" "$1"
	dies
	table bitmap B fleece "$fleece" > "$TMP/table"
	check_fails "$label: no such table" dmsetup load t "$TMP/table"
	is_so "not suspended" "$(dmsetup info -c --noheadings -o suspended t)" Active
	repair_device m "$disk"
	check_so "the table, when it is back" dmsetup load t "$TMP/table"
	dies
	check_so "the resume, when it is not" eval "dmsetup suspend t && dmsetup resume t"
	is_so "the session is broken" "$(st 1)" broken
	check_fails "$label: it has no view" make_view
	check_so "reads go on" reads $T 4096 4096
	check_fails "$label: no commit" message backup commit B 4711
	check_so "its end" dm_reload t "$(table)"
	is_back
	end
}

# The first table requires its metadata; a table without metadata can replace it.
first_and_last()
{
	begin "first and last" "$1"
	dies
	check_so "a table without tracking" dm_reload t "0 $SIZE cbw $origin - 128"
	check_so "a write" dd_write $T 4096 4096
	table > "$TMP/table"
	check_fails "$label: no table with it" dmsetup load t "$TMP/table"
	repair_device m "$disk"
	check_so "the table, when it is back" dmsetup load t "$TMP/table"
	dies
	dmsetup suspend t
	check_fails "$label: no first resume" dmsetup resume t
	repair_device m "$disk"
	check_so "a resume" dmsetup resume t
	dies
	check_so "removal" dmsetup remove t
	repair_device m "$disk"
	read_meta "$disk"
	is_sane "$label"
	end
}

closed break_guest_write
closed break_tracking
on_a_bitmap break_guest_write
first_and_last break_tracking
at_work break_guest_write no 256
at_work break_tracking yes 1024
in_session break_guest_write no
in_session break_tracking yes
dm_remove m
finish
