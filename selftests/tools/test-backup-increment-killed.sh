#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A backup with a bitmap that is interrupted or killed at any time loses no change: the
# next one, on the last committed base, is right. An image that is complete but not
# committed is never accepted as a base.

. "$(dirname "$0")/increment-lib.sh"
require_command strace

make_tracked g 8
run 0 "full" dmlive backup g 0.qcow2 --bitmap B
last=0.qcow2 number=0

# next LABEL - an increment on the last base, after a write, is right.
next()
{
	local image=n$((++number)).qcow2
	change g $((number * 300)) 9
	content g ref
	run 0 "$1: the next increment" dmlive backup g $image --bitmap B --base $last --no-full
	is_increment $image $last "$1"
	same_image $image ref
	is_committed g $image "$1"
	last=$image
}

for signal in INT TERM KILL; do
	label="SIG$signal"
	change g 50 9000
	SPEED=1M start_backup g x.qcow2 --bitmap B --base $last --no-full
	change g 60 2000
	kill -$signal $backup
	wait $backup 2> /dev/null
	generation=$(record $last generation)
	is "$label: the old generation" "$(bitmap_of g generation)" "$generation"
	next "$label"
	check "$label: no output" [ ! -e x.qcow2 ]
done

# Before the system call that gives the complete image its name, and after it: nothing
# is committed.
change g 4000 500
strace -qq -f -o "$TMP/strace" -e trace=renameat2 \
	-e inject=renameat2:signal=KILL \
	dmlive backup g u.qcow2 --bitmap B --base $last --no-full > "$out" 2> "$err"
check "the image has its name" mv u.qcow2.partial u.qcow2
check "it is complete" qemu-img check -q u.qcow2
is "the old generation" "$(bitmap_of g generation)" "$(record $last generation)"
run 3 "not committed: no base" dmlive backup g y.qcow2 --bitmap B --base u.qcow2 --no-full
says "the reason" "not committed"
next "published, not committed"
run 3 "nor later" dmlive backup g y.qcow2 --bitmap B --base u.qcow2 --no-full
finish
