#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# When the volume fails to flush copied data, the device does not become complete and no
# bit becomes durable until it is suspended and resumed. Then blocks that may be lost are
# read from the backing again, and the guest's own data is as it was written.

. "$(dirname "$0")/store.sh"
require_target flakey

readonly SIZE=$((8 * 2048)) BLOCK=128 BLOCKS=128
# Where the guest writes: whole blocks, and a part of one.
readonly WHOLE=$((1 << 20)) PART=$((2 << 20)) LATER=$((3 << 20))
disk=$(make_painted stale 8 512 cache_size=1) && backing=$(make_painted backing 8) &&
	meta_disk=$(make_meta $SIZE $BLOCK) && file=$(make_linear f "$disk") &&
	make_linear m "$meta_disk" > /dev/null || bail "disks"
cp "$TMP/meta.new" "$TMP/fresh"

begin()
{
	label=$1
	repair_device f "$disk"
	paint stale "$disk"
	write_meta "$TMP/fresh" "$meta_disk"
	dm_create t "$(meta_table $SIZE "$file" "$backing" "$meta" $BLOCK)" || bail "t"
	reads_as "at first as the backing" "$backing"
	mirrored "a whole block" write $WHOLE 65536
	mirrored "part of one" write $((PART + 4096)) 4096
}

has_flushed()
{
	[ "$(disk_stat "$disk" 16)" -gt "$1" ]
}

# copy - the job copies a part, and no flush of the volume follows. With metadata, a
# commit has begun that needs such a flush.
copy()
{
	local flushes
	if [ "$meta" != - ]; then
		flushes=$(disk_stat "$disk" 16)
		dmsetup suspend --noflush --nolockfs m
	fi
	mirrored "a whole block later" write $LATER 65536
	if [ "$meta" != - ]; then
		sync $T 2> /dev/null &
		wait_until has_flushed "$flushes" || bail "flush"
	fi
	# The rest would take 15 seconds.
	message t stream_speed 500000
	message t stream start
	wait_until allocated_above t 12 || bail "stream"
	message t stream pause
}

flush_fails()
{
	dm_reload f "0 $SIZE flakey $disk 0 0 10000 1 error_writes" || bail "flakey"
	[ "$meta" = - ] || dmsetup resume m
	wait
	check_fails "$label: a flush" sync $T
	repair_device f "$disk"
}

# Nothing that was copied is on the volume, only the guest's data.
lose()
{
	local at
	for at in $WHOLE $PART $LATER; do
		dd_read $T "$at" 65536 > "$TMP/at.$at"
	done
	paint stale "$disk"
	for at in $WHOLE $PART $LATER; do
		dd if="$TMP/at.$at" of="$disk" bs=64K oflag=direct,seek_bytes seek="$at" \
			status=none
	done
}

again()
{
	log_mark
	check "$label: suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
	check_fails "$label: no longer doubtful" doubtful
	like "$label: the log" "$(log_since)" "blocks that a failed flush may have lost"
}

completes()
{
	local message=$1
	mirrored "the content is right" --verify
	message t stream_speed 0
	check "$label: stream $message" message t stream "$message"
	check "$label: completes" wait_until state_is t complete
	mirrored "the content is right at the end" --verify
	shows_nothing_stale
	# A flush of the store's own may have failed after the guest's last one.
	sync $T 2> /dev/null
	check "$label: a flush" sync $T
	[ "$meta" = - ] || is "$label: all is durable" "$(nr_durable)" $BLOCKS
	at_remove t
}

# A flush in the middle of the job fails.
half()
{
	local durable
	begin "half, $1"
	copy
	flush_fails
	check "$label: doubtful" doubtful
	check "$label: the job fails" wait_until state_is t failed
	[ "$meta" = - ] || check_fails "$label: no other flush" sync $T
	check_fails "$label: no dmlive finish" dmlive finish t
	[ "$meta" = - ] || durable=$(nr_durable)
	mirrored "allocated blocks can be read and written" write $WHOLE 4096
	[ "$meta" = - ] || is "$label: no bit became durable" "$(nr_durable)" "$durable"
	lose
	again
	is "$label: only the guest's blocks are allocated" "$(at_allocated t)" 3
	completes start
}

# The last flush, that of the job, fails.
last()
{
	begin "last, $1"
	message t on_error stop
	copy
	flush_fails
	check "$label: doubtful" doubtful
	check "$label: the job stops" wait_until state_is t stopped
	message t stream_speed 0
	check "$label: it continues" message t stream resume
	check "$label: it stops again, and does not complete" wait_until state_is t stopped
	lose
	again
	completes resume
}

# The guest wrote all blocks as a whole, so nothing has to be read again.
guest_alone()
{
	begin "guest alone, $1"
	mirrored "everything is the guest's" write 0 $((SIZE * 512))
	check "$label: a flush" sync $T
	mirrored "again" write 0 $((SIZE * 512))
	flush_fails
	check_fails "$label: not doubtful" doubtful
	check "$label: a flush" sync $T
	mirrored "all data is there" --verify
	at_remove t
}

for meta in /dev/mapper/m -; do
	kind=$([ "$meta" = - ] && echo "without metadata" || echo "with metadata")
	half "$kind"
	last "$kind"
	guest_alone "$kind"
done
at_remove f
at_remove m
finish
