#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# timeout: 1800
#
# A crash at any time loses no change: in every state in which it can leave the volume
# and the metadata device, each block that differs from the volume's first content is set
# after recovery. When the bitmap belongs to a backup, the same holds for the blocks that
# differ from the backup, also in the middle of a commit.
#
# Volume and metadata device are two parts of one device that dm-log-writes logs, so the
# log also has the order between the two; but each has a cache of its own, see replay.sh.
# A guest writes, flushes, discards and zeroes; regions are opened and closed, the device
# is suspended, and its table is reloaded. Then track-replay goes through the log.
#
# The test was checked with broken modules. The first violations that it reported:
#
#   writes go down before the intent is durable (track-intent.c, open_work())
#	of the entries 9 to 10 some that are not durable, trial 0: block 3239 differs
#	from backup 0 and is not set
#   a region is cleared before the bitmaps are durable (close_work())
#	of the entries 205 to 210 some that are not durable, trial 1: block 0 differs
#	from backup 0 and is not set
#   every other region stays open on disk (clear_shut())
#	of the entries 190 to 191 some that are not durable, trial 0: a region is open
#	that has not been written to since it was closed
#   commit does not flush the volume (track-session.c, cbw_track_commit())
#	of the entries 994 to 1053 some that are not durable, trial 1: block 55 differs
#	from backup 4 and is not set
#   commit rewrites bits before the generation (track-session.c, cbw_track_commit())
#	entry 528: block 4 differs from backup 0 and is not set
#
# The volume has 32 MiB, since a process on UML can map at most 65,530 pages. Small
# regions, so that there are several.

. "$(dirname "$0")/track.sh"
. "$LIB/replay/replay.sh"
require_target log-writes
require_target delay
require_module nbd
require_command track-replay

readonly VOLUME_MIB=32 META_MIB=2 LOG_MIB=400
readonly REGION_MIB=2 NR_REGIONS=$((VOLUME_MIB / 2)) SIZE=$((VOLUME_MIB * 2048))
block=8 label="crash"

# Make the devices, and copy their content before the log begins to $TMP/image.
layout()
{
	# A volatile cache, and completions out of order.
	disk=$(make_painted $((VOLUME_MIB + META_MIB + 1)) 512 \
		cache_size=8 irqmode=2 completion_nsec=30000) || bail "disk"
	target=$(make_disk $VOLUME_MIB) || bail "target"
	log_disk=$(make_disk $LOG_MIB) || bail "log"
	rm -f "$TMP/meta"
	dmlive meta format "$TMP/meta" --size ${VOLUME_MIB}M --track --bitmap B:4K \
		--bitmap C:64K || bail "dmlive meta format"
	make_regions "$TMP/meta"
	dd if="$TMP/meta" of="$disk" bs=1M seek=$VOLUME_MIB conv=notrunc,fsync \
		status=none || bail "metadata"
	head -c $((VOLUME_MIB + META_MIB))M "$disk" > "$TMP/image" || bail "image"
	head -c ${VOLUME_MIB}M "$TMP/image" > "$TMP/initial"

	make_logged "$disk" "$log_disk" $SIZE $META_MIB
}

# make_regions FILE - set the size of regions to $REGION_MIB. The granularity is 7 bytes
# before the name.
make_regions()
{
	local at granularity=0
	while [ $((1 << granularity)) -lt $((REGION_MIB << 20)) ]; do
		granularity=$((granularity + 1))
	done
	at=$(grep -abo dmlive-intent "$1" | head -n 1 | cut -d : -f 1)
	printf '%b' "\\x$(printf '%02x' $granularity)" |
		dd of="$1" bs=1 seek=$((at - 7)) conv=notrunc status=none
	is_so "the granularity of the regions" "$(dmlive meta dump "$1" --json |
		jq '.bitmaps[] | select(.name == "dmlive-intent") | .granularity')" \
		$((REGION_MIB << 20))
	check_so "such regions are valid" dmlive meta check "$1"
}

table()
{
	track_table $SIZE /dev/mapper/volume /dev/mapper/meta $block "$@"
}

# guest OPTION... - without FUA, since writes with FUA are logged before others that
# ended earlier.
guest()
{
	model --mix read=30,write=40,discard=8,zero=8,flush=5 "$@"
}

# work OPS [OPTION...] - run the guest.
work()
{
	check_so "the guest reads what it wrote" guest --initial "$TMP/initial" \
		--load-model "$TMP/model" --save-model "$TMP/model" --no-verify \
		--ops "$1" --max-io 64K "${@:2}"
}

