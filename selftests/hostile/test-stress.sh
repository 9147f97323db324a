#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# timeout: 7200
#
# A guest with random writes reads back exactly its data, whatever is done to the devices
# meanwhile: streaming, servers that are killed, sessions and views, change tracking,
# tables and suspends, failing disks, little memory. Backups and views have the point in
# time.
#
# Variables of the environment: ROUNDS, SEED, and STRESS_SECONDS (start rounds until that
# time is over).

. "$(dirname "$0")/stress.sh"
. "$(dirname "$0")/stress-track.sh"

SEED=${SEED:-1} STEPS=${STEPS:-12} OPERATIONS=${OPERATIONS:-150}

# new_meta OPTION... - with options of dmlive meta format.
new_meta()
{
	local image=$TMP/meta
	rm -f "$image"
	dmlive meta format "$image" --size $((SIZE * 512)) "$@" &&
		dd if="$image" of="$meta_disk" bs=64K conv=notrunc,sync oflag=direct status=none
}

# make_restore_table BACKING - set $table, with random features.
make_restore_table()
{
	local features=() meta=-
	[ -z "$with_meta" ] || meta=$meta_disk
	((RANDOM % 2)) && [ "$1" != user ] && features+=(copy_on_read)
	((RANDOM % 2)) && features+=(no_detect_zeroes)
	pick 0 2000000 20000000
	features+=(stream_speed "$picked")
	pick stop ignore
	features+=(on_error "$picked")
	table="0 $SIZE alloctrack /dev/mapper/file $1 $meta $block ${#features[@]} ${features[*]}"
}

# May be refused, depending on what is in progress.
message()
{
	dmsetup message s 0 "$@" 2>/dev/null
	true
}

stream_step()
{
	make_restore_table "$1"
	case $((RANDOM % 8)) in
	0)	message stream pause ;;
	1)	message stream resume ;;
	2)	message stream start ;;
	3)	message stream cancel ;;
	4)	pick 0 1000000 50000000; message stream_speed "$picked" ;;
	5)	suspended true ;;
	6)	dmsetup load s <<< "$table" && suspended true ;;
	7)	refuses_another_size "$table" ;;
	esac
}

restore_step()
{
	case $((RANDOM % 4)) in
	0)	pick file backing; break_somewhere "$picked" ;;
	1)	mend file && mend backing ;;
	*)	stream_step /dev/mapper/backing ;;
	esac
}

# completes FIELD NOUN - is the job complete whose state is this field of the status? If
# not, resume it.
completes()
{
	case $(dm_status s "$1") in
	complete)		return 0 ;;
	paused|stopped)		message "$2" resume ;;
	running)		;;
	*)			message "$2" start ;;
	esac
	return 1
}

swap_for_linear()
{
	echo "0 $SIZE linear /dev/mapper/file 0" | dmsetup load s && suspended true
}

begin_restore()
{
	rm -f "$MODEL"
	initial=$backing_disk
	viewcheck "$file_disk" - paint $RANDOM && viewcheck "$backing_disk" - paint $RANDOM &&
		new_meta --granularity $((block * 512)) && make_restore_table "$1" && dm_create s "$table"
}

# The kernel streams from a backing that fails now and then, as does the volume.
restore_round()
{
	local i
	begin_restore /dev/mapper/backing || return
	for ((i = 0; i < STEPS; i++)); do
		start_guest "$OPERATIONS" --errors-allowed
		start_reader
		restore_step && restore_step || return
		guest_is_good || return
		stop_process $reader
	done
	mend file && mend backing && message stream_speed 0 &&
		wait_until completes 2 stream && swap_for_linear && holds_the_model
}

start_server()
{
	rm -f "$TMP/server"
	local odd=()
	((RANDOM % 2)) && odd=(--odd)
	userver --stream "${odd[@]}" "$(dm_number s)" "$backing_disk" > "$TMP/server" 2>&1 &
	server=$!
	on_exit stop_process $server
	wait_until grep -q '^attached' "$TMP/server"
}

