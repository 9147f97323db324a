#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# also on: uml-udev
#
# The device does not depend on the command in the terminal, whatever happens to that. With
# --json it prints JSON, one object per line.

. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 32
disk=$(make_disk 48 512) || bail "disk"

# begin [OPTION...] - a slow restore in the foreground.
begin()
{
	on_exit end_restore r
	: > "$out"
	# With job control, since bash would make it ignore SIGINT otherwise.
	set -m
	dmlive restore image.qcow2 "$disk" --name r --force --speed 1M "$@" \
		> "$out" 2> "$err" < /dev/null &
	front=$!
	set +m
	wait_until grep -q usable "$out" || diag "$(cat "$err")"
	server=$(server_of r)
}

ends_well()
{
	same "$1: the device is usable" /dev/mapper/r image.qcow2.raw
	dmlive stream r speed 0 2>/dev/null
	check "$1: ends as linear" wait_until is_linear r
	check "$1: the server ends" wait_until is_gone "$server"
	same "$1: content" /dev/mapper/r image.qcow2.raw
	check "$1: nothing is left in /run" [ -z "$(ls /run/dmlive)" ]
	dm_remove r
}

for signal in INT TERM HUP; do
	begin
	kill -$signal $front
	wait $front
	is "SIG$signal: exit status" $? 5
	like "SIG$signal: says how to go on" "$(cat "$out")" \
		"continues in the background.*dmlive status r.*dmlive stream r"
	ends_well SIG$signal
done

# The device becomes usable before the server notices that the command has ended.
slow=$(make_loop 4) || bail "disk"
dm_create slow "0 8192 linear $slow 0"
# udev has a device locked that it handles.
settle_udev
dmsetup suspend slow
on_exit end_restore r
# Sooner or later for the device, and first perhaps for lvm2, which reads all of them.
waits()
{
	local pid
	pid=$(cat /run/dmlive/r.lock) && [ "$(ps -o sid= -p "$pid" | tr -d ' ')" = "$pid" ]
}
set -m
dmlive restore image.qcow2 "$disk" --name r --force --speed 1M --meta /dev/mapper/slow \
	> "$out" 2> "$err" < /dev/null &
front=$!
set +m
check "SIGINT too late: the server waits" wait_until waits
kill -STOP $front
dmsetup resume slow
check "SIGINT too late: it is usable" wait_until test -s /run/dmlive/r.log
server=$(server_of r)
kill -INT $front
kill -CONT $front
wait $front
is "SIGINT too late: exit status" $? 5
like "SIGINT too late: says how to go on" "$(cat "$out")" "continues in the background"
ends_well "SIGINT too late"
dm_remove slow

begin
kill -KILL $front
wait $front 2>/dev/null
ends_well "SIGKILL"

begin
kill -TERM "$server"
kill -INT "$server"
dmlive stream r speed 0
wait $front
is "signals to the server: exit status" $? 0
check "signals to the server: linear" is_linear r
dm_remove r

begin
kill -KILL "$server"
wait $front
is "server killed: exit status" $? 1
like "server killed: the way out" "$(cat "$err")" "dmlive resume r"
run 0 "resume in the foreground" sh -c 'dmlive stream r speed 0 && dmlive resume r'
check "linear" is_linear r
dm_remove r

# Files of the caller are not kept open: neither its lock nor a pipe.
exec 9> caller.lock
flock 9 || bail "flock"
on_exit end_restore r
# The pipe would be read until the restore ends.
text=$(exec 8>&1; dmlive restore image.qcow2 "$disk" --name r --force --speed 1M \
	--background 2>&1)
like "descriptors: it continues in the background" "$text" "continues in the background"
exec 9>&-
check "descriptors: the caller's lock is free" flock --nonblock caller.lock true
check "descriptors: the restore goes on" has_state r running
dmlive stream r speed 0
check "descriptors: it ends" wait_until is_linear r
end_restore r

# An image given by a descriptor, while another descriptor of the caller is on the target.
exec 8< "$disk" 9< image.qcow2
run 0 "image by descriptor" dmlive restore /dev/fd/9 "$disk" --name r --force
same "image by descriptor: content" /dev/mapper/r image.qcow2.raw
exec 8<&- 9<&-
dm_remove r
run 3 "image by descriptor of a pipe" sh -c \
	"cat image.qcow2 | dmlive restore /dev/fd/0 $disk --name r --force"
says "image by descriptor of a pipe: the reason" "/dev/fd/0 cannot be opened by name"

begin
dmsetup remove --force r > /dev/null 2>&1
wait $front
is "device removed: exit status" $? 4
dm_remove r

# The server cannot write its last message.
begin
kill -STOP $front
pipe=$(find "/proc/$server/fd" -lname 'pipe:*' -printf '%p\n' | sort -V | tail -n 1)
for size in 4096 1; do
	yes '' 2>/dev/null | dd of="$pipe" bs=$size iflag=fullblock oflag=nonblock \
		status=none 2>/dev/null
done
dmlive stream r speed 0
check "full pipe: the server ends" wait_until grep -q '^State:.*Z' "/proc/$server/status"
kill -CONT $front
wait $front
is "full pipe: exit status" $? 0
like "full pipe: says that it is restored" "$(tail -n 1 "$out")" "r: restored"
dm_remove r

begin --json
# has_event FILTER - a line of the output is an object that matches.
has_event()
{
	jq -e -s "any($1)" "$out"
}
check "JSON: usable" has_event '.event == "usable" and .device == "/dev/mapper/r"'
check "JSON: progress" wait_until has_event \
	'.event == "progress" and .total_bytes == 33554432 and .allocated_bytes >= 0'
check "JSON: status of all" sh -c "dmlive status --json | jq -e '.[0].name == \"r\"'"
dmlive stream r pause
check "JSON: state" wait_until has_event '.event == "state" and .state == "paused"'
dmlive stream r resume
dmlive stream r speed 0
wait $front
is "JSON: exit status" $? 0
check "JSON: every line is an object" jq -e -s 'all(type == "object")' "$out"
is "JSON: the last one" "$(tail -n 1 "$out" | jq -r .event)" finished
dm_remove r
is "JSON: no device" "$(dmlive status --json | jq -c .)" "[]"
like "no device" "$(dmlive status)" "no device is being restored"
finish
