#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Reading the bits at a resume, while the guest waits, takes a few large requests, and
# none if the metadata device was not written to since it was closed. Writes by QEMU and
# dmlive are noticed, and so is an older copy that was put back. After a crash all bits
# are written again with the next flush, which flushes the volume once.

. "$(dirname "$0")/store.sh"

readonly BLOCK=8 GIB=256
readonly SIZE=$((GIB << 21)) BITS_SECTORS=$((GIB * 64))

file=$(make_disk $((GIB << 10)) 512 cache_size=1) && disk=$(make_meta $SIZE $BLOCK) &&
	meta=$(make_linear m "$disk") || bail "disks"

# reads, sectors_read, sectors_written - of the metadata device; flushes - of the volume.
reads()
{
	awk '{ print $1 }' "/sys/dev/block/$(dm_number m)/stat"
}

sectors_read()
{
	awk '{ print $3 }' "/sys/dev/block/$(dm_number m)/stat"
}

sectors_written()
{
	awk '{ print $7 }' "/sys/dev/block/$(dm_number m)/stat"
}

flushes()
{
	awk '{ print $16 }' "/sys/block/${file#/dev/}/stat"
}

create()
{
	meta_create t $SIZE "$file" - "$meta" $BLOCK
}

bits_on_disk()
{
	read_meta "$disk" "$TMP/meta" && nr_set "$TMP/meta" $BLOCK
}

# few_reads DESCRIPTION COMMAND... - the command does not read the bits.
few_reads()
{
	local reads sectors

	reads=$(reads)
	sectors=$(sectors_read)
	check "$1" "${@:2}"
	reads=$(($(reads) - reads)) sectors=$(($(sectors_read) - sectors))
	diag "$1: $reads reads, $sectors sectors"
	check "$1: in few requests" [ $reads -le 16 ]
	check "$1: without the bits" [ $sectors -lt $((BITS_SECTORS / 2)) ]
}

undisturbed()
{
	local before

	before=$(reads)
	create
	before=$(($(reads) - before))
	diag "first resume: $before reads"
	check "the first resume takes few requests" [ $before -le 40 ]
	dmsetup suspend t
	read_meta "$disk" "$TMP/older"
	dmsetup resume t
	check "blocks become allocated" dd_write $T $((5 << 30)) 1048576
	few_reads "suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	few_reads "again" eval "dmsetup suspend t && dmsetup resume t"
	few_reads "another table" dm_reload t \
		"$(meta_table $SIZE "$file" - "$meta" $BLOCK stream_speed 1000)"
	check "a flush" sync $T
	is "the bits are on disk" "$(bits_on_disk)" 256
}

# disturbed DESCRIPTION COMMAND... - the command changes the file $TMP/meta, which becomes
# the content of the metadata device while t is suspended. The bits in memory are right.
disturbed()
{
	dmsetup suspend t || bail "suspend"
	read_meta "$disk" "$TMP/meta" || bail "read"
	check "$1" "${@:2}"
	is "$1: the bits are gone" "$(nr_set "$TMP/meta" $BLOCK)" 0
	write_meta "$TMP/meta" "$disk" || bail "write"
	check "$1: resume" dmsetup resume t
	check "$1: a flush" sync $T
	is "$1: the bits are on disk again" "$(bits_on_disk)" 256
}

by_qemu()
{
	qemu-img bitmap --clear "$TMP/meta" alloctrack && dmlive meta prepare "$TMP/meta"
}

after_a_crash()
{
	local flushes written

	read_meta "$disk" "$TMP/crashed"
	dm_remove t
	write_meta "$TMP/crashed" "$disk"
	flushes=$(flushes) written=$(sectors_written)
	create
	is "after a crash: the blocks are allocated" "$(at_allocated t)" 256
	check "after a crash: one more block" dd_write $T 0 4096
	check "after a crash: a flush" sync $T
	flushes=$(($(flushes) - flushes)) written=$(($(sectors_written) - written))
	diag "after a crash: $flushes flushes of the volume, $written sectors of metadata"
	check "after a crash: the volume is flushed once, or a second time by the timer" \
		[ $flushes -ge 1 -a $flushes -le 2 ]
	check "after a crash: all bits are written again" [ $written -ge $BITS_SECTORS ]
	is "after a crash: all bits are on disk" "$(bits_on_disk)" 257
	dm_remove t
	read_meta "$disk" "$TMP/meta"
	is_sane "in the end" "$TMP/meta" 4096
}

undisturbed
disturbed "cleared by QEMU" by_qemu
disturbed "cleared by dmlive" dmlive bitmap clear "$TMP/meta" alloctrack --force
disturbed "an older copy" cp "$TMP/older" "$TMP/meta"
after_a_crash
finish
