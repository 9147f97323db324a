# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of `dmlive attach` and `dmlive detach`. The device under test is a, a
# linear mapping of $disk in two lines.

# shellcheck source=restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"
require_target cbw cbw-snapshot
require_module null_blk

readonly A=/dev/mapper/a

# make_a [DMSETUP_OPTION...] - create a over all of $disk.
make_a()
{
	local size half
	size=$(sectors "$disk") half=$((size / 2))
	dm_create a "0 $half linear $disk 0
$half $((size - half)) linear $disk $half" "$@" || bail "a"
	plain_table=$(dmsetup table a)
	on_exit forget_a
}

# forget_a - take out inserted devices, then remove a.
forget_a()
{
	dmsetup info a > /dev/null 2>&1 || return 0
	dmlive detach a --force > /dev/null 2>&1
	true
}

# is_plain DESCRIPTION - a has its own table and is not suspended, and there is no inner
# device.
is_plain()
{
	is "$1: its own table" "$(dmsetup table a)" "$plain_table"
	like "$1: it is active, and nothing is loaded" \
		"$(dmsetup info -c --noheadings -o suspended,tables_loaded a)" \
		"Active.*Live"
	check_fails "$1: no inner device" dmsetup info a-dmlive
	check "$1: it answers" dd if=$A of=/dev/null bs=4096 count=1 iflag=direct
}

# is_attached DESCRIPTION
is_attached()
{
	is "$1: cbw" "$(dm_target a)" cbw
	is "$1: over the inner device" "$(dmsetup deps a -o devname)" \
		"1 dependencies	: (a-dmlive)"
	is "$1: which has the table" "$(dmsetup table a-dmlive)" "$plain_table"
}

# start_verify DEVICE [FIO_OPTION...] - start a guest that writes and verifies all the
# time, in bursts: it must not take the processor that what is tested needs. stop_verify ends
# it, and checks that it has found no error.
start_verify()
{
	rm -f "$TMP/fio-stop"
	(
		while [ ! -e "$TMP/fio-stop" ]; do
			fio --name=verify --filename="$1" --rw=randwrite --bs=4k \
				--direct=1 --ioengine=libaio --iodepth=16 \
				--verify=crc32c --verify_fatal=1 --do_verify=1 \
				--thinktime=20ms --thinktime_blocks=16 \
				--randrepeat=0 --number_ios=400 "${@:2}" >> "$TMP/fio" 2>&1 || exit 1
			echo round >> "$TMP/fio-rounds"
		done
	) &
	verify=$!
	on_exit stop_process $verify
}

rounds()
{
	wc -l < "$TMP/fio-rounds"
}

rounds_above()
{
	! is_running $verify || [ "$(rounds)" -gt "$1" ]
}

# next_round - wait until the present round and another whole one have ended.
next_round()
{
	wait_until -t 250 rounds_above $(($(rounds) + 1))
}

stop_verify()
{
	: > "$TMP/fio-stop"
	wait $verify
}
