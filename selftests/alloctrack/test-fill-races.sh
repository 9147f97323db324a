#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Streaming and copy_on_read never overwrite new data with old: under random I/O of
# any size the device returns the right data, and streaming still completes.

. "$(dirname "$0")/alloctrack.sh"
require_command fio

# races ROUND FEATURE...
races()
{
	paint stale "$file"
	at_create t "$size" "$file" "$backing" "$block" "${@:2}"
	random_io "$1: random operations" "$backing" --threads 8 --ops 300 \
		--max-io 128K --mix read=3,write=6,fua=1,zero=1,discard=1 --no-verify \
		--save-model "$TMP/saved"
	[[ $1 != *streaming* ]] || check "$label: $1: ends" wait_until state_is t complete
	check "$label: $1: all of the device" blkmodel "$T" --verify-only \
		--initial "$backing" --load-model "$TMP/saved"
	rm -f "$TMP/saved"
	shows_nothing_stale "$1"
	at_remove t
}

# A slow backing, so that the guest has time to write between the read of a chunk and
# its write.
race()
{
	races "streaming" stream
	races "streaming and copy_on_read" stream copy_on_read
	races "copy_on_read" copy_on_read
}

# Endless guest I/O does not starve streaming.
never_starved()
{
	local file backing writer

	file=$(make_painted stale 8) && backing=$(make_painted backing 8) ||
		bail "disks"
	at_create t $((8 * 2048)) "$file" "$backing" 128 stream stream_speed 8000000
	fio --name=load --filename="$T" --direct=1 --rw=randrw --bs=4k --size=4m \
		--time_based --runtime=600 --thread --numjobs=2 > "$TMP/fio" 2>&1 &
	writer=$!
	on_exit stop_process $writer
	check "streaming ends under constant load" wait_until -t 60 state_is t complete
	is_running $writer
	result $? "which continues" || diag "$(< "$TMP/fio")"
	stop_process $writer
	check "the rest is the backing's" \
		cmp -i $((4 << 20)):$((4 << 20)) -n $((4 << 20)) "$T" "$backing"
	at_remove t
}

# fio verifies the lower half; the upper half must become equal to the backing.
verified_by_fio()
{
	local block=$1 lbs=$2 file backing half=$((4 << 20)) label

	label="blocks of $((block / 2)) KiB, sectors of $lbs"
	file=$(make_painted stale 8 "$lbs") &&
		backing=$(make_painted backing 8 "$lbs" irqmode=2 completion_nsec=1000000) ||
		bail "disks"
	at_create t $((8 * 2048)) "$file" "$backing" "$block" stream stream_speed 4000000
	check "$label: fio verifies what it writes while all is streamed" \
		fio --minimal --thread --filename="$T" --direct=1 \
		--ioengine=libaio --iodepth=8 --verify=crc32c --verify_fatal=1 \
		--verify_backlog=32 --bsrange="$lbs-96k" --blockalign="$lbs" \
		--name=write --rw=randwrite --size=2m --number_ios=100 \
		--name=mixed --rw=randrw --offset=2m --size=1m --number_ios=100 \
		--name=trim --rw=randtrim --verify=0 --offset=3m --size=1m \
		--number_ios=50
	message t stream_speed 0
	check "$label: streaming ends" wait_until state_is t complete
	check "$label: the other half is the backing's" \
		cmp -i "$half:$half" -n "$half" "$T" "$backing"
	shows_nothing_stale
	at_remove t
}

each_volume race irqmode=2 completion_nsec=2000000
never_starved
verified_by_fio 128 512
verified_by_fio 4096 4096
finish
