# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What the tests of user servers share, on top of alloctrack.sh: I/O on the device
# t that waits, and servers that do just what they are told. Offsets are bytes.

declare -A hand_in hand_out hand_pid

# hand NAME FILE - a hand-server that is not attached. Its name is the first
# argument of the functions below.
hand()
{
	local in out
	rm -f "$TMP/$1.in" "$TMP/$1.out"
	mkfifo "$TMP/$1.in" "$TMP/$1.out" || bail "mkfifo"
	exec {in}<> "$TMP/$1.in" {out}<> "$TMP/$1.out"
	hand-server "$2" < "$TMP/$1.in" > "$TMP/$1.out" &
	hand_in[$1]=$in hand_out[$1]=$out hand_pid[$1]=$!
	on_exit stop_process "${hand_pid[$1]}"
	ask "$1" open
}

# tell NAME COMMAND... - gives it a command, the answer to which is got later.
tell()
{
	echo "${*:2}" >&"${hand_in[$1]}"
}

# answer NAME - waits for the answer, in $reply. A part of a line that came before the
# second was over is kept.
answer()
{
	local deadline=$((SECONDS + 90)) begin='' rest=''
	until IFS= read -r -t 1 rest <&"${hand_out[$1]}"; do
		begin+=$rest
		reply='no answer'
		is_running "${hand_pid[$1]}" && [ $SECONDS -lt $deadline ] || return
	done
	reply=$begin$rest
}

ask()
{
	tell "$@"
	answer "$1"
}

# asks DESCRIPTION WANTED NAME COMMAND... - its answer must be that.
asks()
{
	ask "${@:3}"
	is_so "$1" "$reply" "$2"
}

# answers DESCRIPTION WANTED NAME - to what it was told.
answers()
{
	answer "$3"
	is_so "$1" "$reply" "$2"
}

# no_answer_yet DESCRIPTION NAME
no_answer_yet()
{
	! read -r -t 0 <&"${hand_out[$2]}"
	result $? "${label:+$label: }$1"
}

# asks_wait DESCRIPTION NAME RANGE... - WAIT must give these, in any order.
asks_wait()
{
	local ranges
	ask "$2" wait
	read -r -a ranges <<< "$reply"
	is_so "$1" "${ranges[0]} $(sorted "${ranges[@]:1}")" "ok $(sorted "${@:3}")"
}

sorted()
{
	printf '%s\n' "$@" | sort -n | tr '\n' ' '
}

# attached NAME FILE - a hand-server for the device t.
attached()
{
	hand "$1" "$2"
	asks "a server attaches" ok "$1" attach "$(dm_number t)"
}

# kill_hand NAME
kill_hand()
{
	stop_process "${hand_pid[$1]}"
}

has_faults()
{
	ask "$1" info
	[[ $reply == "ok faults=$2 "* ]]
}

# start_io OPERATION... - parallel-io on the device t. Sets $io to its process and
# $io_log to what it says.
start_io()
{
	io_log=$TMP/io.$((io_count = ${io_count:-0} + 1))
	parallel-io "$T" "$@" > "$io_log" 2>&1 &
	io=$!
	on_exit release_io $io
	wait_until grep -q '^started' "$io_log"
}

# A read that nobody serves cannot be killed: have a suspend fail it.
release_io()
{
	local pid
	if is_running "$1"; then
		for pid in "${hand_pid[@]}"; do
			stop_process "$pid"
		done
		dmsetup suspend t
		dmsetup resume t
	fi
	stop_process "$1"
}

# io_waits NR - so many of the operations sleep.
io_waits()
{
	[ "$(cat /proc/"$io"/task/*/status 2>/dev/null | grep -c '^State:.D')" -eq "$1" ]
}

# outcomes - of the operations that have ended, sorted.
outcomes()
{
	local lines
	mapfile -t lines < <(grep -v '^started' "$io_log")
	sorted_lines "${lines[@]}"
}

sorted_lines()
{
	[ $# -eq 0 ] || printf '%s\n' "$@" | LC_ALL=C sort
}

io_has_ended()
{
	[ "$(grep -vc '^started' "$io_log")" -ge "$1" ]
}

# io_gives DESCRIPTION OUTCOME... - just these operations end, with that.
io_gives()
{
	wait_until io_has_ended $(($# - 1))
	is_so "$1" "$(outcomes)" "$(sorted_lines "${@:2}")"
}

# now_reads DESCRIPTION OUTCOME... - reads that need no server; an outcome is as in
# the output of parallel-io, and says what to read.
now_reads()
{
	local outcome operations=()
	for outcome in "${@:2}"; do
		operations+=("${outcome% *}")
	done
	start_io "${operations[@]}"
	io_gives "$@"
}