# A server is killed again and again; guests notice only a delay.
server_round()
{
	local i
	begin_restore user || return
	start_server || return
	for ((i = 0; i < STEPS; i++)); do
		start_guest "$OPERATIONS"
		stop_process $server
		start_server && stream_step user || return
		guest_is_good || return
	done
	message stream_speed 0
	wait_until completes 2 stream && stop_process $server && swap_for_linear && holds_the_model
}

# make_session_table target|fleece - set $table.
make_session_table()
{
	local features=("$1" /dev/mapper/store on_cbw_error "$policy")
	if [ "$1" = target ]; then
		pick 0 5000000
		features+=(job_speed "$picked")
		pick stop report
		features+=(on_target_error "$picked")
	fi
	table="0 $SIZE cbw /dev/mapper/file - $block ${#features[@]} ${features[*]}"
}

session_step()
{
	case $((RANDOM % 10)) in
	0)	break_somewhere store ;;
	1)	mend store ;;
	2)	suspended true ;;
	3)	make_session_table "$1"; refuses_another_size "$table" ;;
	4|5)	pick start start resume pause cancel; message job "$picked" ;;
	6)	pick 0 2000000 50000000; message job_speed "$picked" ;;
	*)	view_is_true ;;
	esac
}

# The view shows the point in time, or fails reads.
view_is_true()
{
	viewcheck /dev/mapper/v "$TMP/then" read 2 10 > "$TMP/view" 2>&1
	[ $? -ne 1 ] && return
	diag "the view is wrong: $(tail -n 5 "$TMP/view")"
	return 1
}

# copy_is_true target|fleece - if the job is complete, the target has the point in time.
copy_is_true()
{
	[ "$1" = fleece ] || [ "$(dm_status s 4)" != complete ] || is_on_store "$TMP/then"
}

# One session after the other, while the guest writes.
session_round()
{
	local i options=() policy
	pick break_guest_write break_snapshot
	policy=$picked
	[ "$policy" = break_snapshot ] || options=(--errors-allowed)
	rm -f "$MODEL"
	initial=$TMP/initial
	viewcheck "$file_disk" "$initial" paint $RANDOM &&
		dm_create s "0 $SIZE cbw /dev/mapper/file - $block 0" || return
	for ((i = 0; i < 3; i++)); do
		pick target fleece
		one_session "$picked" || return
	done
	holds_the_model
}

one_session()
{
	local step
	make_session_table "$1"
	mend store && dmsetup load s <<< "$table" && dmsetup suspend s &&
		copy_disk "$file_disk" "$TMP/then" && dmsetup resume s &&
		dm_create v "0 $SIZE cbw-snapshot $S" || return
	for ((step = 0; step < STEPS / 3; step++)); do
		start_guest "$OPERATIONS" "${options[@]}"
		session_step "$1" && session_step "$1" || return
		guest_is_good || return
	done
	view_is_true && copy_is_true "$1" && dm_remove v
}

# The end of a round, successful or not.
take_down()
{
	[ -z "${server:-}" ] || stop_process "$server"
	dm_remove v
	dm_remove s
	mend file
	mend backing
	mend store
	mend meta
	server=''
}

round()
{
	local kind=$1 block with_meta table
	RANDOM=$2
	pick 8 128 128 2048
	block=$picked
	pick "" yes
	with_meta=$picked
	log_mark
	"${kind}_round"
	result $? "$kind, seed $2, blocks of $((block / 2)) KiB${with_meta:+, with metadata}" ||
		diag "$(log_since | tail -n 40)"
	take_down
}

make_stack
make_poor
end=$((SECONDS + ${STRESS_SECONDS:-0}))
for ((n = 0; n < ${ROUNDS:-2} || SECONDS < end; n++)); do
	for kind in restore server session track; do
		round $kind $((SEED + n))
	done
done
finish
