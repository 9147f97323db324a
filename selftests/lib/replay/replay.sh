# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The way through a log, for crash tests.

# replay PROGRAM ARG... - runs a program that goes through a log. For each of its lines
# "sample NR ..." calls sample, which looks at $TMP/image and then answers the program
# by: echo NR >&"$to". Sets replayed to its last line, "done ...", empty without one,
# and replay_status to its exit status; other lines are shown.
replay()
{
	local line from replay_pid

	replayed=
	coproc replay_program { "$@" 2>&1; }
	replay_pid=$!
	# The shell forgets its own when the process ends.
	exec {from}<&"${replay_program[0]}" {to}>&"${replay_program[1]}"
	while read -r line <&"$from"; do
		case $line in
		sample*) sample "${line#sample }" ;;
		done*)	 replayed=$line ;;
		*)	 diag "$line" ;;
		esac
	done
	wait $replay_pid
	replay_status=$?
	exec {from}<&- {to}>&-
	diag "${replayed:-the replay has not come to its end}"
}
