#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# dmlive attach and dmlive detach are killed at random times, under I/O. The device always
# works and has its data, and the next attach or detach succeeds.

. "$(dirname "$0")/attach-lib.sh"

readonly TIMES=12

disk=$(make_disk 16 512) || bail "disk"
make_a
: > "$TMP/fio-rounds"
start_verify $A

# Measure how long one takes, to kill it in the middle.
start=${EPOCHREALTIME/./}
dmlive attach a > "$out" 2>&1 && dmlive detach a > "$out" 2>&1 || bail "$(cat "$out")"
usual=$((${EPOCHREALTIME/./} - start))

# kill_in_the_middle VERB: one takes about half of the time.
kill_in_the_middle()
{
	local pid delay=$((RANDOM * 32768 + RANDOM))

	dmlive "$1" a > "$out" 2>&1 &
	pid=$!
	delay=$((delay % (usual * 6 / 10)))
	read -r -t "$(printf '%d.%06d' $((delay / 1000000)) $((delay % 1000000)))" <> <(:)
	kill -KILL $pid 2> /dev/null
	wait $pid 2> /dev/null
	[ $? -eq 137 ] && killed=$((killed + 1))
	true
}

is_alive()
{
	[ "$(dmsetup info -c --noheadings -o suspended a)" = Active ] &&
		timeout 60 dd if=$A of=/dev/null bs=4096 count=1 iflag=direct status=none
}

killed=0 leftovers=0
for ((i = 0; i < TIMES; i++)); do
	kill_in_the_middle attach
	is_alive || break
	[ "$(dm_target a | head -n 1)" = linear ] && dmsetup info a-dmlive > /dev/null 2>&1 &&
		leftovers=$((leftovers + 1))
	if [ $((i % 3)) -eq 0 ] && [ "$(dm_target a | head -n 1)" != cbw ]; then
		dmlive attach a > "$out" 2>&1 || break
	fi
	kill_in_the_middle detach
	is_alive || break
done
is "the device always answered, times" $i $TIMES || diag "$(cat "$out"; dmsetup table; dmsetup info)"
diag "$killed of $((2 * TIMES)) were killed before they ended; $leftovers times something was left"
dmlive detach a > "$out" 2>&1
is_plain "at the end"
run 0 "attach" dmlive attach a
is_attached "after all"
run 0 "detach" dmlive detach a
stop_verify
result $? "the guest reads what it wrote" || diag "$(tail -n 20 "$TMP/fio")"
is_plain "after all"
finish
