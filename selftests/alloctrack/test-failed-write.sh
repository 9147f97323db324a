#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A write that fails is reported as failed and allocates nothing, whether the file
# fails or the backing from which a block is filled.

. "$(dirname "$0")/alloctrack.sh"

# The hole: the second MiB, or the block that has it.
readonly HOLE=2048 HOLE_SECTORS=2048

# fails DESCRIPTION COMMAND... - the command fails, and nothing becomes allocated.
fails()
{
	local before
	before=$(at_allocated t)
	check_fails "$label: $1" "${@:2}"
	is_so "$1: allocates nothing" "$(at_allocated t)" "$before"
}

file_fails()
{
	local at=$((HOLE * 512 / bytes * bytes))
	local inside=$((at + bytes / 2 / lbs * lbs))

	at_create t "$size" /dev/mapper/f /dev/mapper/b "$block"
	reads_as "at first reads as the backing" "$backing"
	break_device f "$file" $HOLE $HOLE_SECTORS
	fails "a whole block" dd_write "$T" $at "$bytes"
	[ "$bytes" -eq "$lbs" ] || fails "part of a block" dd_write "$T" $inside "$lbs"
	fails "write-zeroes" blkdiscard -z -o $at -l "$bytes" "$T"
	fails "discard" blkdiscard -o $at -l "$bytes" "$T"
	# One request, which is split below the target where the hole begins.
	[ "$bytes" -gt 65536 ] || fails "a write that fails in its second half" \
		dd_write "$T" $((at - bytes)) $((2 * bytes))
	mirrored "another block" write $((2 * bytes)) "$bytes"
	repair_device f "$file"
	mirrored "reads as if nothing else had been written" --verify
	at_remove t
}

backing_fails()
{
	local at=$((HOLE * 512 / bytes * bytes))

	at_create t "$size" /dev/mapper/f /dev/mapper/b "$block"
	reads_as "at first reads as the backing" "$backing"
	break_device b "$backing" $HOLE $HOLE_SECTORS
	[ "$bytes" -eq "$lbs" ] || fails "part of a block that cannot be read from the backing" \
		dd_write "$T" $at "$lbs"
	fails "a read" dd_read "$T" $((HOLE * 512)) "$lbs"
	if [ "$bytes" -le 65536 ]; then
		mirrored "a whole block needs no backing, nor do parts of it later" \
			write $at "$bytes" write $((at + bytes - lbs)) "$lbs" \
			read $at "$bytes"
	fi
	repair_device b "$backing"
	mirrored "the rest is as before" --verify
	at_remove t
}

# Errors that come and go under random writes: a failed write leaves a sector as it
# was, or has written it.
file_is_flaky()
{
	local program breaks=0

	at_create t "$size" /dev/mapper/f /dev/mapper/b "$block"
	blkmodel "$T" --initial "$backing" --errors-allowed --ops 400 \
		--max-io 256K --block-size "$bytes" --no-verify \
		--save-model "$TMP/saved" > "$TMP/out" 2>&1 &
	program=$!
	on_exit stop_process $program
	while is_running $program; do
		break_device f "$file" $HOLE $HOLE_SECTORS
		repair_device f "$file"
		breaks=$((breaks + 1))
	done
	wait $program
	result $? "$label: random writes on a file that fails now and then" ||
		diag "$(< "$TMP/out")"
	diag "$breaks breaks; $(tail -n 1 "$TMP/out")"
	check "$label: the content afterwards" blkmodel "$T" --verify-only \
		--initial "$backing" --load-model "$TMP/saved"
	rm "$TMP/saved"
	shows_nothing_stale
	at_remove t
}

failures()
{
	make_linear f "$file" > /dev/null && make_linear b "$backing" > /dev/null ||
		bail "linear"
	file_fails
	backing_fails
	file_is_flaky
	at_remove f
	at_remove b
}

# Slow disks, so that several errors come and go during the I/O.
each_volume failures irqmode=2 completion_nsec=4000000
finish
