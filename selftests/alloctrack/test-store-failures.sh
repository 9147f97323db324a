#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# When the metadata device or the volume fails, success is never reported falsely:
# flushes and first writes fail, reads continue, the status shows the failure and an
# event is raised. After repair and resume, or when the device is created again, all
# flushed data is there.

. "$(dirname "$0")/store.sh"
require_target flakey

readonly SIZE=49152 BLOCK=128

# Where the guest writes: these blocks are allocated from the start, those behind are
# not.
readonly OLD_BLOCKS=32

model()
{
	blkmodel $T --initial "$backing" --block-size 65536 "$@"
}

nr_events()
{
	dmsetup info -c --noheadings -o events t
}

# Disks that can be broken: file and metadata each have a linear mapping.
begin()
{
	label=$1
	file_disk=$(make_painted stale 24 512 cache_size=1) && backing=$(make_painted backing 24) &&
		meta_disk=$(make_meta $SIZE $BLOCK) || bail "disks"
	file=$(make_linear f "$file_disk") && meta=$(make_linear m "$meta_disk") ||
		bail "linear"
	start
	check "$label: I/O before" model --ops 100 --max-io 256K --save-model "$TMP/model"
	check "$label: a flush before" sync $T
}

start()
{
	meta_create t $SIZE "$file" "$backing" "$meta" $BLOCK
}

end()
{
	dm_remove t
	dm_remove m
	dm_remove f
}

# fails NAME, works NAME - switch the mapping under the target. The file fails writes and
# flushes: with an error target the block layer would send no flush.
fails()
{
	local size
	size=$(sectors "/dev/mapper/$1")
	if [ "$1" = m ]; then
		dm_reload m "0 $size error"
	else
		dm_reload f "0 $size flakey $file_disk 0 0 10000 1 error_writes"
	fi || bail "break $1"
}

works()
{
	local disk=$meta_disk
	[ "$1" = m ] || disk=$file_disk
	dm_reload "$1" "0 $(sectors "/dev/mapper/$1") linear $disk 0" || bail "repair $1"
}

# first_unallocated - the byte offset of a block that is not allocated yet.
first_unallocated()
{
	read_meta "$meta_disk" "$TMP/bits"
	bits_by_dmlive "$TMP/bits" | awk -v o=0 '$1 > o { exit } { o = $1 + $2 }
		END { print o + 0 }'
}

first_allocated()
{
	read_meta "$meta_disk" "$TMP/bits"
	bits_by_dmlive "$TMP/bits" | awk 'NR == 1 { print $1 }'
}

metadata_fails()
{
	local events new old

	begin "$1"
	new=$(first_unallocated) old=$(first_allocated)
	events=$(nr_events)
	fails m
	check "$label: a write alone does not notice" dd_write $T "$new" 65536
	check_fails "$label: a flush is not reported" sync $T
	is "$label: the status shows it" "$(at_status t 1)" ro
	is "$label: an event is raised" "$(nr_events)" $((events + 1))
	check_fails "$label: nor is a later flush" sync $T
	# A failed write leaves old or new data; here these are the same.
	dd if=$T of="$TMP/old" bs=64k count=1 iflag=direct,skip_bytes skip="$old" \
		status=none || bail "read"
	check_fails "$label: nor is FUA" dd if="$TMP/old" of=$T bs=64k \
		oflag=direct,dsync,seek_bytes seek="$old" conv=notrunc status=none
	check_fails "$label: no first write" dd_write $T $((SIZE * 512 - 65536)) 65536
	check_fails "$label: no part of one" dd_write $T $((SIZE * 512 - 65536)) 512
	check_fails "$label: no first discard" blkdiscard -o $((SIZE * 512 - 65536)) -l 65536 $T
	check "$label: reads work" dd if=$T of=/dev/null bs=1M iflag=direct status=none
}

repaired_and_resumed()
{
	metadata_fails "metadata, then resumed"
	works m
	check_fails "$label: repaired only: still no flush" sync $T
	check "$label: suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	is "$label: in use again" "$(at_status t 1)" rw
	check "$label: a flush" sync $T
	check "$label: a first write" dd_write $T $((SIZE * 512 - 65536)) 65536 oflag=dsync
	end
}

repaired_and_made_anew()
{
	metadata_fails "metadata, then created again"
	log_mark
	dm_remove t
	like "$label: the log says that it was not closed" "$(log_since)" 'in use'
	works m
	read_meta "$meta_disk" "$TMP/meta"
	is "$label: it is in use on disk" "$(flags_in "$TMP/meta")" "auto in-use"
	check "$label: but valid" qemu-img check -q "$TMP/meta"
	start
	check "$label: all that was flushed is there" model --load-model "$TMP/model" \
		--verify-only
	dm_remove t
	read_meta "$meta_disk" "$TMP/meta"
	is_sane "$label" "$TMP/meta" 65536
	end
}

