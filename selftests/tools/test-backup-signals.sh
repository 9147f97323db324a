#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A backup that is interrupted, or killed at any time, leaves the guest's device as it was
# and no partial image. --speed is kept, and --json prints JSON.
# only on: uml uml-udev

. "$(dirname "$0")/backup-lib.sh"

make_guest g 8
write_on /dev/mapper/g

no_output()
{
	check "$1: no output" [ -z "$(ls ./*.raw* ./*.qcow2* 2>/dev/null)" ]
}

# How long a guest write waits: by default as in Proxmox VE, but no write fails then.
declare -A option=([TERM]="--cbw-timeout 0" [HUP]="--on-cbw-error break_guest_write")
declare -A policy=([INT]="break_snapshot cbw_timeout 45000" [TERM]=break_snapshot
	[HUP]="")

for signal in INT TERM HUP; do
	# shellcheck disable=SC2086
	start_backup g g.qcow2 ${option[$signal]:-}
	is "its policy: ${option[$signal]:-}" \
		"$(dmsetup table g | grep -oP '(?<=on_cbw_error )break.*')" "${policy[$signal]}"
	kill -$signal $backup
	ends 4 "SIG$signal"
	says "SIG$signal: it reports it" "interrupted"
	no_output "SIG$signal"
	is_idle g "SIG$signal"
done

start_backup g g.raw
run 3 "only one at a time" dmlive backup g h.raw
says "the reason" "being backed up.*process $backup"
kill -KILL $backup
wait $backup 2> /dev/null
check "the session still exists" [ "$(dm_status g 1)" = active ]
run 0 "the next backup" dmlive backup g g.qcow2
says "it reports the remains" "g.raw was interrupted"
check "there is no partial image" [ ! -e g.raw.partial ]
check "it is complete" qemu-img check -q g.qcow2
is_idle g "after SIGKILL"
rm g.qcow2

# Killed at random times.
for ((i = 0; i < 12; i++)); do
	set -m
	dmlive backup g g.raw --force > "$out" 2> "$err" &
	backup=$!
	set +m
	for ((j = 0; j < i * 4; j++)); do
		read -rt 0.01 <> <(:)
	done
	kill -KILL $backup 2> /dev/null
	wait $backup 2> /dev/null
done
run 0 "after many that were killed" dmlive backup g g.raw --force
check "one point in time" prefix check g.raw
is_idle g "after many that were killed"
rm -f g.raw

has_begun()
{
	{ dmsetup table --inactive g; dmsetup table g; } | grep -q fleece
}

# Two devices: one of them may have been left suspended.
make_guest h 8
for ((i = 0; i < 8; i++)); do
	set -m
	dmlive backup g g.raw h h.raw --force > "$out" 2> "$err" &
	backup=$!
	set +m
	wait_until has_begun || diag "$(cat "$err")"
	for ((j = 0; j < i; j++)); do
		read -rt 0.005 <> <(:)
	done
	kill -KILL $backup 2> /dev/null
	wait $backup 2> /dev/null
	if ((i % 2)); then
		run 0 "two devices, killed: $i" dmlive backup h h.raw g g.raw --force
		check "one point in time" prefix check g.raw
	fi
done
run 0 "two devices, at the end" dmlive backup g g.raw h h.raw --force
is_idle g "two devices: g"
is_idle h "two devices: h"
rm -f g.raw h.raw

# Killed while it is suspended, after the table was loaded.
start_backup g g.raw
kill -KILL $backup
wait $backup 2> /dev/null
dmsetup suspend g
run 0 "a device that was left suspended" dmlive backup g h.raw
check "one point in time" prefix check h.raw
is_idle g "after it was left suspended"
still_writes "the guest still writes"
rm -f ./*.raw*

# Speed: 8 MiB at 4 MiB/s; the first burst does not count.
start=$EPOCHREALTIME
run 0 "--speed" dmlive backup g s.raw --speed 4M
check "it was not faster" awk -v a="$start" -v b="$EPOCHREALTIME" \
	'BEGIN { exit b - a < 1.6 }'

SPEED=3M start_backup g j.qcow2 --json
ends 0 "--json"
check "every line is an object" jq -e -s 'all(type == "object" and has("event"))' "$out"
check "the first one" sh -c "head -n 1 $out | jq -e '.event == \"point_in_time\" and
	.devices[0].name == \"g\" and .suspended_seconds >= 0'"
check "progress" jq -e -s 'any(.event == "progress" and .total_bytes == 8388608 and
	.done_bytes >= 0 and has("seconds_left"))' "$out"
is "the last one" "$(tail -n 1 "$out" | jq -r '.event, .done_bytes')" "finished
8388608"
SPEED=1M start_backup g k.qcow2 --json
kill -INT $backup
ends 4 "interrupted, with --json"
check "every line is an object" jq -e -s 'all(type == "object")' "$out"
check "the error" jq -e -s 'any(.event == "error" and .message == "interrupted")' "$out"
is "the last one" "$(tail -n 1 "$out" | jq -r .event)" failed
is_idle g "in the end"
finish
