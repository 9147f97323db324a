# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The library of the crash tests: the devices, the guest, the replay of the log.
#
# The promise: a crash at any time loses nothing. In every state in which it can leave
# the volume and the metadata device, the data that was acknowledged and flushed is
# there, and everything else is the backing's data or data that was written since.
#
# Volume and metadata device are two parts of one device that dm-log-writes logs, so the
# log also has the order between the two; but each has a cache of its own, see replay.sh.
# A guest writes, flushes, discards and zeroes (crash-writer.c) while the streamer runs
# and the device is suspended and resumed. Then crash-replay goes through the log.
#
# The test was checked with broken modules, with blocks of 64 KiB and 800 operations
# (2,500 to 2,700 entries). The first violations that it reported:
#
#   no flush of the volume before bits are written (store.c, write_stage())
#	of the entries 119 to 132 some that are not durable, trial 1: sector 4 shows
#	foreign data (0, 'stale'), durable is 0
#   bits are staged after that flush, not before (store.c, dm_live_store_commit_now())
#	of the entries 107 to 109 some that are not durable, trial 1: sector 24960
#	shows foreign data (0, 'stale'), durable is 0
#   a flush does not wait for the commit (io.c, map_flush())
#	entry 310: sector 48256 shows the backing's data (0, ''), durable is 37
#   a write with FUA does not (io.c, at_map())
#	entry 132: sector 22018 shows the backing's data (0, 'backing'), durable
#	is 23
#   the state does not say UPDATING (store-use.c, set_in_use())
#	entry 0: the store would be refused: the bitmaps do not count as consistent

. "$(dirname "$0")/alloctrack.sh"
. "$LIB/replay/replay.sh"
require_target log-writes
require_target delay
require_module nbd
require_target unstriped
require_target snapshot
require_command qemu-img dmlive crash-writer crash-replay

readonly META_MIB=1 LOG_MIB=400

# layout VOLUME_MIB BACKING_MIB BLOCK_SECTORS - make the devices, and copy their content
# before the log begins.
layout()
{
	local volume_mib=$1 backing_mib=$2
	block=$3 size=$((volume_mib * 2048))

	# A volatile cache, and completions out of order.
	disk=$(make_painted stale $((volume_mib + META_MIB + 1)) 512 \
		cache_size=8 irqmode=2 completion_nsec=30000) || bail "disk"
	backing=$(make_disk "$backing_mib") || bail "backing"
	paint backing "$backing" 65536 || bail "backing"
	log_disk=$(make_disk $LOG_MIB) || bail "log"
	rm -f "$TMP/meta"
	dmlive meta format "$TMP/meta" --size ${volume_mib}M \
		--granularity $((block * 512)) || bail "dmlive meta format"
	dd if="$TMP/meta" of="$disk" bs=1M seek="$volume_mib" conv=notrunc,fsync \
		status=none || bail "metadata"
	head -c $((volume_mib + META_MIB))M "$disk" > "$TMP/image" || bail "image"
	make_logged "$disk" "$log_disk" "$size" $META_MIB
}

# A device on t that passes FUA, but no flush: dm-unstripe passes none, so the
# device has one for its other part only.
make_fua_device()
{
	local other
	other=$(make_disk 1 512 cache_size=1) || bail "cache"
	dm_create fua "0 $size unstriped 1 8 0 /dev/mapper/t 0
$size 2048 linear $other 0" || bail "fua"
	[ "$(cat "/sys/dev/block/$(dm_number fua)/queue/fua")" = 1 ]
}

nr_logged()
{
	dm_status log 1
}

logged_more_than()
{
	[ "$(nr_logged)" -gt "$1" ] || has_ended "$writer"
}