volume_fails()
{
	local new old before

	begin "volume"
	new=$(first_unallocated) old=$(first_allocated)
	before=$(at_allocated t)
	fails f
	check_fails "$label: a first write" dd_write $T "$new" 65536
	check_fails "$label: part of one" dd_write $T "$new" 512
	check_fails "$label: a write" dd_write $T "$old" 65536
	check "$label: a read of the backing" cmp -n 65536 -i "$new" $T "$backing"
	is "$label: nothing became allocated" "$(at_allocated t)" "$before"
	check_fails "$label: a flush" sync $T
	is "$label: the metadata counts as good" "$(at_status t 1)" rw
	works f
	check "$label: repaired: a flush" sync $T
	check "$label: all is there" model --load-model "$TMP/model" --verify-only
	check "$label: a first write" dd_write $T "$new" 65536 oflag=dsync
	end
}

# The volume fails a flush while bits wait for it: the bits are not written.
flush_of_volume_fails()
{
	local new

	begin "flush of the volume"
	new=$(first_unallocated)
	read_meta "$meta_disk" "$TMP/bits.before"
	check "$label: a write" dd_write $T "$new" 65536
	fails f
	check_fails "$label: a flush" sync $T
	read_meta "$meta_disk" "$TMP/bits.after"
	# A commit by the store itself may have come before the failure.
	if [ "$(nr_set "$TMP/bits.after" $BLOCK)" != "$(at_allocated t)" ]; then
		check "$label: the bits are as before" cmp "$TMP/bits.before" "$TMP/bits.after"
	fi
	works f
	check "$label: repaired: the flush" sync $T
	read_meta "$meta_disk" "$TMP/bits.after"
	is "$label: all bits are durable" "$(nr_set "$TMP/bits.after" $BLOCK)" \
		"$(at_allocated t)"
	end
}

has_failed_to_flush()
{
	[[ $(log_since) == *"flush of the data device"* ]]
}

# The commit after the last write has ended, with or without success.
has_tried()
{
	read_meta "$meta_disk" "$TMP/bits.after"
	has_failed_to_flush ||
		[ "$(nr_set "$TMP/bits.after" $BLOCK)" = "$(at_allocated t)" ]
}

# A flush by the store itself fails: it is reported to the guest, once.
unasked_flush_fails()
{
	begin "the store's own flush of the volume${1:+, then $1}"
	log_mark
	until has_failed_to_flush; do
		check "$label: a write" dd_write $T "$(first_unallocated)" 65536
		fails f
		wait_until has_tried
		works f
	done
	if [ -n "${1:-}" ]; then
		dm_reload t "$(meta_table $SIZE "$file" "$backing" "$meta" $BLOCK)" ||
			bail "reload"
	fi
	check_fails "$label: repaired: a flush reports it" sync $T
	check "$label: the next one succeeds" sync $T
	read_meta "$meta_disk" "$TMP/bits.after"
	is "$label: all bits are durable" "$(nr_set "$TMP/bits.after" $BLOCK)" \
		"$(at_allocated t)"
	end
}

# flaky - break and repair the file or the metadata until the guest has ended.
flaky()
{
	local n=0 which
	while is_running "$1"; do
		which=$([ $((n++ % 2)) -eq 0 ] && echo m || echo f)
		fails $which
		dmsetup status t > /dev/null
		works $which
		dmsetup suspend t
		dmsetup resume t || return 1
	done
	diag "$n failures"
}

# I/O continues while devices fail: whatever was reported to the guest holds.
any_time()
{
	begin "at any time"
	message t stream_speed 1000000
	message t stream start
	model --load-model "$TMP/model" --seconds 8 --errors-allowed --no-verify \
		--save-model "$TMP/model" > "$TMP/guest" 2>&1 &
	guest=$!
	flaky $guest
	result $? "$label: suspend and resume"
	wait $guest
	result $? "$label: the guest has read no wrong data" || diag "$(< "$TMP/guest")"
	# A flush of the store's own may have failed after the guest's last one.
	sync $T 2> /dev/null
	check "$label: a flush at the end" sync $T
	dm_remove t
	start
	check "$label: the data is right at the end" model --load-model "$TMP/model" \
		--verify-only
	end
}

repaired_and_resumed
repaired_and_made_anew
volume_fails
flush_of_volume_fails
unasked_flush_fails
unasked_flush_fails "a table reload"
any_time
finish
