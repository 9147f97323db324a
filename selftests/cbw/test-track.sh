#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# Every enabled bitmap has a bit for each block that was written, discarded or zeroed, at
# its own granularity. Others are left alone. QEMU reads the same bits.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((64 * 2048 - 8))
origin=$(make_painted 64) || bail "origin"

create()
{
	dm_create t "$(track_table $SIZE "$origin" "$meta" 128)" || bail "t"
}

# lives - bits are kept however often the device is removed and created.
lives()
{
	label="recording"
	meta=$(make_meta $SIZE fine:4K:auto coarse:1M:auto off:64K dmlive-intent:16M) ||
		bail "meta"
	create
	is_so "state" "$(tracking state)" rw
	is_so "bitmaps" "$(tracking count)" 3
	is_so "nothing is open" "$(tracking regions)" 0/4
	read_meta
	is_so "in use" "$(flags_of fine)" "auto in-use"
	is_so "the intent bitmap too" "$(flags_of dmlive-intent)" in-use
	is_so "the disabled one is not" "$(flags_of off)" ""
	check_so "a write" dd_write $T 1048576 4096
	check_so "a write over an edge" dd_write $T 2095104 8192
	check_so "a discard" blkdiscard -o 5242880 -l 1048576 $T
	check_so "write-zeroes" blkdiscard -z -o 8388608 -l 4096 $T
	check_so "the end" dd_write $T $((SIZE * 512 - 512)) 512
	is_so "fine" "$(tracking fine)" "recording $((1 + 3 + 256 + 1 + 1))"
	is_so "coarse" "$(tracking coarse)" "recording 5"
	is_so "off" "$(tracking off)" "disabled 0"
	is_so "two regions are open" "$(tracking regions)" 2/4
	check_so "suspend and resume" dmsetup suspend t
	read_meta
	is_so "closed while suspended" "$(flags_of fine)" auto
	dmsetup resume t
	is_so "fine is as it was" "$(tracking fine)" "recording 262"
	is_so "nothing is open" "$(tracking regions)" 0/4
	check_so "another table" dm_reload t "$(track_table $SIZE "$origin" "$meta" 8)"
	is_so "fine is as it was" "$(tracking fine)" "recording 262"
	check_so "and another write" dd_write $T 0 512
	is_so "fine goes on" "$(tracking fine)" "recording 263"
	dm_remove t
	read_meta
	is_sane "closed"
	is_so "no flag is left" "$(flags_of fine)" auto
	bits_of fine > "$TMP/bits"
	is_so "the bits" "$(< "$TMP/bits")" "$(printf '%s\n' "0 4096" "1048576 4096" \
		"2093056 12288" "5242880 1048576" "8388608 4096" \
		"$((SIZE * 512 - 4096)) 4096")"
	is_so "nothing is intended" "$(bits_of dmlive-intent)" ""
	is_so "the other is as it was" "$(bits_of off)" ""
}

# Bits set by QEMU are loaded; QEMU reads recorded bits.
with_qemu()
{
	label="QEMU"
	rm -f "$TMP/meta"
	qemu-img create -q -f qcow2 "$TMP/meta" $((SIZE * 512)) &&
		qemu-img bitmap --add -g 64K "$TMP/meta" B &&
		qemu-io -f qcow2 -c 'write -q 1M 64k' -c 'write -q 3M 200k' "$TMP/meta" ||
		bail "qemu-img"
	dmlive meta prepare "$TMP/meta" || bail "prepare"
	meta=$(make_disk 4) && write_meta "$TMP/meta" "$meta" || bail "meta"
	create
	is_so "its bits are there" "$(tracking B)" "recording 5"
	check_so "a write" dd_write $T 10485760 512
	dm_remove t
	read_meta
	is_sane "after"
	rm -f "$TMP/copy"
	qemu-img create -q -f qcow2 "$TMP/copy" $((SIZE * 512)) &&
		qemu-img bitmap --add -g 64K "$TMP/copy" B || bail "copy"
	check_so "QEMU merges it" qemu-img bitmap --merge B -b "$TMP/meta" -F qcow2 \
		"$TMP/copy" B
	is_so "QEMU has the bits" "$(bits_of B "$TMP/copy")" \
		$'1048576 65536\n3145728 262144\n10485760 65536'
}

many()
{
	local i length list=()
	label="twenty"
	for ((i = 0; i < 20; i++)); do
		list+=("b$i:$((512 << i)):auto")
	done
	meta=$(make_meta $SIZE "${list[@]}" dmlive-intent:1M) || bail "meta"
	create
	check_so "a write" dd_write $T 12345344 512
	is_so "all have it" "$(dm_status t | grep -o 'recording 1 ' | wc -l)" 20
	dm_remove t
	read_meta
	is_sane "closed"
	for ((i = 0; i < 20; i++)); do
		# The last bit ends with the device.
		length=$((512 << i < SIZE * 512 ? 512 << i : SIZE * 512))
		[ "$(bits_of b$i)" = "$((12345344 >> (9 + i) << (9 + i))) $length" ] || break
	done
	is_so "and have it on disk" $i 20
}

# A read-only table never changes the metadata.
read_only()
{
	label="read-only"
	meta=$(make_meta $SIZE B:64K:auto dmlive-intent:16M) || bail "meta"
	read_meta
	cp "$TMP/meta" "$TMP/before"
	dm_create t "$(track_table $SIZE "$origin" "$meta" 128)" --readonly || bail "t"
	is_so "the status shows it" "$(tracking state)" ro
	is_so "nothing records" "$(tracking B)" "disabled 0"
	check_so "it reads" dd_read $T 0 4096
	dmsetup suspend t && dmsetup resume t
	dm_remove t
	read_meta
	check_so "nothing has changed" cmp "$TMP/meta" "$TMP/before"
}

refused()
{
	label="refused"
	meta=$(make_meta $SIZE alloctrack:64K:auto) || bail "meta"
	log_mark
	check_fails "$label: the store of a restore" dm_create t \
		"$(track_table $SIZE "$origin" "$meta" 128)"
	like "$label: the log says why" "$(log_since)" "that of a restore"
	meta=$(make_meta $((SIZE - 8)) B:64K:auto) || bail "meta"
	check_fails "$label: of another size" dm_create t \
		"$(track_table $SIZE "$origin" "$meta" 128)"
	check_fails "$label: the origin" dm_create t \
		"$(track_table $SIZE "$origin" "$origin" 128)"
	meta=$(make_meta $SIZE B:64K:auto dmlive-intent:16M) || bail "meta"
	create
	log_mark
	check_fails "$label: in use by another" dm_create t2 \
		"$(track_table $SIZE "$origin" "$meta" 128)"
	like "$label: the log says why" "$(log_since)" "another target uses it"
	dmsetup remove t2 2> /dev/null
	check_so "the first goes on" dd_write $T 0 4096
	dm_remove t
}

lives
with_qemu
many
read_only
refused
finish
