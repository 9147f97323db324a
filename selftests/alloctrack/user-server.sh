# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The library of the user server tests, on top of alloctrack.sh: I/O on the device t that
# waits, and servers that are driven by hand. Offsets are in bytes.

declare -A hand_in hand_out hand_pid

# hand NAME FILE - start a hand-server, which is not attached. NAME is an argument of the
# functions below.
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

# tell NAME COMMAND... - send it a command, and do not wait for the answer.
tell()
{
	echo "${*:2}" >&"${hand_in[$1]}"
}

# answer NAME - wait for the answer, and set $reply to it. A partial line that was read
# before the timeout is kept.
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

# asks DESCRIPTION WANTED NAME COMMAND... - its answer must be WANTED.
asks()
{
	ask "${@:3}"
	is_so "$1" "$reply" "$2"
}

# answers DESCRIPTION WANTED NAME - its answer to the earlier "tell" must be WANTED.
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

# asks_wait DESCRIPTION NAME RANGE... - WAIT must return these ranges, in any order.
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

# attached NAME FILE - start a hand-server that is attached to the device t.
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

# start_io OPERATION... - start parallel-io on the device t. Sets $io to the process and
# $io_log to its output.
start_io()
{
	io_log=$TMP/io.$((io_count = ${io_count:-0} + 1))
	parallel-io "$T" "$@" > "$io_log" 2>&1 &
	io=$!
	on_exit release_io $io
	wait_until grep -q '^started' "$io_log"
}

# A read without a server cannot be killed: a suspend makes it fail.
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

# io_waits NR - NR of the operations sleep.
io_waits()
{
	[ "$(cat /proc/"$io"/task/*/status 2>/dev/null | grep -c '^State:.D')" -eq "$1" ]
}

# outcomes - the outcomes of the operations that have ended, sorted.
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

# io_gives DESCRIPTION OUTCOME... - exactly these operations end, with these outcomes.
io_gives()
{
	wait_until io_has_ended $(($# - 1))
	is_so "$1" "$(outcomes)" "$(sorted_lines "${@:2}")"
}

# now_reads DESCRIPTION OUTCOME... - reads that need no server. The outcome, as in the
# output of parallel-io, also says what to read.
now_reads()
{
	local outcome operations=()
	for outcome in "${@:2}"; do
		operations+=("${outcome% *}")
	done
	start_io "${operations[@]}"
	io_gives "$@"
}
