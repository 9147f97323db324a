#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A killed server loses nothing: reads wait until `dmlive resume` serves them, and the
# restore completes with the right content.

. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 16
disk=$(make_disk 24 512) || bail "disk"
soil "$disk"

waits()
{
	grep -q 'D (disk sleep)' "/proc/$1/status"
}

start_restore image.qcow2 "$disk" r --speed 1M
result $? "the restore starts"
server=$(server_of r)
check "it makes progress" wait_until sh -c 'dmlive status r --json | jq -e ".streamed_bytes > 0"'

kill -KILL "$server"
check "the server is gone" wait_until is_gone "$server"
run 0 "status without a server" dmlive status r
like "status shows it" "$(cat "$out")" "no server process: reads wait"
is "status in JSON" "$(dmlive status r --json | jq -r .server)" null

dd if=/dev/mapper/r of=tail bs=1M skip=12 iflag=direct status=none &
reader=$!
check "a read waits" wait_until waits $reader
run 0 "resume" dmlive resume r --background
wait $reader
result $? "the read that waited has ended well"
check "it has the image's data" cmp -i $((12 << 20)):0 image.qcow2.raw tail
check "another server is refused" [ "$(dmlive resume r > /dev/null 2>&1; echo $?)" = 3 ]

# Killed again and again while everything is read.
dmlive stream r speed 4M
cmp image.qcow2.raw /dev/mapper/r &
reader=$!
for ((i = 0; i < 5; i++)); do
	server=$(server_of r)
	[ -n "$server" ] || break
	kill -KILL "$server"
	wait_until is_gone "$server"
	dmlive resume r --background > "$out" 2> "$err" || break
done
wait $reader
result $? "all content is right though servers died"

# A different image is refused.
if ! is_linear r; then
	server=$(server_of r)
	kill -KILL "$server"
	wait_until is_gone "$server"
	cp image.qcow2 moved.qcow2
	touch image.qcow2
	run 3 "a changed image is refused" dmlive resume r
	says "the reason" "has changed"
	dmlive stream r speed 0 2>/dev/null
	run 0 "--force takes it" dmlive resume r moved.qcow2 --force
fi
check "the device is linear in the end" is_linear r
same "content in the end" /dev/mapper/r image.qcow2.raw
run 3 "nothing left to resume" dmlive resume r
run 1 "no such device" dmlive resume absent
finish
