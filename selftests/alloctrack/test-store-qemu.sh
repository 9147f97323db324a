#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The metadata device is a qcow2 image that QEMU can read: it is marked as in use while
# it is, afterwards it is clean and QEMU sees the same bits. Other bitmaps in it are left
# alone.

. "$(dirname "$0")/store.sh"

# store_of SECTORS BLOCK_SECTORS - the whole life of a metadata device.
store_of()
{
	local size=$1 block=$2 before

	label="$1 sectors, blocks of $2"
	file=$(make_disk 40) && backing=$(make_painted backing 40) &&
		meta=$(make_meta "$size" "$block" --bitmap alloctrack:auto \
			--bitmap other:64K --bitmap third:1M:auto) || bail "disks"
	meta_create t "$size" "$file" "$backing" "$meta" "$block"
	read_meta "$meta" "$TMP/meta"
	is "$label: in use from the start" "$(flags_in "$TMP/meta")" "auto in-use"
	check "$label: I/O" blkmodel $T --initial "$backing" --ops 60 \
		--max-io 512K --block-size $((block * 512))
	check "$label: a flush" sync $T
	read_meta "$meta" "$TMP/meta"
	is "$label: in use with bits" "$(flags_in "$TMP/meta")" "auto in-use"
	check "$label: qemu-img check while it is in use" qemu-img check -q "$TMP/meta"
	before=$(at_allocated t)
	is "$label: after a flush all bits are on disk" "$(nr_set "$TMP/meta" "$block")" "$before"
	dm_remove t
	read_meta "$meta" "$TMP/meta"
	is_sane "$label" "$TMP/meta" $((block * 512))
	is "$label: the number of bits" "$(nr_set "$TMP/meta" "$block")" "$before"
	bits_agree "$label: QEMU sees the same bits" "$TMP/meta"
	is "$label: other bitmaps are untouched" "$(others "$TMP/meta")" \
		"other  0 third auto 0"
}

# NAME FLAGS NUMBER_OF_BITS of the bitmaps other than the target's.
others()
{
	dmlive meta dump "$1" --json | jq -r '[.bitmaps[] |
		select(.name != "alloctrack") | "\(.name) \(if .auto then "auto"
			else "" end) \(."set-bytes")"] | join(" ")'
}

# QEMU itself sets bits: the target takes them as its allocation.
written_by_qemu()
{
	local size=65536 block=128

	label="bits by QEMU"
	file=$(make_painted stale 32) && backing=$(make_painted backing 32) &&
		meta=$(make_meta $size $block) || bail "disks"
	read_meta "$meta" "$TMP/meta"
	qemu-io -f qcow2 -c 'write -q 1M 64k' -c 'write -q 3M 200k' "$TMP/meta" ||
		bail "qemu-io"
	[ "$(stat -c %s "$TMP/meta")" -le $(($(sectors "$meta") * 512)) ] ||
		meta=$(make_disk 2) || bail "a larger disk"
	bits_by_qemu "$TMP/meta" > "$TMP/bits"
	is "$label: there are some" "$(< "$TMP/bits")" $'1048576 65536\n3145728 262144'
	write_meta "$TMP/meta" "$meta"
	meta_create t $size "$file" "$backing" "$meta" $block
	is "$label: they are allocated" "$(at_allocated t)" 5
	check_fails "$label: and the file is read there" cmp "$T" "$backing"
	dm_remove t
	read_meta "$meta" "$TMP/meta"
	is_sane "$label" "$TMP/meta" $((block * 512))
	bits_by_qemu "$TMP/meta" > "$TMP/bits.after"
	check "$label: they are still there" cmp "$TMP/bits" "$TMP/bits.after"
}

# An image whose bitmap was made by QEMU and prepared by dmlive, with an unusual cluster
# size.
prepared()
{
	local size=65536 block=8 cluster=$1

	label="prepared, clusters of $cluster"
	file=$(make_painted stale 32) && backing=$(make_painted backing 32) &&
		meta=$(make_disk 4) || bail "disks"
	rm -f "$TMP/meta"
	qemu-img create -q -f qcow2 -o "cluster_size=$cluster" "$TMP/meta" 32M &&
		qemu-img bitmap --add -g 4K "$TMP/meta" alloctrack &&
		qemu-img bitmap --add --disable -g 64K "$TMP/meta" other &&
		qemu-io -f qcow2 -c 'write -q 1M 64k' "$TMP/meta" || bail "qemu-img"
	write_meta "$TMP/meta" "$meta"
	check_fails "$label: refused before that" dmsetup create t --table \
		"$(meta_table $size "$file" "$backing" "$meta" $block)"
	dmsetup remove t 2> /dev/null
	check "$label: dmlive meta prepare" dmlive meta prepare "$TMP/meta"
	write_meta "$TMP/meta" "$meta"
	meta_create t $size "$file" "$backing" "$meta" $block
	is "$label: its bits are the allocation" "$(at_allocated t)" 16
	check "$label: the file is read there" cmp -n 65536 -i 1048576 $T "$file"
	check "$label: the backing elsewhere" cmp -n 65536 -i 8388608 $T "$backing"
	check "$label: a write" dd_write $T 2097152 1048576
	check "$label: part of a block" dd_write $T 30000640 512
	check "$label: a flush" sync $T
	before=$(at_allocated t)
	dm_remove t
	read_meta "$meta" "$TMP/meta"
	is_sane "$label" "$TMP/meta" 4096
	is "$label: the number of bits" "$(nr_set "$TMP/meta" $block)" "$before"
	bits_agree "$label: QEMU sees the same bits" "$TMP/meta"
}

store_of 65536 8
store_of 81912 128
store_of 81912 4096
store_of 16 8
written_by_qemu
prepared 512
prepared 4k
prepared 64k
finish
