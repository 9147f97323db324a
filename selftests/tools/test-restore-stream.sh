#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `dmlive stream` pauses, resumes, limits, cancels and starts the streaming of a device
# with a server. Reads are served in every state.

. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 32
disk=$(make_disk 40 512) || bail "disk"
soil "$disk"

# reads_at MIB DESCRIPTION
reads_at()
{
	check "$2" cmp -i $(($1 << 20)) -n 65536 image.qcow2.raw /dev/mapper/r
}

# A suspend waits for I/O in flight, so all that is copied after it is new.
streamed_after_suspend()
{
	dmsetup suspend r && dmsetup resume r
	dmlive status r --json | jq .streamed_bytes
}

more_than()
{
	[ "$(dmlive status r --json | jq .streamed_bytes)" -gt "$1" ]
}

start_restore image.qcow2 "$disk" r --speed 1M
result $? "starts"
is "the limit is known" "$(dmlive status r --json | jq .stream_speed)" 1048576
check "makes progress" wait_until more_than 0
run 3 "start is refused while running" dmlive stream r start
says "the reason" "running already"

run 0 "pause" dmlive stream r pause
is "paused" "$(state_of r)" paused
before=$(streamed_after_suspend)
reads_at 26 "paused: reads are served"
is "paused: nothing is streamed" "$(streamed_after_suspend)" "$before"
run 0 "resume" dmlive stream r resume
check "goes on" wait_until more_than "$before"

run 0 "cancel" dmlive stream r cancel
is "cancelled" "$(state_of r)" cancelled
before=$(streamed_after_suspend)
reads_at 28 "cancelled: reads are served"
is "cancelled: nothing is streamed" "$(streamed_after_suspend)" "$before"
run 3 "resume is refused now" dmlive stream r resume
says "the way out" "dmlive stream r start"
run 3 "finish is refused now" dmlive finish r
run 0 "start again" dmlive stream r start

# The limit is kept: 4 MiB/s for 3 s is not more than 12 MiB plus the data in flight.
run 0 "a higher limit" dmlive stream r speed 4M
before=$(dmlive status r --json | jq .streamed_bytes) start=$EPOCHREALTIME
wait_until more_than $((before + 8 * 1048576))
seconds=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
check "the limit holds ($seconds s for 8 MiB)" \
	awk -v s="$seconds" 'BEGIN { exit !(s > 1.3) }'

run 0 "no limit" dmlive stream r speed 0
check "ends as linear" wait_until is_linear r
same "content" /dev/mapper/r image.qcow2.raw
run 3 "the stream is gone" dmlive stream r pause
for bad in "fast" "speed" "speed x" "on-error" "on-error maybe" "pause now"; do
	# shellcheck disable=SC2086 # words
	run 2 "stream r $bad" dmlive stream r $bad
done
finish
