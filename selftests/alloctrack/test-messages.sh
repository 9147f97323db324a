#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Messages work on a suspended device, on a complete one, and when many are sent at the
# same time. A bad message is refused with the reason in the kernel log, and changes
# nothing.

. "$(dirname "$0")/alloctrack.sh"

readonly SIZE=$((4 * 2048)) HUGE=18446744073709551616
file=$(make_painted stale 4) && backing=$(make_painted backing 4) || bail "disks"

# What messages can change: the state and the features.
state()
{
	at_status t 2
	at_status t 8 20
}

# refused REASON WORD...
refused()
{
	local before after log
	before=$(state)
	log_mark
	if message t "${@:2}" 2>/dev/null; then
		not_ok "$label: '${*:2}' is refused"
		return
	fi
	log=$(log_since)
	after=$(state)
	[[ $log =~ $1 ]] && [ "$after" = "$before" ] ||
		diag "log: $log"$'\n'"wanted: $1"$'\n'"$before"$'\n'"$after"
	[[ $log =~ $1 ]] && [ "$after" = "$before" ]
	result $? "$label: '${*:2}' is refused: $1"
}

# Messages that are refused in every state: a few, and all.
malformed()
{
	refused "refused: it has 1 words, not two" stream
	refused "refused: it has 3 words, not two" stream start now
	refused "'stream begin' refused: unknown message or value" stream begin
	refused "'stream_speed x' refused: unknown message or value" stream_speed x
	refused "'on_error stops' refused: unknown message or value" on_error stops
}

malformed_all()
{
	local value
	malformed
	refused "refused: it has 1 words, not two" stream_speed
	refused "refused: it has 1 words, not two" nonsense
	refused "refused: it has 4 words, not two" on_error stop on_error stop
	refused "'streams start' refused: unknown message" streams start
	refused "'Stream start' refused: unknown message" Stream start
	refused "'start stream' refused: unknown message" start stream
	for value in START stop restart complete; do
		refused "'stream $value' refused: unknown message or value" stream $value
	done
	for value in -1 1M 0x10 1.5; do
		refused "'stream_speed $value' refused: unknown message or value" \
			stream_speed $value
	done
	refused "'stream_speed $HUGE' refused: the number is too large" stream_speed $HUGE
	for value in reports STOP 0 -; do
		refused "'on_error $value' refused: unknown message or value" \
			on_error "$value"
	done
}

# Messages that are valid in every state.
sets()
{
	check "$label: on_error stop" message t on_error stop
	check "$label: stream_speed 12345" message t stream_speed 12345
	like "$label: status and table show it" "$(dmsetup status t) $(dmsetup table t)" \
		'stream_speed 12345 on_error stop.*stream_speed 12345 on_error stop'
	check "$label: on_error report" message t on_error report
	check "$label: the largest speed" message t stream_speed 18446744073709551615
	check "$label: no speed limit" message t stream_speed 0
}

# is_now STATE MESSAGE...
is_now()
{
	check "$label: ${*:2}" message t "${@:2}"
	is_so "it is $1" "$(at_status t 2)" "$1"
}

no_job()
{
	refused "'stream pause' refused: no job is active .stream $1" stream pause
	refused "'stream resume' refused: no job is active .stream $1" stream resume
	refused "'stream cancel' refused: no job is active .stream $1" stream cancel
}

active()
{
	refused "'stream start' refused: there is such a job.* .stream $1" stream start
}

# All states of a job. Nothing is copied at this speed, or while suspended.
job()
{
	no_job idle
	is_now running stream start
	active running
	is_now running stream resume
	is_now paused stream pause
	active paused
	is_now paused stream pause
	is_now running stream resume
	is_now cancelled stream cancel
	no_job cancelled
	is_now running stream start
	is_now paused stream pause
	is_now cancelled stream cancel
}

working()
{
	local label="working"
	at_create t $SIZE "$file" "$backing" 128 stream_speed 1
	malformed_all
	job
	sets
	check "$label: stream start" message t stream start
	check "$label: completes" wait_until state_is t complete
	label="complete"
	malformed
	refused "'stream start' refused: .*nothing left to do .stream complete" stream start
	refused "'stream pause' refused: .*nothing left to do .stream complete" stream pause
	refused "'stream cancel' refused: .*nothing left to do .stream complete" stream cancel
	sets
	at_remove t
	check "complete: the file has the backing" cmp "$file" "$backing"
}

# A message to a suspended device takes effect after the resume.
suspended()
{
	local label=suspended before
	paint stale "$file"
	at_create t $SIZE "$file" "$backing" 128
	dmsetup suspend t
	malformed
	job
	sets
	before=$(disk_stat "$file" 7)
	is_now running stream start
	is_so "nothing is written" "$(disk_stat "$file" 7)" "$before"
	is_so "nothing is allocated" "$(at_allocated t)" 0
	dmsetup resume t
	check "$label: the job runs when it is resumed" wait_until state_is t complete
	at_remove t
	check "$label: the file has the backing" cmp "$file" "$backing"
}

# A loaded table that was never resumed has no job. Messages go to the active table.
loaded()
{
	local label=loaded
	at_create t $SIZE "$file" "$backing" 128
	at_table $SIZE "$file" "$backing" 128 stream_speed 7 | dmsetup reload t
	check "$label: a message" message t stream_speed 1
	like "$label: is for the active table" "$(dmsetup table t)" 'stream_speed 1$'
	dmsetup clear t
	at_remove t
}

# talk WORDS... - send the message over and over until stopped. Refusals are accepted.
talk()
{
	until [ -e "$TMP/end" ]; do
		dmsetup message t 0 "$@" 2> /dev/null
	done
}

at_once()
{
	local label="at once" talkers=() words
	paint stale "$file"
	at_create t $SIZE "$file" "$backing" 8 stream_speed 500000
	for words in "stream start" "stream pause" "stream resume" "stream cancel" \
			"stream_speed 400000" "on_error ignore" "stream nonsense"; do
		# shellcheck disable=SC2086 # words
		talk $words &
		talkers+=($!)
		on_exit stop_process $!
	done
	for _ in 1 2 3 4 5 6; do
		at_table $SIZE "$file" "$backing" 8 stream_speed 600000 | dmsetup reload t
		dmsetup suspend t && dmsetup resume t || break
	done
	result $? "$label: suspends, and table reloads"
	mirrored "reads as its backing" "--from=$backing"
	touch "$TMP/end"
	wait "${talkers[@]}"
	like "$label: the state is one of them" "$(at_status t 2)" \
		'^(idle|running|paused|cancelled)$'
	# Cancelled first, since without a limit it would complete at once.
	message t stream cancel 2> /dev/null
	message t stream_speed 0
	check "$label: stream start" message t stream start
	check "$label: completes" wait_until state_is t complete
	at_remove t
	check "$label: the file has the backing" cmp "$file" "$backing"
}

read_only()
{
	local label="read-only"
	dm_create t "$(at_table $SIZE "$file" "$backing" 128)" --readonly || bail "create"
	malformed
	refused "'stream start' refused: the table is read-only" stream start
	refused "'stream cancel' refused: the table is read-only" stream cancel
	at_remove t
}

working
suspended
loaded
at_once
read_only
finish
