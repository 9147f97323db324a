# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Rounds of test-stress.sh with change tracking: increments are written to a copy of the
# device, which must be equal to the device at the point in time whenever an increment is
# complete, however many were aborted before, and however the metadata device failed.

# Of bitmap B on s: tracking_field 2 is its state, 4 its generation. Empty when the
# metadata cannot be used.
tracking_field()
{
	dm_status s | awk -v offset="$1" '{
		for (i = 10 + $10 + 5; i < NF; i += 5)
			if ($i == "B")
				print $(i + offset)
	}'
}

metadata_state()
{
	dm_status s | awk '{ print $(10 + $10 + 1) }'
}

# make_track_table [FEATURE_WORD...] - sets $table.
make_track_table()
{
	local features=(on_meta_error "$meta_policy" "$@")
	table="0 $SIZE cbw /dev/mapper/file /dev/mapper/meta $block ${#features[@]} ${features[*]}"
}

load_and_swap()
{
	dmsetup load s <<< "$table" && suspended true
}

# With break_tracking all of it fails: a suspend would not notice that other parts cannot
# be read, which the resume needs.
break_meta()
{
	local size
	size=$(sectors "$meta_disk")
	pick 0 $((RANDOM % (size / 8) * 8))
	[ "$meta_policy" = break_guest_write ] || picked=0
	break_device meta "$meta_disk" "$picked" $((size - picked))
	meta_was_broken=yes
}

# Other bitmaps can be changed at any time.
change_another_bitmap()
{
	pick "enable C" "disable C" "clear C" "merge C B"
	# shellcheck disable=SC2086
	message bitmap $picked
}

track_step()
{
	case $((RANDOM % 8)) in
	0)	break_meta ;;
	1)	mend meta ;;
	2)	suspended true ;;
	3)	make_track_table; load_and_swap ;;
	4)	make_track_table; refuses_another_size "$table" ;;
	5|6)	change_another_bitmap ;;
	7)	message backup commit B $((generation + 1000)) ;;
	esac
}

increment_step()
{
	case $((RANDOM % 8)) in
	0)	break_somewhere store ;;
	1)	mend store ;;
	2)	suspended true ;;
	3|4)	pick start resume pause cancel; message job "$picked" ;;
	5)	break_meta ;;
	6)	mend meta ;;
	7)	change_another_bitmap ;;
	esac
}

# The metadata device works again, and t uses it.
revive_meta()
{
	mend meta && suspended true && [ "$(metadata_state)" = rw ] &&
		[ -n "$(tracking_field 4)" ] && return
	diag "the metadata are not in use again: $(dm_status s)"
	return 1
}

job_is_over()
{
	[ "$(dm_status s 1)" = broken ] || completes 4 job
}

# The session is on B, and the store has the last complete backup.
begin_increment()
{
	local features=(target /dev/mapper/store bitmap B generation "$1")
	pick break_guest_write break_snapshot
	features+=(on_cbw_error "$picked")
	[ "$picked" = break_snapshot ] || may_fail=--errors-allowed
	pick 0 5000000
	features+=(job job_speed "$picked")
	make_track_table "${features[@]}"
	mend store && dd if="$TMP/backup" of="$store_disk" bs=1M oflag=direct status=none &&
		dmsetup load s <<< "$table" && dmsetup suspend s &&
		copy_disk "$file_disk" "$TMP/then" && dmsetup resume s
}

commit()
{
	[ $((RANDOM % 4)) -ne 0 ] || break_meta
	if dmsetup message s 0 backup commit B "$1" 2> "$TMP/commit"; then
		return
	fi
	[ -n "$meta_was_broken" ] && return
	diag "backup commit: $(cat "$TMP/commit")"
	diag "status: $(dm_status s)"
	return 1
}

refuses_commit()
{
	dmsetup message s 0 backup commit B "$1" 2> /dev/null || return 0
	diag "a backup was committed whose session is broken"
	return 1
}

# end_increment GENERATION - in a random way. $is_complete says whether the copy is complete.
end_increment()
{
	mend store
	message job_speed 0
	pick commit commit commit abort drop
	if [ "$picked" = commit ]; then
		wait_until job_is_over || return
		if [ "$(dm_status s 1)" = broken ]; then
			refuses_commit "$1" || return
		elif is_on_store "$TMP/then"; then
			is_complete=yes
			commit "$1" || return
		else
			diag "the copy is complete, and not the device"
			return 1
		fi
	elif [ "$picked" = abort ]; then
		message backup abort B
	fi
}

# The backup to which B belongs, as the device reports it, decides, as it does for users.
note_increment()
{
	if [ "$(tracking_field 4)" -ne "$1" ]; then
		diag "increment $1: not committed"
	elif [ -z "$is_complete" ]; then
		diag "increment $1 counts as complete, and was not"
		return 1
	else
		mv "$TMP/then" "$TMP/backup"
	fi
}

one_increment()
{
	local step is_complete='' meta_was_broken='' may_fail=''
	[ "$meta_policy" = break_tracking ] || may_fail=--errors-allowed
	generation=$((generation + 1))
	for ((step = 0; step < STEPS / 4; step++)); do
		start_guest "$OPERATIONS" $may_fail
		track_step && track_step || return
		guest_is_good || return
	done
	revive_meta && meta_was_broken='' && begin_increment $generation || return
	for ((step = 0; step < STEPS / 4; step++)); do
		start_guest "$OPERATIONS" $may_fail
		increment_step && increment_step || return
		guest_is_good || return
	done
	end_increment $generation && mend meta && make_track_table && load_and_swap &&
		revive_meta && note_increment $generation
}

track_round()
{
	local i meta_policy generation=0
	pick break_guest_write break_tracking
	meta_policy=$picked
	rm -f "$MODEL"
	initial=$TMP/initial
	viewcheck "$file_disk" "$initial" paint $RANDOM && cp "$initial" "$TMP/backup" &&
		mend meta && new_meta --track --bitmap B:64K --bitmap C:4K &&
		make_track_table && dm_create s "$table" || return
	for ((i = 0; i < 3; i++)); do
		one_increment || return
	done
	holds_the_model
}
