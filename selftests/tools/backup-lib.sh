# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of `dmlive backup`, on top of restore-lib.sh. A guest is a cbw device. $TMP
# is in memory, and so are the images.

# shellcheck source=restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"
require_target cbw cbw-snapshot
require_module null_blk loop

# make_guest NAME MIB [BLOCK_SECTORS [SECTORS]] - a cbw device over a disk with random
# data and zeros. Sets $disk to the disk.
make_guest()
{
	disk=$(make_disk "$2") || bail "disk"
	random_raw "$TMP/paint" "$2"
	dd if="$TMP/paint" of="$disk" bs=1M oflag=direct status=none
	rm "$TMP/paint"
	dm_create "$1" "0 ${4:-$(sectors "$disk")} cbw $disk - ${3:-128}" || bail "$1"
	before[$1]=$(dmsetup table "$1")
}
declare -A before

# content NAME FILE - copy the device's content; nothing may write to it.
content()
{
	dd if="/dev/mapper/$1" of="$2" bs=1M iflag=direct status=none
}

# is_idle NAME LABEL - the device is as it was before the backup, and the backup has left
# nothing behind.
is_idle()
{
	is "$2: the table is as it was" "$(dmsetup table "$1")" "${before[$1]}"
	is "$2: not suspended" "$(dmsetup info -c --noheadings -o suspended "$1")" Active
	is "$2: no view" "$(dmsetup ls | grep -c dmlive-view)" 0
	wait_until -t 20 no_loop_devices
	result $? "$2: no loop device"
	is "$2: nothing in /run" "$(ls -A /run/dmlive 2>/dev/null)" ""
}

no_loop_devices()
{
	! losetup -l | grep -q dmlive
}

# same_image IMAGE FILE - an image has the content of a raw file, and no errors.
same_image()
{
	local format=raw
	[[ $1 != *.qcow2 ]] || format=qcow2
	[ $format = raw ] || check "$1: qemu-img check" qemu-img check -q "$1"
	is "$1: size" "$(qemu-img info -f $format --output json "$1" | jq '."virtual-size"')" \
		"$(stat -c %s "$2")"
	check "$1: content" qemu-img compare -q -f $format -F raw "$1" "$2"
}

# start_backup ARGUMENT... - start a backup in the background, with a low speed, so that
# it does not end too soon, and wait until it has begun. Sets $backup to the process.
# SPEED changes the speed.
start_backup()
{
	: > "$out"
	# With job control, since bash would make it ignore SIGINT otherwise.
	set -m
	dmlive backup "$@" --speed "${SPEED:-2M}" > "$out" 2> "$err" < /dev/null &
	backup=$!
	set +m
	wait_until grep -q "point.in.time" "$out" || bail "backup: $(cat "$err")"
}

# ends STATUS DESCRIPTION - the backup ends with that status.
ends()
{
	wait "$backup"
	is "$2" $? "$1"
}

# write_on DEVICE... - start a writer, see prefix.c. Sets $writer to the process. PAUSE
# is the time between two writes in microseconds.
write_on()
{
	rm -f "$TMP/writer.out"
	prefix --pause "${PAUSE:-0}" write "$@" > "$TMP/writer.out" 2> "$TMP/writer.err" &
	writer=$!
	on_exit stop_process $writer
	wait_until grep -q started "$TMP/writer.out" || bail "writer: $(cat "$TMP/writer.err")"
}

# still_writes DESCRIPTION - the writer has met no error. Ends it.
still_writes()
{
	check "$1" is_running "$writer"
	kill -TERM "$writer"
	wait "$writer"
	is "$1: no write has failed" "$?" 0
}

# cow_writes - the number of guest writes that waited, from the last backup with --json.
cow_writes()
{
	tail -n 1 "$out" | jq .cow_writes
}

# is_stopped - has strace, the process $tracer, stopped a dmlive for good? Sets $pid to it.
is_stopped()
{
	# strace also stops it between calls, for a short time.
	grep -q 'stopped by SIGSTOP' "$TMP/strace" && pid=$(pgrep -x -P "$tracer" dmlive)
}
