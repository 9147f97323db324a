#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A device reports lost writes with one flush only, be it the volume or the metadata
# device. The flushes that succeed after it must not make such writes count as durable,
# and nothing that was acknowledged is lost.

. "$(dirname "$0")/store.sh"
require_target flakey delay
require_module loop

readonly SIZE=$((8 * 2048)) BLOCK=128 BLOCKS=128
disk=$(make_painted stale 8 512 cache_size=1) && backing=$(make_painted backing 8) &&
	meta_disk=$(make_meta $SIZE $BLOCK) && file=$(make_linear f "$disk") ||
	bail "disks"
cp "$TMP/meta.new" "$TMP/fresh"

# table_of NAME DISK flakey|linear - flakey: writes and flushes fail.
table_of()
{
	local size
	size=$(sectors "$2")
	case $3 in
	flakey)	echo "0 $size flakey $2 0 0 10000 1 error_writes" ;;
	linear)	echo "0 $size linear $2 0" ;;
	esac
}

file_is()
{
	dm_reload f "$(table_of f "$disk" "$1")" || bail "$1"
}

# A flush fails, and copies may be lost. There are none if the store was committed just
# before the volume broke.
flush_loses_copies()
{
	local i

	for ((i = 0; i < 5; i++)); do
		wait_until allocated_above t $(($(at_allocated t) + 2)) || bail "stream"
		file_is flakey
		! sync $T || return 1
		! doubtful || return 0
		file_is linear
		message t stream start
	done
	return 1
}

# Suspended and resumed while the volume is still broken: the blocks that were taken
# back could not be made durable.
too_early()
{
	label="too early"
	dm_create t "$(meta_table $SIZE "$file" "$backing" "$meta_disk" $BLOCK)" || bail "t"
	message t stream_speed 1000000
	message t stream start
	wait_until allocated_above t 20 || bail "stream"
	check "$label: a flush" sync $T
	check "$label: bits are durable" [ "$(nr_durable)" -gt 0 ]
	check "$label: another flush fails" flush_loses_copies
	check "$label: doubtful" doubtful
	check "$label: suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	check "$label: once more" eval "dmsetup suspend t && dmsetup resume t"
	file_is linear
	check "$label: with a good volume" eval "dmsetup suspend t && dmsetup resume t"
	# The blocks that the suspends could not flush.
	sync $T 2> /dev/null
	check "$label: a flush again" sync $T
	message t stream_speed 0
	message t stream start
	check "$label: completes" wait_until state_is t complete
	check "$label: it is the backing" cmp $T "$backing"
	is "$label: all is durable" "$(nr_durable)" $BLOCKS
	at_remove t
	check "$label: closed" dmlive meta check "$meta_disk"
}

host_is()
{
	dmsetup suspend --nolockfs host && table_of host "$host_disk" "$1" |
		dmsetup reload host && dmsetup resume host || bail "host"
}

mount_host()
{
	mount -o errors=continue /dev/mapper/host "$TMP/host" || bail "mount"
}

# Only if it is still mounted.
unmount_host()
{
	umount "$TMP/host" 2> /dev/null || :
}

use_host()
{
	loop=$(losetup --show -f "$TMP/host/meta") || bail "losetup"
	dm_create t "$(meta_table $SIZE "$file" "$backing" "$loop" $BLOCK)" || bail "t"
}

leave_host()
{
	at_remove t
	losetup -d "$loop"
	sync
	echo 3 > /proc/sys/vm/drop_caches
	umount "$TMP/host"
}

# The metadata is in a file: after a failed flush the page cache has data that the disk
# does not have, and the next flush succeeds.
metadata_in_a_cache()
{
	label="metadata in a cache"
	paint stale "$disk"
	host_disk=$(make_disk 32) && make_linear host "$host_disk" > /dev/null || bail "host"
	mkfs.ext4 -q -F -O ^has_journal -E lazy_itable_init=0,nodiscard /dev/mapper/host 24M >&2 ||
		bail "mkfs"
	mkdir "$TMP/host"
	on_exit unmount_host
	mount_host
	cp "$TMP/fresh" "$TMP/host/meta" && truncate -s %4096 "$TMP/host/meta" && sync ||
		bail "meta"
	use_host
	check "$label: a block" dd_write $T 0 65536
	check "$label: a flush" sync $T
	check "$label: another block" dd_write $T 65536 65536
	host_is flakey
	check_fails "$label: a flush of it fails" sync $T
	host_is linear
	check "$label: suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	sync $T 2> /dev/null
	check "$label: it is acknowledged" sync $T
	dd_read $T 0 131072 > "$TMP/written"
	leave_host
	mount_host
	is "$label: both bits are on disk" "$(nr_set "$TMP/host/meta" $BLOCK)" 2
	is "$label: closed" "$(flags_in "$TMP/host/meta")" auto
	use_host
	check "$label: both blocks are there" cmp -n 131072 $T "$TMP/written"
	leave_host
	dm_remove host
}

