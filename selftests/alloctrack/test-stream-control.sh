#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Streaming starts, pauses, resumes, ends and keeps its speed limit as ordered. The
# status line shows its states, and the end raises an event.

. "$(dirname "$0")/alloctrack.sh"

readonly MIB=4 BLOCKS=64
readonly SIZE=$((MIB * 2048))
file=$(make_painted stale $MIB) || bail "file"
backing=$(make_painted backing $MIB) || bail "backing"

# Nothing is in flight after a suspend: if more is copied, it is copied later.
does_nothing()
{
	local before
	dmsetup suspend t
	dmsetup resume t
	before=$(at_allocated t)
	mirrored "$1: I/O works" --verify
	is "$1: nothing is streamed" "$(at_allocated t)" "$before"
}

refused()
{
	check_fails "$2 is refused while $1" message t stream "$2"
	is "it is still $1" "$(at_status t 2)" "$1"
}

told()
{
	check "$1" message t stream "$1"
	is "now it is $2" "$(at_status t 2)" "$2"
}

by_message()
{
	local before nr waiter

	at_create t $SIZE "$file" "$backing" 128
	reads_as "reads as its backing" "$backing"
	is "at first it is idle" "$(at_status t 1 7)" "none idle 0/$BLOCKS 128 0 0 0"
	refused idle pause
	refused idle resume
	refused idle cancel
	does_nothing "idle"

	message t stream_speed 500000
	told start running
	refused running start
	check "it makes progress" wait_until allocated_above t 0

	told pause paused
	refused paused start
	does_nothing "paused"

	before=$(at_allocated t)
	told resume running
	check "it continues" wait_until allocated_above t "$before"

	told cancel cancelled
	refused cancelled resume
	refused cancelled pause
	does_nothing "cancelled"

	nr=$(dmsetup info -c --noheadings -o events t)
	dmsetup wait t "$nr" > /dev/null &
	waiter=$!
	on_exit stop_process $waiter
	told start running
	check "no speed limit" message t stream_speed 0
	check "the end raises an event" wait_until has_ended $waiter
	is "all data is there" "$(at_status t 1 7)" \
		"none complete $BLOCKS/$BLOCKS 128 $((MIB << 20)) 0 0"
	refused complete start
	refused complete pause
	mirrored "the content of the device" --verify
	at_remove t
	check "the content of the file" cmp "$file" "$MODEL"
}

# speed BYTES_PER_SECOND BLOCK FEATURE... - streaming takes at least the time that the
# limit implies, less that of one chunk: an eighth of a second's data, at least a block,
# at most 1 MiB.
speed()
{
	local start=$EPOCHREALTIME end chunk least_ms took_ms
	chunk=$(($1 / 8))
	[ $chunk -le 1048576 ] || chunk=1048576
	[ $chunk -ge $(($2 * 512)) ] || chunk=$(($2 * 512))
	least_ms=$(((SIZE * 512 - chunk) * 1000 / $1))
	at_create t $SIZE "$file" "$backing" "${@:2}"
	wait_until state_is t complete
	end=$EPOCHREALTIME
	took_ms=$(((${end/[.,]/} - ${start/[.,]/}) / 1000))
	[ $took_ms -ge $least_ms ]
	result $? "speed of $1: took $took_ms ms for $MIB MiB, at least $least_ms"
	at_remove t
}

# Blocks near a read of the backing are streamed first.
demand()
{
	local at=$((MIB * 3 / 4 << 20))
	paint stale "$file"
	at_create t $SIZE "$file" "$backing" 128 stream stream_speed 200000
	dd_read "$T" $at 4096 > /dev/null
	check "the blocks beside a read are streamed" wait_until has_backing $at
	[ "$(at_allocated t)" -lt $((BLOCKS / 2)) ]
	result $? "before the blocks below it"
	at_remove t
}

has_backing()
{
	dd_read "$file" "$1" 65536 | cmp -s -n 65536 -i "0:$1" - "$backing"
}

# features WORDS - what status and table must show.
features()
{
	local table
	is "the status shows: $1" "$(at_status t 8 20)" "$1"
	table=$(dmsetup table t)
	is "the table shows: $1" "${table#* - 128 }" "$1"
}

# Settings made by a message are shown, also in the table line that creates the device
# again.
shown()
{
	local line
	at_create t $SIZE "$file" "$backing" 128
	features "0"
	message t stream_speed 700000
	message t on_error stop
	features "4 stream_speed 700000 on_error stop"

	dm_reload t "$(at_table $SIZE "$file" "$backing" 128)" || bail "reload"
	features "4 stream_speed 700000 on_error stop"
	line=$(dmsetup table t)
	message t stream_speed 0
	message t on_error report
	features "0"
	dm_reload t "$(at_table $SIZE "$file" "$backing" 128 stream_speed 5 on_error ignore)" ||
		bail "reload"
	features "4 stream_speed 5 on_error ignore"
	message t stream_speed 0
	message t on_error report
	features "4 stream_speed 0 on_error report"
	printf '%s\n' "$line" | dmsetup reload t || bail "reload"
	is "a loaded table shows its settings" "$(dmsetup table --inactive t)" "$line"
	dmsetup suspend t
	dmsetup resume t
	is "the line can be loaded again" "$(dmsetup table t)" "$line"
	at_remove t
}

by_message
shown
speed 3000000 128 stream stream_speed 3000000
speed 2000000 4096 stream stream_speed 2000000
speed 20000000 8 stream stream_speed 20000000
demand
finish
