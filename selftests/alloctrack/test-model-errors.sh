#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# While parts of the volume and of the backing fail now and then, a sector reads as
# before or as a failed write would have left it, and never as anything else. When they
# work again, streaming completes and all data that was written is there.

. "$(dirname "$0")/alloctrack.sh"

readonly POISON=0xdb
readonly SIZE=$((12 * 2048 - 8)) BACKING_MIB=9
readonly SECONDS_EACH=${MODEL_SECONDS:-3} SEED=${MODEL_SEED:-$RANDOM}

failures=0

model()
{
	blkmodel "$1" --initial "$backing" --poison $POISON --seed "$SEED" \
		--block-size $((block * 512)) "${@:2}"
}

# broken DEVICE FIRST NR - a linear table of it with an error in the middle.
broken()
{
	local end=$(($2 + $3))
	[ "$2" -eq 0 ] || echo "0 $2 linear $1 0"
	echo "$2 $3 error"
	echo "$end $(($(sectors "$1") - end)) linear $1 $end"
}

# break_and_mend PID - break and repair the volume or the backing until the process has
# ended.
break_and_mend()
{
	local n=0 first
	while is_running "$1"; do
		# A hole of 2 MiB that ends before either device does.
		first=$((RANDOM % (BACKING_MIB * 2048 - 4096) / 8 * 8))
		case $((n++ % 3)) in
		0|1)	dm_reload file "$(broken "$disk" $first 4096)" ;;
		2)	dm_reload backing "$(broken "$backing" $first 4096)" ;;
		esac || return 1
		mend || return 1
	done
	failures=$((failures + n))
}

mend()
{
	dm_reload file "0 $(sectors "$disk") linear $disk 0" &&
		dm_reload backing "0 $(sectors "$backing") linear $backing 0"
}

stream_again()
{
	state_is t complete && return
	state_is t running || message t stream start
	false
}

failing()
{
	local block=$1 disk backing program saved=$TMP/model

	label="blocks of $((block / 2)) KiB, seed $SEED"
	disk=$(make_disk 12) &&
		perl -e 'my $data = "\xdb" x 1048576; syswrite STDOUT, $data or die for 1..12' \
			> "$disk" && blockdev --flushbufs "$disk" || bail "file"
	backing=$(make_painted backing $BACKING_MIB) || bail "backing"
	make_linear file "$disk" > /dev/null || bail "linear"
	make_linear backing "$backing" > /dev/null || bail "linear"
	rm -f "$saved"
	at_create t $SIZE /dev/mapper/file /dev/mapper/backing "$block" stream \
		on_error ignore stream_speed $((SIZE * 512 / SECONDS_EACH))

	model /dev/mapper/t --seconds "$SECONDS_EACH" --errors-allowed --no-verify \
		--max-io $((block > 512 ? block * 1024 : 512 * 1024)) \
		--save-model "$saved" > "$TMP/out" 2>&1 &
	program=$!
	break_and_mend $program
	result $? "$label: errors and repairs under load"
	wait $program
	result $? "$label: every read is right" || diag "$(cat "$TMP/out")"
	diag "$(tail -n 1 "$TMP/out")"

	message t stream_speed 0
	check "$label: the device after repair" model /dev/mapper/t --verify-only \
		--load-model "$saved" --save-model "$saved.decided"
	check "$label: streaming completes" wait_until -t 60 stream_again
	check "$label: the device after streaming" model /dev/mapper/t \
		--verify-only --load-model "$saved.decided"
	dm_remove t
	check "$label: the volume" model "$disk" --verify-only \
		--load-model "$saved.decided"
	dm_remove file
	dm_remove backing
}

for block in 8 128 4096; do
	failing $block
done
diag "$failures failures"
finish
