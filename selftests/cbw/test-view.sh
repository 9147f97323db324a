#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Whatever the guest writes, discards and zeroes, before and during the session, the view
# has the content of the point in time, for several readers at once, and the guest reads
# its own writes. The same holds after the job.

. "$(dirname "$0")/cbw.sh"

# In sectors; not a multiple of a block.
readonly SIZE=$((24 * 2048 - 8)) SECONDS_EACH=${MODEL_SECONDS:-2}

# one_session BLOCK LBS STORE JOB
one_session()
{
	local block=$1 lbs=$2 store=$3 words=() guest readers
	label="blocks of $((block / 2)) KiB, sectors of $lbs, $store ${4:-}"

	viewcheck "${store_disk[$lbs]}" - paint 1 && viewcheck "$origin" "$TMP/initial" paint $RANDOM ||
		bail "paint"
	words=("$store" "${store_disk[$lbs]}" on_cbw_error break_guest_write)
	[ -z "${4:-}" ] || words+=(job job_speed $((6 << 20)))
	dm_create t "$(cbw_table $SIZE "$origin" "$block")" || bail "t"
	model --initial "$TMP/initial" --seconds $((SECONDS_EACH + 1)) --max-io 4M \
		> "$TMP/model" 2>&1 &
	guest=$!
	on_exit stop_process $guest
	begin_session $SIZE "$origin" "$block" "${words[@]}"
	make_view || bail "view"
	viewcheck $V "$REF" read 4 20 $guest > "$TMP/readers" 2>&1 &
	readers=$!
	on_exit stop_process $readers
	wait $guest
	result $? "$label: the guest reads what it wrote" || diag "$(cat "$TMP/model")"
	wait $readers
	result $? "$label: readers see the point in time" || diag "$(cat "$TMP/readers")"
	same "all of the view" $V
	diag "$(dm_status t)"
	is_so "the session is active or complete" "$(st 1 | sed s/complete/active/)" active
	is_so "no errors" "$(st 7)$(st 8)" 00
	if [ -n "${4:-}" ]; then
		message job_speed 0
		check_so "the job completes" wait_until st_is 4 complete
		is_so "all bytes" "$(st 5)" "$((SIZE * 512))/$((SIZE * 512))"
		same "the target" "${store_disk[$lbs]}"
		same "all of the view after that" $V
	fi
	dm_remove v
	dm_remove t
}

declare -A store_disk
for lbs in 512 4096; do
	origin=$(make_disk 24 $lbs) && store_disk[$lbs]=$(make_disk 24 $lbs) || bail "disks"
	for block in 8 128 4096; do
		[ $lbs -ne 512 ] || one_session $block $lbs target
		one_session $block $lbs target job
		one_session $block $lbs fleece
	done
done
finish
