#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# A restore in place is killed before every third step, the first by chance, and the machine
# is restarted or not. The volume never shows its own table while a part of the data is
# missing, and the restore ends well when it is resumed, or started again if it had not begun.

image_mib=2
. "$(dirname "$0")/in-place-lib.sh"
make_volumes
kill_at=$SUITE_BUILD/preload-kill.so

# killed_at STEP COMMAND... - does a process of it die there? The server may go on.
killed_at()
{
	KILL_AT=$1 LD_PRELOAD=$kill_at "${@:2}" > "$out" 2> "$err"
	[ $? -ne 0 ] || [ -e "$record" ] || ! has_own_table
}

# see - what udev would have done when the volume appeared; then it must not be bare.
see()
{
	dmlive attach --event /dev/mapper/$MAP 2> "$err"
	[ ! -e "$record" ] || grep -q State=complete "$record" ||
		[ "$(dm_target $MAP)" != linear ]
}

is_right()
{
	is_over && cmp -s expected.raw $V && ! dmsetup info $INNER > /dev/null 2>&1 &&
		[ "$(dmlive status --json | jq -c .)" = "[]" ]
}

# end - resume it if it is on record; if not, it never began, or has completed.
end()
{
	if [ -e "$record" ] || [ "$(dm_target $MAP)" != linear ]; then
		dmlive resume t/vm1 --background > "$out" 2> "$err"
		dmlive stream $MAP speed 0 2> /dev/null
	elif ! cmp -s expected.raw $V; then
		in_place > "$out" 2> "$err"
	fi
	wait_until -t 20 is_right
}

tell()
{
	diag "step $1: $(cat "$out" "$err")" \
		"$(dmsetup table; ls $records; dmlive status; dmesg | tail -n 3)"
}

# A volume that may be used with its own table has all the data, or its old content.
bare_is_right()
{
	! has_own_table || cmp -s expected.raw $V || { [ ! -e "$record" ] && cmp -s dirt $V; }
}

# sweep LABEL COMMAND... - kill it at each step. again: before the next one.
sweep()
{
	local step first=$((1 + RANDOM % 3))
	diag "$1: from step $first"
	for ((step = first; step < 40; step += 3)); do
		again || { tell $step; break; }
		killed_at $step "${@:2}" || break
		[ $((RANDOM % 2)) -eq 0 ] || restart
		see && bare_is_right && end || { tell $step; step=100; }
	done
	check "$1: all is well after each step up to $step" [ $step -gt 4 -a $step -lt 40 ]
	lose_server
}

again() { soil $V; }
sweep "restore" in_place

# interrupted_at STEP - is it undone then? If not, it is restored.
interrupted_at()
{
	! KILL_AT=$1 KILL_SIGNAL=15 LD_PRELOAD=$kill_at in_place > "$out" 2> "$err"
}

soil $V
step=1
while [ $step -lt 12 ] && interrupted_at $step; do
	has_own_table && [ ! -e "$record" ] && cmp -s dirt $V &&
		! dmsetup info $INNER > /dev/null 2>&1 || { tell $step; break; }
	step=$((step + 1))
done
is "interrupted: undone before the swap, and not after that" $step 6
check "interrupted: restored" wait_until -t 20 is_right
lose_server

label="killed before it began"
soil $V
KILL_AT=4 LD_PRELOAD=$kill_at in_place > "$out" 2> "$err"
restart
see
run 0 "$label: resume --all" dmlive resume --all
like "$label: it is said" "$(cat "$out")" "$MAP: .*has not begun.*dmlive resume $MAP"
check "$label: resumed" end

# Killed while it is resumed, after a restart.
again()
{
	soil $V
	in_place --speed 1M --background > "$out" 2> "$err"
	restart
	see
}
sweep "resume" dmlive resume t/vm1
give_up() { dmlive detach t/vm1 --force; }
again()
{
	soil $V
	in_place --speed 1M --background > "$out" 2> "$err"
}
end()
{
	[ ! -e "$record" ] || give_up > "$out" 2> "$err"
	wait_until -t 20 is_over && ! dmsetup info $INNER > /dev/null 2>&1
}
sweep "given up" give_up
finish
