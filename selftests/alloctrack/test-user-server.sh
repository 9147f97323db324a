#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Reads that wait for a user server survive its end: the next server is told all of them
# and serves them. Only ranges that a server fails do fail.

. "$(dirname "$0")/alloctrack.sh"
. "$(dirname "$0")/user-server.sh"
require_command fio

readonly SIZE=$((8 * 2048 - 1)) BLOCK=65536
file=$(make_painted stale 8) && backing=$(make_painted backing 8) || bail "disks"

fresh()
{
	paint stale "$file"
	at_create t $SIZE "$file" user "${@:-128}"
}

# The second server is told the same ranges, including those the first was not told.
death()
{
	local ranges=(0:65536 65536:65536 131072:65536 983040:65536)
	fresh
	attached a "$backing"
	hand b "$backing"
	asks "a second one is refused" EBUSY b attach "$(dm_number t)"
	ask a info

	tell a poll 90000 in
	start_io read:0:4096 read:65536:65536 read:1000448:512 write:131072:4096
	answers "poll wakes up" "ok in" a
	wait_until has_faults a 4
	asks_wait "WAIT tells the blocks" a "${ranges[@]}"
	asks "then nothing is new" EAGAIN a wait
	asks "and poll sleeps" ok a poll 0
	local first=$io first_log=$io_log
	start_io read:262144:131072
	asks "poll wakes up for one more" "ok in" a poll 90000 in
	asks "a second one is refused still" EBUSY b attach "$(dm_number t)"

	kill_hand a
	check "its reads wait on" io_waits 1
	is "none has ended" "$(grep -v started "$first_log")" ""
	asks "another server attaches" ok b attach "$(dm_number t)"
	asks "poll wakes up" "ok in pri" b poll 90000
	asks_wait "WAIT returns the same ranges, and the new one" b "${ranges[@]}" 262144:131072
	asks "the first block" "ok 65536" b fill 0 65536
	asks "the others, some more and some already there" "ok 983040" b fill 0 1048576
	io_gives "the new read" "read:262144:131072 backing"
	io=$first io_log=$first_log
	io_gives "the reads and the write" "read:0:4096 backing" \
		"read:65536:65536 backing" "read:1000448:512 backing" \
		"write:131072:4096 done"
	asks "nothing is left to do" EAGAIN b wait
	now_reads "reads" "read:131072:4096 written" "read:135168:913408 backing"
	kill_hand b
	at_remove t
}

dies_and_is_replaced()
{
	while is_running "$fio"; do
		start_server "$backing" --die-after 5 --threads 3 || return 1
		wait_until died || return 1
	done
	diag "${server_count:-0} servers"
}

died()
{
	has_ended "$server" || has_ended "$fio"
}

# Servers die one after the other, under verified I/O.
many_deaths()
{
	fresh "$1"
	start_fio 2 --size=4m
	dies_and_is_replaced
	result $? "blocks of $(($1 / 2)) KiB: servers die and are replaced"
	fio_is_good "blocks of $(($1 / 2)) KiB: fio verifies what it wrote"
	stop_process "$server"
	start_server "$backing"
	check "the other half is the backing's" \
		cmp -i $((4 << 20)):$((4 << 20)) -n $(((4 << 20) - 512)) "$T" "$backing"
	shows_nothing_stale
	stop_process "$server"
	at_remove t
}

# FAIL fails exactly the I/O that waits for the range; nothing becomes allocated.
failure()
{
	fresh
	attached a "$backing"
	start_io read:0:4096 read:65536:4096 write:131072:4096 write:196608:512 \
		read:196608:65536 read:262144:131072 read:393216:512
	wait_until has_faults a 7
	asks "FAIL" ok a fail $BLOCK $((2 * BLOCK)) 5
	io_gives "a read and a partial write fail" "read:65536:4096 EIO" \
		"write:131072:4096 EIO"
	check "the others still wait" io_waits 5
	asks "FAIL of a part of a read" ok a fail $((5 * BLOCK)) $BLOCK 61
	asks "FAIL with an error that means try again" ok a fail $((6 * BLOCK)) $BLOCK 11
	io_gives "all of that read fails" "read:65536:4096 EIO" "write:131072:4096 EIO" \
		"read:262144:131072 ENODATA" "read:393216:512 EIO"
	asks "the rest is counted" "ok faults=3 allocated=0 write_errors=0" a info
	asks "FAIL where nothing waits" ok a fail $((7 * BLOCK)) $BLOCK 5

	asks "the others are filled" "ok $BLOCK" a fill 0 $BLOCK
	asks "the others are filled" "ok $BLOCK" a fill $((3 * BLOCK)) $BLOCK
	io_gives "and succeed" "read:65536:4096 EIO" "write:131072:4096 EIO" \
		"read:262144:131072 ENODATA" "read:393216:512 EIO" \
		"read:0:4096 backing" "write:196608:512 done" \
		"read:196608:65536 backing"

	is "what failed is not allocated" "$(at_allocated t)" 2
	ask a wait
	start_io read:131072:4096 write:65536:1024 read:393216:512
	wait_until has_faults a 3
	asks_wait "the server is told again" a 131072:65536 65536:65536 393216:65536
	asks "all is filled" "ok $((SIZE * 512 - 2 * BLOCK))" a fill 0 $((SIZE * 512))
	io_gives "the reads" "read:131072:4096 backing" "write:65536:1024 done" \
		"read:393216:512 backing"
	now_reads "reads" "read:0:65536 backing" "read:65536:1024 written" \
		"read:66560:130048 backing" "read:196608:512 written" \
		"read:197120:8190976 backing"
	shows_nothing_stale
	kill_hand a
	at_remove t
}

# The same under load, with a user server that fails a part.
failing_server()
{
	fresh 8
	start_server "$backing" --fail-range $((5 << 20)):65536:5 --threads 4
	start_fio 1 --size=4m
	start_io read:5242880:4096 write:5246976:512 read:5308416:4096
	io_gives "ranges that the server fails cannot be read or partly written" \
		"read:5242880:4096 EIO" "write:5246976:512 EIO" \
		"read:5308416:4096 backing"
	start_io write:5242880:65536
	io_gives "it can be written as a whole" "write:5242880:65536 done"
	now_reads "and read after that" "read:5242880:65536 written"
	fio_is_good "fio verifies what it wrote"
	shows_nothing_stale
	stop_process "$server"
	at_remove t
}

death
many_deaths 8
many_deaths 4096
failure
failing_server
finish
