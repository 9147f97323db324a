#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A malformed table line or message is refused with a reason, and changes nothing. The
# table that is shown for an accepted line creates the same device.

. "$(dirname "$0")/cbw.sh"

readonly SIZE=$((4 * 2048))
origin=$(make_disk 4) && target=$(make_disk 4) && small=$(make_disk 3) &&
	big_blocks=$(make_disk 4 4096) || bail "disks"

# refused TABLE_WORDS
refused()
{
	check_fails "refused: $1" dmsetup create x --table "0 $SIZE cbw $1"
	! dmsetup info x > /dev/null 2>&1 || dmsetup remove x
}

for words in "" "$origin" "$origin -" "/dev/nothing - 128" "$origin $target 128" \
		"$small - 128" "$origin - 0" "$origin - 7" "$origin - 9" "$origin - 4" \
		"$origin - 8192" "$origin - x" "$origin - 4294967424" "$origin - -8" \
		"$origin - 128 x" "$origin - 128 1" "$origin - 128 0 job" \
		"$origin - 128 4294967296" "$origin - 128 18446744073709551617 job" \
		"$origin - 128 1 nothing" "$origin - 128 1 target" "$origin - 128 1 job" \
		"$origin - 128 2 target $origin" "$origin - 128 2 target $small" \
		"$origin - 128 2 target /dev/nothing" \
		"$origin - 128 4 target $target fleece $target" \
		"$origin - 128 4 fleece $small fleece $target" \
		"$origin - 128 4 target $target target $small" \
		"$origin - 128 2 bitmap b" "$origin - 128 4 target $target bitmap b" \
		"$origin - 128 3 fleece $small job" \
		"$origin - 128 4 fleece $small job_speed 1" \
		"$origin - 128 2 cbw_timeout 1" "$origin - 128 2 on_meta_error break_tracking" \
		"$origin - 128 2 on_cbw_error break_snapshot" \
		"$origin - 128 4 target $target on_cbw_error x" \
		"$origin - 128 4 target $target cbw_timeout -1" \
		"$origin - 128 4 target $target cbw_timeout 18446744073709551616" \
		"$origin - 128 4 target $target job_workers 0" \
		"$origin - 128 4 target $target job_workers 17" \
		"$origin - 128 4 target $target job_speed 1k" \
		"$origin - 128 4 target $target on_source_error x" \
		"$origin - 128 4 target $target on_target_error" \
		"$origin - 128 4 target $target fleece_low_water 1" \
		"$origin - 128 4 fleece $target fleece_low_water 101" \
		"$origin - 128 4 target $target job job"; do
	refused "$words"
done
check_fails "refused: a size that the target's sectors do not divide" \
	dmsetup create x --table "0 $((SIZE - 1)) cbw $origin - 128 2 target $big_blocks"
check_fails "refused: two targets in a table" dmsetup create x <<< "0 128 cbw $origin - 128
128 128 cbw $origin - 128"

# The origin is opened for reading, and later also for writing.
check_fails "refused: the origin as target, read-only" dmsetup create --readonly x \
	--table "0 $SIZE cbw $origin - 128 2 target $origin"
check_so "it is not open then" dmsetup create x --table "0 $SIZE linear $origin 0"
dm_remove x

dm_create huge "0 $((1 << 41)) zero" || bail "huge"
log_mark
check_fails "refused: more blocks than memory" dmsetup create x \
	--table "0 $((1 << 41)) cbw /dev/mapper/huge - 8 2 fleece $target"
like "says why" "$(log_since)" "Cannot allocate memory for the session"
dm_remove huge

numbers="$(stat -c '%Hr:%Lr' "$origin") - 8"
number=$(stat -c '%Hr:%Lr' "$target") other=$(stat -c '%Hr:%Lr' "$small")
for words in "0" "2 target $number" "3 job target $number" \
		"15 job target $number on_cbw_error break_snapshot cbw_timeout 5000000 job_speed 1 job_workers 3 on_source_error stop on_target_error enospc" \
		"6 fleece $number on_cbw_error break_guest_write fleece_low_water 0" \
		"9 job target $number fleece $other job_workers 3 fleece_low_water 5"; do
	dm_create t "0 $SIZE cbw $numbers $words" || not_ok "accepted: $words"
	is "shown as given: $words" "$(dmsetup table t)" "0 $SIZE cbw $numbers $words"
	dm_remove t
done
dm_create t "0 $SIZE cbw $origin - -"
is "the block size has a default" "$(st 3)" 128
is "status without a session" "$(dm_status t)" "none 0/0 128 none 0/0 0 0 0 0/0 0 -"
check_fails "no session to cancel" message session cancel
check_fails "no job to start" message job start
check "writes go down" dd_write $T 0 1048576
dm_remove t

dm_create t "$(cbw_table $SIZE "$origin" 128 target "$target")"
state=$(dm_status t)
for words in "x" "session" "session x" "session cancel now" "job" "job x" "job start now" \
		"job_speed" "job_speed x" "job_speed -1" "job_speed 18446744073709551616" \
		"@x y" "on_cbw_error break_snapshot"; do
	# shellcheck disable=SC2086 # words
	check_fails "message refused: $words" message $words
done
is "nothing has changed" "$(dm_status t)" "$state"
check "a speed" message job_speed 18446744073709551615
like "is shown" "$(dmsetup table t)" "job_speed 18446744073709551615"
dm_remove t
finish
