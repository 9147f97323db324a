#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# `dmlive status --watch` draws each device again and again, with its progress and errors, and
# follows what changes, until it is interrupted.

. "$(dirname "$0")/attach-lib.sh"
require_command script

# start [ROWS] - on a terminal of its own.
start()
{
	: > screen
	script -qfc "stty rows ${1:-24} cols 80; exec dmlive status --watch" screen \
		> /dev/null 2>&1 < /dev/null &
	watcher=$!
	on_exit stop_process $watcher
}

# drawn REGEX: in one of the last frames.
drawn()
{
	tail -c 3000 screen | grep -qE -- "$1"
}

# draws DESCRIPTION REGEX
draws()
{
	check "$1" wait_until -t 30 drawn "$2" || diag "$(tail -c 1000 screen | cat -v)"
}

run 2 "without a terminal" dmlive status --watch
says "the way out" "--json and --metrics"
run 2 "with a device" dmlive status --watch a
start
draws "nothing is there" "no device is being restored"

disk=$(make_disk 8 512) meta=$(make_disk 4 512) || bail "disks"
make_image image.qcow2 8
run 0 "restore" dmlive restore image.qcow2 "$disk" --name r --force --background --speed 256K
on_exit end_restore r
draws "a restore: a bar, the rate and what is left" 'r  \[#*\.*\] +[0-9]+%.*iB/s.* left'
make_a
run 0 "store" dmlive meta format "$meta" --size 8M --track --bitmap B:64K --force
run 0 "attach" dmlive attach a --meta "$meta"
draws "an attached device" "a  attached, no session"
dd if=/dev/urandom of=/dev/mapper/a bs=64K count=2 oflag=direct conv=notrunc status=none
draws "its bitmap" "bitmap B: 128.0 KiB changed"
dmlive stream r cancel
dm_remove r
restore_is_gone()
{
	! tail -c 200 screen | grep -q 'r  \['
}
check "the restore is gone" wait_until -t 30 restore_is_gone
dmsetup suspend a
draws "a suspended device" "a .*suspended"
dmsetup resume a
stop_process $watcher
start 4
draws "a small terminal: not more than it has" '^  \.\.\.'
stop_process $watcher
run 0 "detach" dmlive detach a
finish
