# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The library of the alloctrack tests, on top of lib/common.sh. A volume is painted
# with the tag "stale" before it becomes the file of a target, and a backing with
# "backing", so all data that is read shows where it is from. mirror.c compares a
# device with a file that models it; paint.c paints and looks for tags.
#
# Sizes of tables and blocks are in 512-byte sectors, as in the table line. Starting a
# process is slow in an emulated machine, so use few.

. "$(dirname "$0")/../lib/common.sh"
require_target alloctrack
require_module null_blk

readonly T=/dev/mapper/t MODEL=$TMP/model

# make_painted TAG MIB [SECTOR_BYTES [ATTRIBUTE=VALUE...]] - make_disk, painted.
make_painted()
{
	local disk
	disk=$(make_disk "${@:2}") && paint "$1" "$disk" && echo "$disk"
}

# each_geometry FUNCTION - call FUNCTION BLOCK_SECTORS SECTOR_BYTES for all block
# sizes and logical block sizes. $label names the two.
each_geometry()
{
	local lbs block label
	for lbs in 512 4096; do
		for block in 8 128 4096; do
			label="blocks of $((block / 2)) KiB, sectors of $lbs"
			"$1" $block $lbs
		done
	done
}

# each_volume FUNCTION [ATTRIBUTE=VALUE...] - as each_geometry, with
#   block, bytes	the block size in sectors and in bytes
#   lbs			the logical block size of the disks
#   size		the size for the device; the last block is short if blocks are
#			larger than sectors
#   file, backing	painted disks, at least as large, with these attributes
#   label		names the geometry
each_volume()
{
	local block lbs bytes size label file='' backing function=$1
	local attributes=("${@:2}") last_lbs=''
	each_geometry one_volume
}

# shellcheck disable=SC2317 # called by each_geometry
one_volume()
{
	local mib=3
	block=$1 lbs=$2 bytes=$(($1 * 512))
	[ "$bytes" -le $((1 << 20)) ] || mib=10
	if [ "$lbs" != "$last_lbs" ]; then
		file=$(make_disk 10 "$lbs" "${attributes[@]}") &&
			backing=$(make_painted backing 10 "$lbs" "${attributes[@]}") ||
			bail "disks"
		last_lbs=$lbs
	fi
	size=$((mib * 2048 - lbs / 512))
	paint stale "$file" $((mib << 20)) || bail "paint"
	"$function"
}

# at_table SECTORS FILE BACKING BLOCK [FEATURE_WORD...]
at_table()
{
	echo "0 $1 alloctrack $2 $3 - $4 $(($# - 4)) ${*:5}"
}

# at_create NAME SECTORS FILE BACKING BLOCK [FEATURE_WORD...]
at_create()
{
	dm_create "$1" "$(at_table "${@:2}")" || bail "dmsetup create $*"
}

# at_remove NAME - as dm_remove, but with a single process in the normal case.
at_remove()
{
	dmsetup remove "$1" 2>/dev/null || dm_remove "$1"
}

# at_status NAME FIRST [LAST] - words of the status: 1 meta, 2 state, 3 allocated/
# total, 4 block size, 5 streamed bytes, 6 read errors, 7 write errors, 8 number of
# features.
at_status()
{
	local words
	read -r -a words < <(dmsetup status "$1")
	echo "${words[*]:$(($2 + 2)):$((${3:-$2} - $2 + 1))}"
}

# at_allocated NAME - number of allocated blocks.
at_allocated()
{
	local counts
	counts=$(at_status "$1" 3)
	echo "${counts%/*}"
}

state_is()
{
	[ "$(at_status "$1" 2)" = "$2" ]
}

allocated_is()
{
	[ "$(at_allocated "$1")" = "$2" ]
}

allocated_above()
{
	[ "$(at_allocated "$1")" -gt "$2" ]
}

# message NAME WORD... - dmsetup message.
message()
{
	dmsetup message "$1" 0 "${*:2}"
}

# mirrored DESCRIPTION ARGUMENT... - run mirror on the device t and its model.
mirrored()
{
	local about=$1 options=()
	shift
	while [[ ${1:-} = --* ]]; do
		options+=("$1")
		shift
	done
	check "${label:+$label: }$about" mirror "${options[@]}" "$T" "$MODEL" "$@"
}

# reads_as DESCRIPTION BACKING - create the model: a new device t must read as BACKING.
reads_as()
{
	mirrored "$1" "--from=$2"
}

# random_io DESCRIPTION BACKING OPTION... - run blkmodel on the new device t.
random_io()
{
	local initial=$2
	[ "$initial" != - ] || initial=zero
	check "${label:+$label: }$1" blkmodel "$T" --initial "$initial" \
		--block-size "${bytes:-65536}" "${@:3}"
}

shows_nothing_stale()
{
	check_fails "${label:+$label: }${1:+$1: }nothing stale" \
		paint --find stale "${2:-$T}"
}

# queue_limit NAME - a limit of the device t, from /sys/block/.../queue.
queue_limit()
{
	cat "/sys/dev/block/$(dm_number t)/queue/$1"
}

# start_fio SECONDS OPTION... - random I/O on the device t, verified by fio, for at least
# SECONDS; 0: until fio_is_good ends it. Sets $fio to the process.
start_fio()
{
	local rounds='' seconds=$1
	rm -f "$TMP/fio.end"
	[ "$seconds" -gt 0 ] || rounds=1 seconds=1
	run_fio "$rounds" $((seconds * 100)) "${@:2}" > "$TMP/fio" 2>&1 &
	fio=$!
	on_exit stop_process $fio
}

run_fio()
{
	while fio --name=verified --filename="$T" --direct=1 --ioengine=libaio \
			--iodepth=8 --rw=randrw --verify=crc32c --verify_fatal=1 \
			--verify_backlog=16 --bsrange=4k-64k --blockalign=4k \
			--rate_iops=100 --number_ios="$2" "${@:3}"; do
		[ -n "$1" ] && [ ! -e "$TMP/fio.end" ] || return 0
	done
	return 1
}

# fio_is_good DESCRIPTION - end fio, or wait for its end; it must have verified all data.
fio_is_good()
{
	touch "$TMP/fio.end"
	wait "$fio"
	result $? "${label:+$label: }$1" || diag "$(tail -n 50 "$TMP/fio")"
}

# suspend_storm - suspend and resume t, in all ways, until the process $fio has ended.
suspend_storm()
{
	local ways=("" --noflush --nolockfs "--noflush --nolockfs") n=0
	while is_running "$fio"; do
		# shellcheck disable=SC2086 # words
		dmsetup suspend ${ways[n++ % 4]} t && dmsetup resume t || return 1
	done
	diag "$n suspends"
}

# start_server FILE [OPTION...] - start userver for the device t, and wait until it is
# attached. Sets $server to the process and $server_log to its output.
start_server()
{
	server_log=$TMP/server.$((server_count = ${server_count:-0} + 1))
	userver "${@:2}" "$(dm_number t)" "$1" > "$server_log" 2>&1 &
	server=$!
	on_exit stop_process $server
	wait_until grep -q '^attached' "$server_log"
}
