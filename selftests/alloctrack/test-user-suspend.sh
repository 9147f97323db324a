#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A suspend never waits for a missing server: waiting I/O is served first, or fails, or
# is sent again after the resume. With servers at work nothing is lost, however often the
# device is suspended.

. "$(dirname "$0")/alloctrack.sh"
. "$(dirname "$0")/user-server.sh"
require_command fio

readonly SIZE=$((8 * 2048))
readonly IO=(read:0:4096 read:65536:131072 write:196608:512)
readonly SERVED=("read:0:4096 backing" "read:65536:131072 backing" "write:196608:512 done")
readonly FAILED=("read:0:4096 EIO" "read:65536:131072 EIO" "write:196608:512 EIO")
file=$(make_painted stale 8) && backing=$(make_painted backing 8) || bail "disks"

fresh()
{
	paint stale "$file"
	at_create t $SIZE "$file" user 128
}

# suspending - start dmsetup suspend, which sleeps. Sets $suspend to the process.
suspending()
{
	dmsetup suspend t &
	suspend=$!
	on_exit stop_process $suspend
	wait_until grep -q '^State:.S' /proc/$suspend/status
}

suspended()
{
	wait $suspend
	result $? "${label:+$label: }$1"
}


waits_for_the_server()
{
	local label='with a server'
	fresh
	attached a "$backing"
	start_io "${IO[@]}"
	wait_until has_faults a 3
	asks_wait "the server is told" a 0:65536 65536:131072 196608:65536
	suspending
	check "$label: the suspend waits" is_running $suspend
	check "$label: and so does the I/O" io_waits 3
	asks "it serves" "ok 262144" a fill 0 262144
	io_gives "the I/O succeeds" "${SERVED[@]}"
	suspended "the suspend ends"
	tell a fill 262144 262144
	start_io read:262144:65536 read:524288:512
	check "$label: while suspended I/O waits" wait_until io_waits 2
	no_answer_yet "and FILL" a
	is_so "nothing becomes allocated" "$(at_allocated t)" 4
	dmsetup resume t
	answers "resumed: FILL continues" "ok 262144" a
	wait_until has_faults a 1
	asks "and the I/O comes" "ok 65536" a fill 524288 65536
	io_gives "and succeeds" "read:262144:65536 backing" "read:524288:512 backing"
	now_reads "reads" "read:196608:512 written" "read:197120:65024 backing"
	kill_hand a
	at_remove t
}

has_no_server()
{
	local label='with no server'
	fresh
	start_io "${IO[@]}"
	wait_until io_waits 3
	check "$label: suspends" dmsetup suspend t
	io_gives "what waited fails" "${FAILED[@]}"
	dmsetup resume t
	start_io "${IO[@]}"
	check "$label: resumed: I/O waits again" wait_until io_waits 3

	label='the server dies'
	attached a "$backing"
	asks_wait "the server is told" a 0:65536 65536:131072 196608:65536
	suspending
	check "$label: the suspend waits" is_running $suspend
	kill_hand a
	suspended "then it ends"
	io_gives "what waited fails" "${FAILED[@]}"
	is_so "nothing is allocated" "$(at_allocated t)" 0
	dmsetup resume t
	at_remove t
}

# noflush WITH_SERVER
noflush()
{
	local label="noflush, $1"
	fresh
	start_io "${IO[@]}"
	wait_until io_waits 3
	if [ "$1" != "no server" ]; then
		attached a "$backing"
		asks_wait "the server is told" a 0:65536 65536:131072 196608:65536
	fi
	check "$label: suspends" dmsetup suspend --noflush t
	check "$label: all I/O still waits" io_waits 3
	[ "$1" != "it dies" ] || kill_hand a
	[ "$1" = "it lives" ] || attached a "$backing"
	asks "there is nothing to tell" EAGAIN a wait
	dmsetup resume t
	wait_until has_faults a 3
	asks_wait "resumed: the server is told" a 0:65536 65536:131072 196608:65536
	asks "it serves" "ok 262144" a fill 0 262144
	io_gives "the I/O succeeds" "${SERVED[@]}"
	kill_hand a
	at_remove t
}

# A large FILL continues after a suspend in the middle of it.
in_flight()
{
	local label='a FILL in flight' slow
	slow=$(make_painted stale 8 512 irqmode=2 completion_nsec=20000000) || bail "disk"
	at_create t $SIZE "$slow" user 8 stream
	attached a "$backing"
	start_io read:8384512:4096 read:0:4096
	wait_until has_faults a 2
	tell a stream-fill 0 8388608
	wait_until allocated_above t 0
	check "$label: suspend" dmsetup suspend t
	dmsetup resume t
	answers "it completes" "ok 8388608" a
	io_gives "waiting reads got their data" "read:0:4096 backing" "read:8384512:4096 backing"
	check "$label: it completes" wait_until state_is t complete
	check "$label: the content" cmp -n 8388608 "$T" "$backing"
	kill_hand a
	at_remove t
}

# Servers die; their pending faults are queued again and told to the next server.
storm_of_deaths()
{
	local n=0
	while is_running "$fio"; do
		is_running "$server" || start_server "$backing" --die-after 7 || return 1
		dmsetup suspend --noflush t && dmsetup resume t || return 1
		n=$((n + 1))
	done
	diag "$n suspends, ${server_count:-0} servers"
}

# under_load STORM BLOCK SERVER_OPTION...
under_load()
{
	local label="$1, blocks of $(($2 / 2)) KiB"
	paint stale "$file"
	at_create t $SIZE "$file" user "$2" stream stream_speed 3000000
	start_server "$backing" "${@:3}"
	start_fio 2 --size=4m
	"$1"
	result $? "$label: suspends and resumes"
	fio_is_good "fio verifies what it wrote"
	stop_process "$server"
	start_server "$backing" --stream
	check "$label: completes" wait_until state_is t complete
	check "$label: the other half is the backing's" \
		cmp -i 4194304:4194304 -n 4194304 "$T" "$backing"
	shows_nothing_stale
	stop_process "$server"
	at_remove t
}

waits_for_the_server
has_no_server
noflush "no server"
noflush "it lives"
noflush "it dies"
in_flight
under_load suspend_storm 8 --threads 4 --odd
under_load suspend_storm 128 --threads 4 --stream
under_load storm_of_deaths 128 --die-after 7
finish