# use OPS SPEED WRITER_ARGUMENT... - run the guest, with three suspends, which close the
# store and open it again.
use()
{
	local arguments=("${@:3}") ops=$1 i

	dm_create t "0 $size alloctrack /dev/mapper/volume $backing \
/dev/mapper/meta $block 3 stream stream_speed $2" || bail "t"
	if make_fua_device; then
		arguments+=(fua-device=/dev/mapper/fua)
	else
		diag "no FUA without flush here"
	fi
	crash-writer device=/dev/mapper/t marks=/dev/mapper/marks "journal=$TMP/journal" \
		block="$block" ops="$ops" "${arguments[@]}" > "$TMP/writer" 2>&1 &
	writer=$!
	on_exit stop_process $writer
	for ((i = 1; i <= 3; i++)); do
		wait_until -t 300 logged_more_than $((ops * i / 4))
		dmsetup suspend t && dmsetup resume t || bail "suspend"
	done
	wait $writer
	result $? "$label: the guest has met no error" || diag "$(< "$TMP/writer")"
	diag "$(< "$TMP/writer"); $(dm_status t)"
	dm_remove fua
	dm_remove t
	remove_logged
	like "$label: all is in the log" "$logged" '^[0-9]+ [0-9]+$'
}

# Make the device on the image that the crash left; with "apart" on top of snapshots, so
# that the image does not change.
make_device()
{
	local volume=$volume_loop meta=$meta_loop

	if [ "${1:-}" = apart ]; then
		dm_create s0 "0 $size snapshot $volume $cow0 N 8" || return
		dm_create s1 "0 $((META_MIB * 2048)) snapshot $meta $cow1 N 8" || return
		volume=/dev/mapper/s0 meta=/dev/mapper/s1
	fi
	dm_create r "0 $size alloctrack $volume $backing $meta $block 0"
}

remove_device()
{
	dm_remove r
	dm_remove s0
	dm_remove s1
}

content()
{
	sha256sum < "$1"
}

# Completing the restore changes no visible data.
complete()
{
	local before

	make_device apart || return
	before=$(content /dev/mapper/r)
	# Refused where the restore is complete already.
	message r stream start 2> /dev/null
	wait_until -t 120 state_is r complete || return
	blockdev --flushbufs /dev/mapper/r
	[ "$(content /dev/mapper/r)" = "$before" ]
}

# sample N - called when crash-replay wants to compare with a real device.
sample()
{
	make_device || { bad=1; diag "sample $1: the device cannot be made"; }
	echo /dev/mapper/r >&"$to"
	read -r line <&"$from"
	[ "$line" = same ] || { bad=1; diag "sample $1: $line"; }
	remove_device
	tail -c $((META_MIB << 20)) "$TMP/image" > "$TMP/meta.left"
	qemu-img check -q "$TMP/meta.left" || { bad=1; diag "sample $1: qemu-img check"; }
	dmlive meta check "$TMP/meta.left" > /dev/null ||
		{ bad=1; diag "sample $1: dmlive meta check"; }
	if [ $(($1 % 20)) -eq 7 ]; then
		complete || { bad=1; diag "sample $1: completion shows something else"; }
		remove_device
	fi
	echo gone >&"$to"
}

# check_log SAMPLES REPLAY_ARGUMENT...
check_log()
{
	local bad=0

	volume_loop=$(make_loop "$TMP/image" 512 --sizelimit $((size * 512))) ||
		bail "loop"
	meta_loop=$(make_loop "$TMP/image" 512 --offset $((size * 512))) || bail "loop"
	cow0=$(make_disk $((size / 2048 * 2))) || bail "cow"
	cow1=$(make_disk $((META_MIB * 2))) || bail "cow"
	replay crash-replay log="$log_disk" image="$TMP/image" backing="$backing" \
		journal="$TMP/journal" volume="$size" block="$block" \
		samples="$1" "${@:2}"
	result $replay_status "$label: no state breaks the promise"
	result $bad "$label: the device shows what was computed, and QEMU agrees"
	like "$label: there was something to check" "$replayed" \
		'entries [0-9]{4,}, states [0-9]{4,}, marks [0-9]{2,}'
}
