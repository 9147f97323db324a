#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A view, the job's target and a dm-snapshot of the same time have the same content as a
# copy that was made while the device was suspended, whatever is written later.

. "$(dirname "$0")/cbw.sh"
require_target snapshot-origin snapshot

readonly SIZE=$((16 * 2048))
disk=$(make_disk 16) && cow=$(make_disk 32) && store=$(make_disk 16) || bail "disks"
# dm-snapshot below: cbw's origin is a snapshot-origin.
dm_create so "0 $SIZE snapshot-origin $disk" || bail "snapshot-origin"
readonly O=/dev/mapper/so

# take FEATURE_WORD... - begin a session and a snapshot while the guest is suspended.
take()
{
	dmsetup load t --table "$(cbw_table $SIZE $O "$block" "$@")" &&
		dmsetup suspend t && dmsetup suspend so || bail "suspend"
	dd if="$disk" of="$REF" bs=1M iflag=direct status=none || bail "reference"
	dd if=/dev/zero of="$cow" bs=4096 count=1 oflag=direct status=none
	dm_create snap "0 $SIZE snapshot $disk $cow N 8" || bail "snapshot"
	dmsetup resume so && dmsetup resume t || bail "resume"
	make_view || bail "view"
}

compare()
{
	same "the snapshot is the copy" /dev/mapper/snap
	same "the view is the copy" $V
	check_so "the view is the snapshot" cmp $V /dev/mapper/snap
}

# one_session BLOCK STORE [FEATURE_WORD...]
one_session()
{
	local block=$1 guest
	label="blocks of $(($1 / 2)) KiB, ${*:2}"
	viewcheck $O "$TMP/initial" paint $RANDOM
	viewcheck "$store" - paint $RANDOM
	dm_create t "$(cbw_table $SIZE $O "$block")" || bail "t"
	model --initial "$TMP/initial" --seconds 2 --max-io 256K > "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	take "$2" "$store" "${@:3}"
	compare
	wait $guest
	result $? "$label: the guest reads what it wrote" || diag "$(cat "$TMP/model")"
	compare
	if [ -n "${3:-}" ]; then
		check_so "the job completes" wait_until st_is 4 complete
		check_so "its target is the snapshot" cmp "$store" /dev/mapper/snap
	fi
	dm_remove v
	dm_remove t
	dm_remove snap
}

one_session 8 target job
one_session 128 target job
one_session 128 fleece
finish
