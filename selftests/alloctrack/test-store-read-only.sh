#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A read-only table never writes to the volume or the metadata, and reads as the
# metadata says; also with a store that was not closed or not prepared.

. "$(dirname "$0")/store.sh"

readonly SIZE=32768 BLOCK=128

# The content of the devices.
fingerprint()
{
	cat "$file" "$meta" | sha256sum
}

# shown LABEL FILE - a read-only device with this metadata returns the right data.
shown()
{
	local before after

	write_meta "$2" "$meta"
	blockdev --flushbufs "$file"
	before=$(fingerprint)
	dm_create t "$(meta_table $SIZE "$file" "$backing" "$meta" $BLOCK)" --readonly ||
		bail "create"
	is "$1: the status shows it" "$(at_status t 1)" ro
	check "$1: the data is right" cmp $T "$TMP/content"
	check_fails "$1: no writes" dd_write $T 0 65536
	check_fails "$1: no writes to allocated blocks" dd_write $T $((1 << 20)) 512
	check_fails "$1: no discards" blkdiscard -o 0 -l 65536 $T
	check_fails "$1: no streaming" message t stream start
	check "$1: a flush" sync $T
	dmsetup suspend t && dmsetup resume t
	check "$1: the data is right after a suspend" cmp $T "$TMP/content"
	dm_remove t
	blockdev --flushbufs "$file" "$meta"
	after=$(fingerprint)
	is "$1: nothing was written" "$after" "$before"
}

file=$(make_painted stale 16) && backing=$(make_painted backing 15) &&
	meta=$(make_meta $SIZE $BLOCK) || bail "disks"
meta_create t $SIZE "$file" "$backing" "$meta" $BLOCK
check "some I/O" blkmodel $T --initial "$backing" --ops 40 --max-io 256K
check "in a known block" dd_write $T $((1 << 20)) 65536 oflag=dsync
cat $T > "$TMP/content"
read_meta "$meta" "$TMP/open"
dm_remove t
read_meta "$meta" "$TMP/closed"

shown "closed" "$TMP/closed"
shown "not closed" "$TMP/open"
# The same bits, in an image that was not prepared.
cp "$TMP/closed" "$TMP/plain"
printf 'xxxx' | dd of="$TMP/plain" bs=1 seek=112 conv=notrunc status=none
shown "not prepared" "$TMP/plain"
finish
