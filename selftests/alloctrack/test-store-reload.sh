#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Suspend and resume, and reload of a table for the same devices, in every state of the
# job and under I/O: no bit is lost, with or without a metadata device.

. "$(dirname "$0")/store.sh"

readonly SIZE=49152 BLOCK=128 HALF=24576

# The guest uses only the first half, so that blocks are left for the job.
model()
{
	blkmodel /dev/mapper/half --initial "$backing" --block-size 65536 "$@"
}

table()
{
	meta_table $SIZE "$file" "$backing" "$meta" $BLOCK "$@"
}

# A round: the same table again, another one, and a suspend without a flush.
round()
{
	dmsetup suspend t && dmsetup resume t &&
		dm_reload t "$(table)" &&
		dm_reload t "$(table no_detect_zeroes stream_speed 300000)" &&
		dm_reload t "$(table stream_speed 400000)" --noflush &&
		dmsetup suspend --noflush t && dmsetup resume t
}

# rounds PID - until the process has ended. The number of allocated blocks never falls.
rounds()
{
	local last=0 now n=0
	while is_running "$1"; do
		round > "$TMP/round" 2>&1 || { diag "$(< "$TMP/round")"; return 1; }
		now=$(at_allocated t)
		[ "$now" -ge "$last" ] || { diag "$now after $last blocks"; return 1; }
		last=$now n=$((n + 1))
	done
	diag "$label: $n rounds"
}

# under_io STATE - I/O and rounds; the job's state is the same afterwards.
under_io()
{
	local guest

	model --load-model "$TMP/model" --seconds 2 --no-verify \
		--save-model "$TMP/model" > "$TMP/guest" 2>&1 &
	guest=$!
	rounds $guest
	result $? "$label, $1: tables are replaced"
	wait $guest
	result $? "$label, $1: the guest notices nothing" || diag "$(< "$TMP/guest")"
	is "$label, $1: the job is as before" "$(at_status t 2)" "$1"
}

# refused DESCRIPTION TABLE - its load or its resume is refused; the device works on.
refused()
{
	if dm_reload t "$2" 2> /dev/null; then
		not_ok "$label: $1: not refused"
	else
		dmsetup clear t
		dmsetup resume t
		ok "$label: $1 is refused"
	fi
	check "$label: and the device works" dd_write $T 0 4096
}

life()
{
	label=$1 meta=$2
	file=$(make_painted stale 24) && backing=$(make_painted backing 23) &&
		other=$(make_painted stale 24) || bail "disks"
	[ "$meta" = - ] || meta=$(make_meta $SIZE $BLOCK) || bail "metadata"
	dm_create t "$(table stream_speed 400000)" || bail "t"
	dm_create half "0 $HALF linear $T 0" || bail "half"
	model --ops 20 --max-io 64K --save-model "$TMP/model" > /dev/null || bail "model"
	under_io idle
	message t stream start
	under_io running
	message t stream pause
	wait_until state_is t paused
	under_io paused
	message t stream resume
	message t stream cancel
	wait_until state_is t cancelled
	under_io cancelled
	message t stream_speed 0
	message t stream start
	wait_until -t 120 state_is t complete || bail "complete: $(dmsetup status t)"
	under_io complete
	check "$label: all data is right" model --load-model "$TMP/model" --verify-only
	dm_remove half
	check "$label: also in the other half" cmp -i $((HALF * 512)) \
		-n $(((23 << 20) - HALF * 512)) $T "$backing"
	refuse_others
	dm_remove t
	if [ "$meta" != - ]; then
		read_meta "$meta" "$TMP/meta"
		is_sane "$label" "$TMP/meta" 65536
		is "$label: all blocks" "$(nr_set "$TMP/meta" $BLOCK)" $((SIZE / BLOCK))
	fi
}

refuse_others()
{
	refused "another volume" "$(meta_table $SIZE "$other" "$backing" "$meta" $BLOCK)"
	refused "another block size" "$(meta_table $SIZE "$file" "$backing" "$meta" 8)"
	refused "another size" "$(meta_table $((SIZE - 128)) "$file" "$backing" "$meta" $BLOCK)"
	if [ "$meta" != - ]; then
		refused "no metadata" "$(meta_table $SIZE "$file" "$backing" - $BLOCK)"
	else
		with=$(make_meta $SIZE $BLOCK) || bail "metadata"
		refused "metadata where there was none" \
			"$(meta_table $SIZE "$file" "$backing" "$with" $BLOCK)"
	fi
}

# Two devices on the same disks in turn: the suspended one does not undo the other's
# changes.
in_turn()
{
	label="two in turn"
	file=$(make_painted stale 24) && backing=$(make_painted backing 24) &&
		meta=$(make_meta $SIZE $BLOCK) || bail "disks"
	dm_create t "$(table)" || bail "t"
	check "$label: a write by the first" dd_write $T 0 65536
	dmsetup suspend t || bail "suspend"
	dm_create u "$(table)" || bail "u"
	check "$label: a write by the second" dd_write /dev/mapper/u 1048576 65536
	dm_remove u
	log_mark
	check_fails "$label: the first does not resume" dmsetup resume t
	like "$label: the log says why" "$(log_since)" "changed by something else"
	check "$label: it can be removed" dmsetup remove t
	dm_create t "$(table)" || bail "t"
	is "$label: created again, it has the blocks of both" "$(at_allocated t)" 2
	dm_remove t
}

life "with metadata" +
life "without metadata" -
in_turn
finish