# The same, and the device is created again before it could rewrite the metadata.
made_anew()
{
	label="created again"
	mount_host
	cp "$TMP/fresh" "$TMP/host/meta" && truncate -s %4096 "$TMP/host/meta" && sync ||
		bail "meta"
	use_host
	check "$label: a block" dd_write $T 0 65536
	host_is flakey
	check_fails "$label: a flush of it fails" sync $T
	at_remove t
	host_is linear
	losetup -d "$loop"
	use_host
	is "$label: the bit is in the cache" "$(at_allocated t)" 1
	check "$label: a flush" sync $T
	leave_host
	mount_host
	is "$label: it is on disk" "$(nr_set "$TMP/host/meta" $BLOCK)" 1
	umount "$TMP/host"
}

# Many threads fill the same blocks. The last of them have no effect: by then the device
# is complete, and the guest's writes are not checked any more.
nothing_to_bring()
{
	label="nothing left to fill"
	slow_disk=$(make_disk 8 512 cache_size=16 irqmode=2 completion_nsec=100000000) &&
		slow=$(make_linear s "$slow_disk") || bail "slow disk"
	at_create t $SIZE "$slow" user $BLOCK auto_remove
	check "$label: zeros" parallel-zero "$(dm_number t)" $((SIZE * 512)) 60
	check "$label: complete" wait_until state_is t complete
	head -c 65536 /dev/urandom > "$TMP/random"
	check "$label: a write" dd if="$TMP/random" of=$T bs=64K seek=5 oflag=direct \
		conv=notrunc status=none
	dm_reload s "$(table_of s "$slow_disk" flakey)" || bail "flakey"
	check_fails "$label: a flush" sync $T
	check_fails "$label: not doubtful" doubtful
	dm_reload s "$(table_of s "$slow_disk" linear)" || bail "linear"
	check "$label: suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	is "$label: all is allocated" "$(at_allocated t)" $BLOCKS
	check "$label: another table" dm_reload t \
		"$(at_table $SIZE "$slow" user $BLOCK auto_remove)"
	dd_read $T $((5 * 65536)) 65536 > "$TMP/read"
	check "$label: the written data is there" cmp "$TMP/read" "$TMP/random"
	at_remove t
	dm_remove s
}

# 0 8192 delay READS WRITES FLUSHES - the number of requests that dm-delay holds back.
keeps_writes_back()
{
	local words
	read -r -a words <<< "$(dmsetup status w)"
	[ "${words[4]}" -gt 0 ]
}

# The very first copy is in flight when a flush fails: no counter of copies shows it.
under_way()
{
	label="in flight"
	paint stale "$disk"
	# Writes take seconds in the first half, and flushes fail in the second one.
	dm_create w "0 $((SIZE / 2)) delay $disk 0 0 $disk 0 3000 $disk 0 0
		$((SIZE / 2)) $((SIZE / 2)) flakey $disk $((SIZE / 2)) 0 10000 1 error_writes" ||
		bail "w"
	at_create t $SIZE /dev/mapper/w "$backing" $BLOCK
	message t stream start
	wait_until keeps_writes_back || bail "no copy"
	check_fails "$label: a flush" sync $T
	check "$label: doubtful" wait_until doubtful
	dm_reload w "$(table_of w "$disk" linear)" || bail "linear"
	check "$label: suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	check_fails "$label: no longer doubtful" doubtful
	message t stream start
	check "$label: completes" wait_until state_is t complete
	check "$label: it is the backing" cmp $T "$backing"
	at_remove t
	dm_remove w
}

too_early
under_way
metadata_in_a_cache
make_linear host "$host_disk" > /dev/null || bail "host"
made_anew
dm_remove host
nothing_to_bring
at_remove f
finish