# rewrite REGION... - write their present content, unknown to the guest.
rewrite()
{
	local region
	for region; do
		dd_read $T $(((region * REGION_MIB << 20) + 65536)) 8192 |
			dd of=$T bs=8192 seek=$(((region * REGION_MIB << 20) + 65536)) \
				oflag=seek_bytes,direct iflag=fullblock conv=notrunc \
				status=none || bail "rewrite"
	done
}

# closed - wait until all regions are closed, also on disk, and mark this in the log. A
# message waits until the closing of regions has ended, even if the message fails.
closed()
{
	check_so "regions are closed" wait_until tracking_is regions 0/$NR_REGIONS
	message bitmap enable B 2> /dev/null
	mark closed
}

# backup GENERATION new_bitmap|bitmap OPS - run a session, and commit or abort it.
backup()
{
	table target "$target" "$2" B | dmsetup reload t && dmsetup suspend t ||
		bail "session"
	mark "backup$1"
	dmsetup resume t || bail "resume"
	work "$3"
	if [ "$1" = 1 ]; then
		# Only the bits and the generation show what has changed.
		closed
		check_so "commit" message backup commit B "$1"
	elif [ "$1" = 3 ]; then
		check_so "abort" message backup abort B
	else
		check_so "commit under I/O" commit_under_io "$1"
	fi
	work 50
}

# backup_of_unflushed GENERATION - the guest's last writes are in the backup, and only
# the commit flushes them.
backup_of_unflushed()
{
	head -c 65536 /dev/urandom | dd of=$T bs=64K count=1 seek=5 iflag=fullblock \
		oflag=direct conv=notrunc status=none || bail "write"
	table target "$target" bitmap B | dmsetup reload t && dmsetup suspend t ||
		bail "session"
	mark "backup$1"
	dmsetup resume t || bail "resume"
	check_so "commit of writes that were not flushed" message backup commit B "$1"
	closed
}

commit_under_io()
{
	local guest status
	guest --initial "$TMP/initial" --load-model "$TMP/model" --no-verify --ops 100 \
		--max-io 64K --save-model "$TMP/model" > "$TMP/guest" 2>&1 &
	guest=$!
	message backup commit B "$1"
	status=$?
	wait $guest && return $status
}

use()
{
	dm_create t "$(table)" || bail "t"
	check_so "the guest begins" guest --initial "$TMP/initial" --no-verify \
		--save-model "$TMP/model" --ops 200 --max-io 64K
	closed
	# Only these are open from now on.
	rewrite 2
	rewrite 3 $((NR_REGIONS - 1))
	closed
	rewrite 0
	sync $T
	# Some regions are opened while others are closed.
	work 150
	dmsetup suspend t && dmsetup resume t || bail "suspend"
	work 100
	backup 1 new_bitmap 100
	backup 2 bitmap 50
	backup 3 bitmap 50
	check_so "another table" dm_reload t "$(table)"
	work 50
	closed
	rewrite 7 8
	closed
	backup_of_unflushed 4
	dm_remove t
	remove_logged
}

# sample N - let the kernel recover the metadata that the crash has left.
sample()
{
	local nr
	dm_create r "$(track_table $SIZE "$volume_loop" "$meta_loop" $block)" &&
		nr=$(dm_status r | grep -o ' B 4096 recording [0-9]*' | cut -d ' ' -f 5) &&
		dmsetup remove r || { diag "sample $1: no device"; nr=-1; }
	if [ $(($1 % 10)) -eq 1 ]; then
		tail -c ${META_MIB}M "$TMP/image" > "$TMP/meta.left"
		qemu-img check -q "$TMP/meta.left" || { bad=1; diag "sample $1: qemu-img check"; }
	fi
	echo "$nr" >&"$to"
}

check_log()
{
	local bad=0

	volume_loop=$(make_loop "$TMP/image" 512 --sizelimit $((SIZE * 512))) || bail "loop"
	meta_loop=$(make_loop "$TMP/image" 512 --offset $((SIZE * 512))) || bail "loop"
	replay track-replay log="$log_disk" image="$TMP/image" volume=$SIZE \
		bitmap=B samples=20
	result $replay_status "$label: no state has lost a change"
	result $bad "$label: QEMU finds no error"
	like "$label: there was something to check" "$replayed" \
		'entries [0-9]{3,}, states [0-9]{4,}, samples [12]?[0-9].* at most [1-9][0-9]* of'
}

layout
use
check_log
finish
