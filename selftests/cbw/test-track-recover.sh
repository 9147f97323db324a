#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# After a crash, all blocks that may have changed count as changed: those of the regions
# that were written to or, without a valid intent bitmap, all. When the metadata cannot
# be written, no write goes unrecorded.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((128 * 2048)) REGION=16777216
origin=$(make_painted 128) || bail "origin"

create()
{
	dm_create t "$(track_table $SIZE "$origin" "$meta" 128)" || bail "t"
}

# Copy the disk as a crash would leave it now to $TMP/meta.
crash()
{
	read_meta
	dm_remove t
	write_meta "$TMP/meta" "$meta"
}

# crashed BITMAP... - a crash after writes to three regions of t.
crashed()
{
	meta=$(make_meta $SIZE B:64K:auto fine:4K:auto off:64K "$@") || bail "meta"
	create
	check_so "a write" dd_write $T 4096 4096
	check_so "a write over the edge of a region" dd_write $T $((3 * REGION - 4096)) 8192
	crash
	is_so "in use" "$(flags_of B)" "auto in-use"
}

regions()
{
	label="with intent"
	crashed dmlive-intent:16M
	is_so "the regions are on disk" "$(bits_of dmlive-intent)" \
		"$(printf '%s\n' "0 $REGION" "$((2 * REGION)) $((2 * REGION))")"
	log_mark
	create
	is_so "B" "$(tracking B)" "recording $((3 * 256))"
	is_so "fine" "$(tracking fine)" "recording $((3 * 4096))"
	is_so "off" "$(tracking off)" "disabled 0"
	is_so "it says how many" "$(tracking recovered)" $((3 * 256 + 3 * 4096))
	like "$label: the log too" "$(log_since)" "'B' was not closed cleanly: 768 of 2048"
	# Opened again while they are being closed, or after that.
	check_so "a write there" dd_write $T 8192 4096
	check_so "the regions are closed after a while" wait_until tracking_is regions 0/8
	check_so "a write elsewhere" dd_write $T $((5 * REGION)) 4096
	crash
	is_so "only that region is on disk" "$(bits_of dmlive-intent)" \
		"$((5 * REGION)) $REGION"
	is_so "the bits of the others are too" "$(bits_of B)" \
		"$(printf '%s\n' "0 $REGION" "$((2 * REGION)) $((2 * REGION))")"
	create
	is_so "B after the second crash" "$(tracking B)" "recording $((4 * 256))"
	dm_remove t
	read_meta
	is_sane "closed"
	create
	is_so "nothing to be recovered" "$(tracking recovered)" 0
	dm_remove t
}

everything()
{
	label="without intent"
	crashed
	create
	is_so "all of B" "$(tracking B)" "recording 2048"
	is_so "all of fine" "$(tracking fine)" "recording 32768"
	dm_remove t

	label="intent not in use"
	crashed dmlive-intent:16M
	clear_flag dmlive-intent
	create
	is_so "all of B" "$(tracking B)" "recording 2048"
	is_so "it is kept from now on" "$(tracking regions)" 0/8
	crash
	is_so "all of B is on disk" "$(bits_of B)" "0 $((SIZE * 512))"
	create
	is_so "and stays" "$(tracking B)" "recording 2048"
	dm_remove t

	label="not kept"
	crashed dmlive-intent:16M
	# The flags of the state, behind the header and two words.
	printf '\0\0\0\2' | dd of="$TMP/meta" bs=1 seek=124 conv=notrunc status=none
	write_meta "$TMP/meta" "$meta"
	create
	is_so "all of B" "$(tracking B)" "recording 2048"
	dm_remove t
}

# clear_flag NAME - clear its IN_USE, in $TMP/meta and on $meta. The flags are at byte 12
# of the entry, the name is at byte 24.
clear_flag()
{
	local at
	at=$(grep -abo "$1" "$TMP/meta" | head -n 1 | cut -d : -f 1)
	printf '\0\0\0\0' | dd of="$TMP/meta" bs=1 seek=$((at - 12)) conv=notrunc \
		status=none
	is_so "the flag is gone" "$(flags_of "$1")" ""
	write_meta "$TMP/meta" "$meta"
}

# The metadata device fails under an active target.
failing()
{
	local disk
	label="metadata fail"
	disk=$(make_meta $SIZE B:64K:auto dmlive-intent:16M) &&
		meta=$(make_linear m "$disk") || bail "meta"
	create
	check_so "a write" dd_write $T 4096 4096
	break_device m "$disk" 0 "$(sectors "$disk")"
	check_so "a region that is open can be written to" dd_write $T 1048576 4096
	check_fails "$label: another cannot" dd_write $T $REGION 4096
	is_so "the status" "$(tracking state)" failed
	check_fails "$label: nor once more" dd_write $T $REGION 4096
	check_fails "$label: nor be discarded" blkdiscard -o $REGION -l 1048576 $T
	check_so "reads go on" dd_read $T $REGION 4096
	check_so "writes to what is open too" dd_write $T 2097152 4096
	check_so "so does a flush" sync $T
	check_so "a resume without metadata" eval "dmsetup suspend t && dmsetup resume t"
	repair_device m "$disk"
	check_so "a resume with it" eval "dmsetup suspend t && dmsetup resume t"
	is_so "the status" "$(tracking state)" rw
	is_so "the written data is there" "$(tracking B)" "recording 256"
	check_so "writes go on" dd_write $T $REGION 4096
	is_so "and are recorded" "$(tracking B)" "recording 257"
	dm_remove t
	read_meta "$disk"
	is_sane "closed"
	is_so "the bits" "$(bits_of B)" "0 $((REGION + 65536))"
	dm_remove m
}

# Many writes at once, everywhere: all complete and are recorded.
storm()
{
	local block=8
	label="storm"
	meta=$(make_meta $SIZE B:64K:auto fine:4K:auto dmlive-intent:1M) || bail "meta"
	viewcheck "$origin" "$TMP/initial" paint $RANDOM
	create
	model --initial "$TMP/initial" --ops 300 --max-io 256K > "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	while is_running $guest; do
		dmsetup suspend t && dmsetup resume t || break
	done
	wait $guest
	result $? "$label: the guest reads what it wrote"
	diag "$(cat "$TMP/model")"
	dm_remove t
	read_meta
	is_sane "closed"
	check_so "every block that differs is set" all_set fine 4096
	check_so "also at the larger granularity" all_set B 65536
}

# all_set NAME GRANULARITY - each block that differs from $TMP/initial is set.
all_set()
{
	bits_of "$1" | dirtycheck "$origin" "$TMP/initial" "$2"
}

regions
everything
failing
storm
finish
