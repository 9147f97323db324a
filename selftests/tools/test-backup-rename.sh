#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml uml-udev
#
# A device can be renamed at any time, and commands on it continue: a backup leaves nothing
# behind, a killed backup is found under the new name, a detach and a restore complete. A
# device that has the old name by then is a different one and is not touched.

. "$(dirname "$0")/backup-lib.sh"
require_command strace

# rename OLD NEW
rename()
{
	check "$1 becomes $2" dmsetup rename "$1" "$2"
	before[$2]=${before[$1]:-}
}

make_guest a 8
content a a.ref
out=$TMP/a.out err=$TMP/a.err start_backup a a.raw
rename a b
run 3 "another backup, by the new name" dmlive backup b b.raw
says "it reports the running one" "being backed up.*process $backup"
run 3 "detach by the new name" dmlive detach b
# Another device with the old name.
lower=$(dmsetup table b) && make_guest a 8
run 0 "a new device of the old name" dmlive backup a a2.raw
check "it has its own content" cmp a2.raw /dev/mapper/a
is "the renamed one is not touched" "$(dmsetup table b)" "$lower"
run 3 "and its backup is still known" dmlive backup b b.raw
ends 0 "the backup of the renamed device"
like "its name is reported" "$(cat "$TMP/a.err")" "a is called b now"
check "its content" cmp a.raw a.ref
is_idle b "after the rename"
dm_remove a

# Error messages have both names.
out=$TMP/a.out err=$TMP/a.err start_backup b broken.raw
rename b a
check "the session is ended" dmsetup message a 0 session cancel
ends 4 "a session that was ended"
like "the message has both names" "$(cat "$TMP/a.err")" "b \\(called a now\\): the session"
is_idle a "after a session that was ended"
rename a b

# Killed: the remains are found by the new name.
start_backup b b.raw
rename b c
kill -KILL $backup
wait $backup 2> /dev/null
run 0 "the next backup" dmlive backup c c.raw
like "it reports the remains" "$(cat "$err")" "interrupted"
check "its content" cmp c.raw a.ref
is_idle c "after one that was killed"
dm_remove c

# renamed_before CALL NUMBER OLD NEW COMMAND... - rename it just before this system call.
renamed_before()
{
	rm -f "$TMP/strace"
	strace -qq -o "$TMP/strace" -e "trace=$1" -e "inject=$1:signal=STOP:when=$2" \
		"${@:5}" > "$out" 2> "$err" < /dev/null &
	tracer=$!
	wait_until is_stopped || bail "not stopped: $(cat "$err")"
	rename "$3" "$4"
	kill -CONT "$pid"
	wait $tracer
}

# The guard's sockets are made when a table is loaded and not yet active.
make_linear l "$(make_disk 8)" > /dev/null || bail "l"
plain=$(dmsetup table l)
renamed_before socketpair 1 l m dmlive attach l
is "attach: status" $? 0
is "attach: it has cbw" "$(dm_target m)" cbw
renamed_before socketpair 1 m n dmlive detach m
is "detach: status" $? 0
is "detach: its own table" "$(dmsetup table n)" "$plain"
is "detach: no inner device" "$(dmsetup ls | grep -c dmlive)" 0
dm_remove n

# The server of a restore.
qemu-img convert -O qcow2 a.ref r.qcow2
target=$(make_disk 8)
run 0 "restore" dmlive restore r.qcow2 "$target" --name r --background --speed 2M
rename r s
is "status by the new name: its server" "$(dmlive status s --json | jq .server)" \
	"$(head -n 1 /run/dmlive/r.lock)"
run 3 "it is served" dmlive resume s r.qcow2
run 0 "its speed" dmlive stream s speed 0
is_finished()
{
	[ "$(dm_target s)" = linear ] && [ -z "$(ls -A /run/dmlive)" ]
}
check "the restore ends, and leaves nothing" wait_until -t 30 is_finished
check "its content" cmp "$target" a.ref
dm_remove s
finish
