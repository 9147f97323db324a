# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# TAP output, clean-up in reverse order, and waiting for a state.

tap_planned='' tap_count=0 tap_failed=0 tap_finished=
# Messages that end a test go here, even if the output of the present function is
# redirected.
exec {tap_output}>&1

# plan N - announce N results. Without it, finish prints the plan.
plan()
{
	tap_planned=$1
	echo "1..$1"
}

# diag TEXT... - a comment; each line gets its own '#'.
diag()
{
	printf '%s\n' "$*" | sed 's/^/# /'
}

# ok [DESCRIPTION...], not_ok [DESCRIPTION...] - one result.
ok()
{
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $*"
}

not_ok()
{
	tap_count=$((tap_count + 1))
	tap_failed=$((tap_failed + 1))
	echo "not ok $tap_count - $*"
	return 1
}

# result STATUS DESCRIPTION... - ok if STATUS is 0, not ok otherwise.
result()
{
	local status=$1
	shift
	if [ "$status" -eq 0 ]; then ok "$@"; else not_ok "$@"; fi
}

# skip DESCRIPTION REASON... - one result that is not possible here.
skip()
{
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP ${*:2}"
}

# skip_all REASON... - skip the rest of the test.
skip_all()
{
	tap_finished=1
	echo "1..0 # SKIP $*"
	exit 4
}

# bail REASON... - end the test as failed, since it could not be set up.
bail()
{
	{
		diag "gives up: $*"
		not_ok "set up: $*"
	} >&"$tap_output"
	exit 1
}

# check DESCRIPTION COMMAND [ARG...] - the command must succeed.
check()
{
	local output status
	output=$("${@:2}" 2>&1)
	status=$?
	[ $status -eq 0 ] || diag "status $status of: ${*:2}"$'\n'"$output"
	result $status "$1"
}

# check_fails DESCRIPTION COMMAND [ARG...] - the command must fail, and not by a
# signal.
check_fails()
{
	local output status
	output=$("${@:2}" 2>&1)
	status=$?
	if [ $status -gt 0 ] && [ $status -lt 126 ]; then
		ok "$1"
	else
		diag "status $status of: ${*:2}"$'\n'"$output"
		not_ok "$1"
	fi
}

# is DESCRIPTION GOT WANTED - the strings are equal.
is()
{
	[ "$2" = "$3" ] || diag "got:    $2"$'\n'"wanted: $3"
	[ "$2" = "$3" ]
	result $? "$1"
}

# like DESCRIPTION GOT REGEX - the string matches the extended expression.
like()
{
	[[ $2 =~ $3 ]] || diag "got: $2"$'\n'"wanted a match of: $3"
	[[ $2 =~ $3 ]]
	result $? "$1"
}

# finish - the end of every test.
finish()
{
	[ -n "$tap_planned" ] || plan "$tap_count"
	tap_finished=1
	[ "$tap_failed" -eq 0 ] && [ "$tap_count" -eq "$tap_planned" ]
	exit $?
}

# on_exit COMMAND [ARG...] - run it when the test ends, last registered first. Works in a
# subshell too.
on_exit()
{
	printf '%q ' "$@" >> "$TMP/on_exit"
	echo >> "$TMP/on_exit"
}

# shellcheck disable=SC2317 # called by the trap
tap_exit()
{
	local status=$? line output

	trap '' INT TERM HUP
	if [ -z "$tap_finished" ]; then
		diag "the test ended early, with status $status" >&"$tap_output"
		status=1
	fi
	if [ -e "$TMP/on_exit" ]; then
		while read -r line; do
			output=$(eval "$line" 2>&1) && continue
			diag "clean-up failed: $line"$'\n'"$output" >&"$tap_output"
			status=1
		done < <(tac "$TMP/on_exit")
	fi
	rm -rf "$TMP"
	exit $status
}
trap tap_exit EXIT
trap 'exit 1' INT TERM HUP

# wait PID - as the builtin, which once in a few thousand times loses a race with its own
# handler of SIGCHLD: waitpid() returns ECHILD, and the status is 255. A second call returns
# the right one.
wait()
{
	builtin wait "$@"
	case $? in
	255)	builtin wait "$@" ;;
	*)	return $? ;;
	esac
}

# Nothing is ever written here, so read waits for as long as it is told to.
exec {tap_silence}<> <(:)

# nap SECONDS - as sleep, without a process: those start slowly in some machines.
nap()
{
	read -r -t "$1" -u "$tap_silence"
	return 0
}

# wait_until [-t SECONDS] COMMAND [ARG...] - poll until the command succeeds. Fails at the
# deadline (default 90 s). It is called less often after some time: on one processor it
# would keep what is waited for from its work.
wait_until()
{
	local limit=90 deadline tries=0
	if [ "$1" = -t ]; then
		limit=$2
		shift 2
	fi
	deadline=$((SECONDS + limit))
	until "$@" > /dev/null 2>&1; do
		if [ $SECONDS -ge $deadline ]; then
			diag "not within $limit s: $*"
			return 1
		fi
		tries=$((tries + 1))
		case $tries in
		[1-5])	nap 0.05 ;;
		[6-9])	nap 0.1 ;;
		*)	nap 0.2 ;;
		esac
	done
}

# settle_udev: what has happened until now is handled, on a machine with udev.
settle_udev()
{
	[ ! -S /run/udev/control ] || udevadm settle --timeout=60
}

# is_so DESCRIPTION GOT WANTED - as is(), with $label, if it is set, in front.
is_so()
{
	is "${label:+$label: }$1" "$2" "$3"
}

# stop_process PID - end a child if it still runs.
stop_process()
{
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
	true
}

# elapsed START - seconds since $EPOCHREALTIME was START.
elapsed()
{
	awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'
}

# is_running PID - false for a child that has ended, also before it is waited for; true
# while it has other threads, which keep its files open and locked.
is_running()
{
	local stat threads
	{ read -r stat < "/proc/$1/stat"; } 2>/dev/null || return
	[[ $stat == *") Z "* ]] || return 0
	threads=("/proc/$1/task/"*)
	[ ${#threads[@]} -gt 1 ]
}

has_ended()
{
	! is_running "$1"
}

# require_command NAME... - skip the test if a program is missing.
require_command()
{
	local c
	for c; do
		command -v "$c" > /dev/null || skip_all "no program $c"
	done
}
