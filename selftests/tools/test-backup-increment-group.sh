#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# Full backups with new bitmaps and increments of several devices in one command have one
# point in time, also under writes. Writes during an increment are in the next one. A
# problem with one device concerns all of them, or only that one, as the options say.

. "$(dirname "$0")/increment-lib.sh"
require_command fio

# a and b get numbered writes in turn, one after the other; fio writes to c.
make_tracked a 16 8 --bitmap B:4K
make_tracked b 16 128 --bitmap B:4K
make_tracked c 16 128 --bitmap B:64K

start_fio()
{
	fio --name load --filename /dev/mapper/c --direct 1 --ioengine io_uring --iodepth 8 \
		--numjobs 2 --rw randrw --rwmixread 20 --bsrange 512-64k \
		--rate_iops 200 --time_based --runtime 600 --thread > "$TMP/fio.log" 2>&1 &
	fio=$!
	on_exit stop_process $fio
	wait_until is_written c || bail "fio: $(cat "$TMP/fio.log")"
}

# fio reports nothing until it ends; it has started when bits are set.
is_written()
{
	[ "$(bitmap_of "$1" set-bytes)" -gt 0 ]
}

stop_fio()
{
	check "$1: fio continues" is_running $fio
	kill -TERM $fio
	wait $fio
	check "$1: without an error" eval '! grep -i "error" "$TMP/fio.log"'
}

# one_moment LABEL A B - the chains of both images have the same point in time.
one_moment()
{
	local image
	for image in "$2" "$3"; do
		check "$1: qemu-img check $image" qemu-img check -q "$image"
		qemu-img convert -O raw "$image" "$image.raw" || not_ok "$1: convert"
	done
	check "$1: one point in time" prefix check "$2.raw" "$3.raw"
	rm "$2.raw" "$3.raw"
}

# So that a block that is missing in an increment is not rewritten before the next one.
PAUSE=5000 write_on /dev/mapper/a /dev/mapper/b
start_fio
run 0 "full, with new bitmaps" dmlive backup a a0.qcow2 b b0.qcow2 c c0.qcow2 --bitmap B
one_moment "full, with new bitmaps" a0.qcow2 b0.qcow2
for name in a b c; do
	is_full ${name}0.qcow2 "full, $name"
	is_committed $name ${name}0.qcow2 "full, $name"
done

# none_of LABEL FILE... - none of the files exists.
none_of()
{
	is "$1: no output" "$(ls -d "${@:2}" 2> /dev/null)" ""
}

last=0
# increments LABEL OPTION... - make increments of all three.
increments()
{
	local n=$((last + 1)) name

	run 0 "$1" dmlive backup a a$n.qcow2 b b$n.qcow2 c c$n.qcow2 --bitmap B --no-full \
		--base a$last.qcow2 --base b$last.qcow2 --base c$last.qcow2 "${@:2}"
	one_moment "$1" a$n.qcow2 b$n.qcow2
	for name in a b c; do
		is_increment $name$n.qcow2 $name$last.qcow2 "$1, $name"
		is "$1, $name: the bitmap belongs to it" "$(bitmap_of $name generation)" \
			"$(record $name$n.qcow2 generation)"
	done
	last=$n
}

for i in 1 2; do
	increments "increments under load, $i"
done

# Without fio the last image of c has the present content of c; so no write is missing.
stop_fio "under load"
content c c.ref
increments "fio has ended"
same_image c$last.qcow2 c.ref
check "an increment has the writes of fio" [ "$(stat -c %s c1.qcow2)" -gt 1000000 ]

# Killed while it copies: nothing is committed, and nothing is lost.
start_fio
SPEED=1M start_backup a ax.qcow2 b bx.qcow2 c cx.qcow2 --bitmap B --no-full \
	--base a$last.qcow2 --base b$last.qcow2 --base c$last.qcow2
kill -KILL $backup
wait $backup 2> /dev/null
increments "after one that was killed"
stop_fio "after one that was killed"
none_of "killed" ax.qcow2 bx.qcow2 cx.qcow2
content c c.ref
increments "fio has ended again"
same_image c$last.qcow2 c.ref

# One of them cannot have an increment: all are refused, or that one becomes full.
generations()
{
	local name
	for name in a b c; do
		bitmap_of $name generation
	done
}
before_that=$(generations)
args=(a ay.qcow2 b by.qcow2 c cy.qcow2 --bitmap B --base "a$last.qcow2" --base b0.qcow2
	--base "c$last.qcow2")
run 3 "one with an older base" dmlive backup "${args[@]}" --no-full
says "one with an older base: the reason" "b0.qcow2.*older"
none_of "one with an older base" ay.qcow2 by.qcow2 cy.qcow2
is "one with an older base: the bitmaps are as they were" \
	"$(generations)" "$before_that"
run 0 "that one is full" dmlive backup "${args[@]}"
says "that one is full: the reason" "b: a full backup is made: b0.qcow2"
is_increment ay.qcow2 a$last.qcow2 "that one is full: another"
is_full by.qcow2 "that one is full"
one_moment "that one is full" ay.qcow2 by.qcow2
same_image cy.qcow2 c.ref
still_writes "the guest of a and b still writes"
content a a.ref
content b b.ref
run 0 "without writers" dmlive backup a az.qcow2 b bz.qcow2 --bitmap B --no-full \
	--base ay.qcow2 --base by.qcow2
same_image az.qcow2 a.ref
same_image bz.qcow2 b.ref
for name in a b c; do
	is_idle $name "at the end, $name"
done
finish
