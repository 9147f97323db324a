#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With user_timeout, I/O that waits for a server fails after that time, without a server
# or with one that does not answer. Without user_timeout it waits. The device lives on.

. "$(dirname "$0")/alloctrack.sh"
. "$(dirname "$0")/user-server.sh"

readonly SIZE=$((4 * 2048)) BLOCK=65536
file=$(make_painted stale 4) && backing=$(make_painted backing 4) || bail "disks"

# A device without a time limit, whose I/O waits all the time.
at_create t $SIZE "$file" user 128
attached a "$backing"
start_io read:0:4096 write:$BLOCK:512
patient=$io patient_log=$io_log
wait_until has_faults a 2
kill_hand a
dmsetup rename t patient || bail "rename"
on_exit dm_remove patient

others=$(make_painted stale 4) || bail "disk"
at_create t $SIZE "$others" user 128 user_timeout 1
start_io read:0:4096 write:$BLOCK:512 read:196608:131072
io_gives "with no server" "read:0:4096 ETIMEDOUT" "write:$BLOCK:512 ETIMEDOUT" \
	"read:196608:131072 ETIMEDOUT"
is "nothing becomes allocated" "$(at_allocated t)" 0

log_mark
attached a "$backing"
tell a sleep
start_io read:0:4096
answers "the server is told" "ok 0:65536" a
io_gives "the server does not answer" "read:0:4096 ETIMEDOUT"
like "the log says so" "$(log_since)" user_timeout
asks "no I/O waits" "ok faults=0 allocated=0 write_errors=0" a info
asks "a late answer is accepted" "ok $BLOCK" a fill 0 $BLOCK
now_reads "and the next read gets it" "read:0:65536 backing"
asks "later reads work" "ok $((3 * BLOCK))" a fill $BLOCK $((3 * BLOCK))
kill_hand a
start_server "$backing"
start_io read:1048576:1048576 write:2097152:512
io_gives "with a working server" "read:1048576:1048576 backing" \
	"write:2097152:512 done"
stop_process "$server"

dm_reload t "$(at_table $SIZE "$others" user 128)" || bail "reload"
start_io read:3145728:4096
check "without a limit it waits" wait_until io_waits 1
dm_reload t "$(at_table $SIZE "$others" user 128 user_timeout 2)" --noflush ||
	bail "reload"
io_gives "a reload sets one" "read:3145728:4096 ETIMEDOUT"
at_remove t

dmsetup rename patient t || bail "rename"
io=$patient io_log=$patient_log
check "without a limit it waits still" io_waits 2
attached b "$backing"
asks_wait "the next server is told" b 0:65536 65536:65536
asks "and serves" "ok 131072" b fill 0 131072
io_gives "and all is well" "read:0:4096 backing" "write:$BLOCK:512 done"
kill_hand b
finish
