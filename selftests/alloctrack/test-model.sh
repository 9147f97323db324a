#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# While the device streams and is suspended and resumed over and over, each sector reads
# as it was last written, or as the backing. In the end the volume has exactly this
# content.

. "$(dirname "$0")/alloctrack.sh"

# The volume's former content: no read may ever show it.
readonly POISON=0xdb
# In sectors; not a multiple of a block. The backing is shorter.
readonly SIZE=$((24 * 2048 - 8)) BACKING_MIB=17
readonly SECONDS_EACH=${MODEL_SECONDS:-3} SEED=${MODEL_SEED:-$RANDOM}

storms=0

poison_disk()
{
	perl -e 'my $data = "\xdb" x 1048576; syswrite STDOUT, $data or die for 1..24' \
		> "$1" && blockdev --flushbufs "$1"
}

# model DEVICE OPTION... - run blkmodel with the common options.
model()
{
	blkmodel "$1" --initial "$backing" --poison $POISON --seed "$SEED" \
		--block-size $((block * 512)) "${@:2}"
}

# storm PID - suspend and resume until the process has ended.
storm()
{
	local how n=0
	while is_running "$1"; do
		how=''
		[ $((n++ % 3)) -ne 2 ] || how=--noflush
		dmsetup suspend $how t && dmsetup resume t || return 1
	done
	storms=$((storms + n))
}

streamed()
{
	local block=$1 lbs=$2 file backing program saved=$TMP/model

	label="$label, seed $SEED"
	file=$(make_disk 24 "$lbs") && poison_disk "$file" || bail "file"
	# Slow, so that writes of the guest come between a copy's read and write.
	backing=$(make_painted backing $BACKING_MIB "$lbs" irqmode=2 \
		completion_nsec=2000000) || bail "backing"
	rm -f "$saved"
	# Takes about as long as the guest's I/O.
	at_create t $SIZE "$file" "$backing" "$block" stream \
		stream_speed $((SIZE * 512 / SECONDS_EACH))

	# Large enough that some writes cover whole blocks.
	model /dev/mapper/t --seconds "$SECONDS_EACH" --save-model "$saved" \
		--max-io $((block > 512 ? block * 1024 : 512 * 1024)) \
		> "$TMP/out" 2>&1 &
	program=$!
	storm $program
	result $? "$label: suspends and resumes under load"
	wait $program
	result $? "$label: every read is right" || diag "$(cat "$TMP/out")"
	diag "$(tail -n 1 "$TMP/out")"

	message t stream_speed 0
	check "$label: streaming completes" wait_until -t 60 state_is t complete
	check "$label: the device after streaming" model /dev/mapper/t \
		--verify-only --load-model "$saved"
	dm_remove t
	check "$label: the volume" model "$file" --verify-only \
		--load-model "$saved"
}

case $(uname -r) in
*-uml*)	each_geometry streamed ;;
*)	# An emulated processor takes minutes for all of them.
	label="blocks of 4 KiB, sectors of 512" && streamed 8 512
	label="blocks of 64 KiB, sectors of 4096" && streamed 128 4096 ;;
esac
diag "$storms suspends"
finish
