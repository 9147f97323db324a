#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# With a metadata device a restore continues where it was: after a clean removal, and
# after a crash when everything was flushed.

. "$(dirname "$0")/store.sh"

readonly MIB=24 BACKING_MIB=20
size=$((MIB * 2048 - 8))

# model OPTION... - run blkmodel on t.
model()
{
	blkmodel "$T" --initial "$backing" --block-size $((block * 512)) "$@"
}

create()
{
	meta_create t $size "$file" "$backing" "$meta" "$block" "$@"
}

streamed_some()
{
	[ "$(at_status t 5)" -gt 0 ]
}

# A partial restore with guest writes: few of them, so that it does not become complete.
begin()
{
	file=$(make_painted stale $MIB) && backing=$(make_painted backing $BACKING_MIB) &&
		meta=$(make_meta $size "$block") || bail "disks"
	create stream_speed 2000000
	is "$label: nothing is allocated" "$(at_allocated t)" 0
	is "$label: the metadata is in use" "$(at_status t 1)" rw
	message t stream start
	check "$label: guest I/O while streaming" model --ops $ops --max-io 256K \
		--save-model "$TMP/model"
	wait_until streamed_some || bail "streaming"
	message t stream pause
	wait_until state_is t paused || bail "pause"
}

clean_removal()
{
	local before

	begin
	before=$(at_allocated t)
	dm_remove t
	read_meta "$meta" "$TMP/meta"
	is "$label: the bits on disk are those of the target" \
		"$(nr_set "$TMP/meta" "$block")" "$before"
	log_mark
	create
	is "$label: as many blocks are allocated" "$(at_allocated t)" "$before"
	is "$label: no job" "$(at_status t 2)" idle
	check "$label: the same data" model --load-model "$TMP/model" --verify-only
	check_fails "$label: no recovery is logged" grep -q recovered <<< "$(log_since)"
}

# The content of the disks while the device is in use is what a crash would leave.
crash()
{
	local before

	check "$label: more I/O" model --ops $ops --max-io 256K \
		--load-model "$TMP/model" --save-model "$TMP/model"
	check "$label: a flush" sync $T
	before=$(at_allocated t)
	read_meta "$meta" "$TMP/crashed"
	dm_remove t
	write_meta "$TMP/crashed" "$meta"
	is "$label: in use" "$(flags_in "$TMP/crashed")" "auto in-use"
	log_mark
	create
	is "$label: as many blocks are allocated after a crash" "$(at_allocated t)" "$before"
	like "$label: the recovery is logged" "$(log_since)" \
		"recovered, $before of [0-9]+ blocks are allocated"
	check "$label: the same data after a crash" model --load-model "$TMP/model" \
		--verify-only
}

completion()
{
	# Refused if the guest has written all remaining blocks.
	message t stream start 2> /dev/null
	message t stream_speed 0
	wait_until -t 120 state_is t complete || bail "$(dmsetup status t)"
	dm_remove t
	read_meta "$meta" "$TMP/meta"
	is_sane "$label: complete" "$TMP/meta" $((block * 512))
	create
	wait_until state_is t complete
	result $? "$label: still complete"
	dm_remove t
}

for geometry in 8:60 128:60 4096:4; do
	block=${geometry%:*} ops=${geometry#*:}
	label="blocks of $((block / 2)) KiB"
	clean_removal
	crash
	completion
done
finish
