#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A table reload under load keeps the allocation and the job. A table that would lose
# them is refused with the reason; a different target discards them.

. "$(dirname "$0")/alloctrack.sh"
require_command fio

readonly SIZE=$((8 * 2048))
file=$(make_painted stale 8) && other=$(make_painted stale 8) || bail "file"
backing=$(make_painted backing 8) && copy=$(make_painted backing 8) || bail "backing"

# refused DESCRIPTION REASON TABLE - at load or at resume; then the old table stays.
refused()
{
	local state
	log_mark
	check_fails "$1 is refused" dm_reload t "$3"
	like "$1: the log says why" "$(log_since)" "$2"
	dmsetup clear t
	dmsetup resume t
	state=$(at_status t 3)
	is "$1: what is allocated is kept" "$state" "$allocated"
}

refusals()
{
	local allocated
	at_create t $SIZE "$file" "$backing" 128
	mirrored "some writes" "--from=$backing" write 0 65536 write 512 512 \
		write 1048576 4096
	allocated=$(at_status t 3)
	refused "another block size" "block size" \
		"$(at_table $SIZE "$file" "$backing" 8)"
	refused "another file device" "device" \
		"$(at_table $SIZE "$other" "$backing" 128)"
	refused "another size" "size" \
		"$(at_table $((SIZE - 128)) "$file" "$backing" 128)"
	check "other features and another backing are accepted" dm_reload t \
		"$(at_table $SIZE "$file" "$backing" 128 on_error stop copy_on_read)"
	is "allocated blocks are kept" "$(at_status t 3)" "$allocated"
	mirrored "the content is as before" --verify
	dmsetup suspend t &&
		at_table $SIZE "$file" "$copy" 128 | dmsetup reload t ||
		bail "reload while suspended"
	check "loaded while it is suspended" dmsetup resume t
	mirrored "the content is as before, the rest from a copy of the backing" --verify
	at_remove t
}

# The same table, then one with other features, another backing, and so on, under
# I/O.
under_load()
{
	local tables n=0
	tables=("$(at_table $SIZE "$file" "$backing" 128 stream)"
		"$(at_table $SIZE "$file" "$copy" 128 copy_on_read stream)"
		"$(at_table $SIZE "$file" "$backing" 128 stream_speed 1000000 on_error stop)")
	paint stale "$file"
	at_create t $SIZE "$file" "$backing" 128 stream stream_speed 1000000
	start_fio 3 --size=4m
	while is_running "$fio"; do
		dm_reload t "${tables[n++ % 3]}" || break
	done
	diag "$n reloads"
	fio_is_good "reloads under load: fio verifies what it wrote"
	message t stream_speed 0
	check "the job completes" wait_until state_is t complete
	check "the other half is the backing's" \
		cmp -i $((4 << 20)):$((4 << 20)) -n $((4 << 20)) "$T" "$backing"
	at_remove t
}

# After another target the device is a new one.
forgets()
{
	at_create t $SIZE "$file" - 128
	dd_write "$T" 0 65536
	is "one block is allocated" "$(at_allocated t)" 1
	dm_reload t "0 $SIZE linear $file 0" || bail "linear"
	check "from linear to another block size" \
		dm_reload t "$(at_table $SIZE "$file" - 8)"
	is "nothing is allocated" "$(at_allocated t)" 0
	at_remove t
}

# A table that is loaded but never resumed leaves nothing behind.
never_resumed()
{
	at_create t $SIZE "$file" - 128
	at_table $SIZE "$file" "$backing" 128 | dmsetup reload t
	at_table $SIZE "$file" - 128 stream | dmsetup reload t
	dmsetup clear t
	is "the state is as it was" "$(at_status t 2)" idle
	at_remove t
	check "a device with a table that was never resumed" \
		dmsetup create t --notable
	at_table $SIZE "$file" "$backing" 128 | dmsetup reload t
	at_table $SIZE "$other" "$backing" 8 | dmsetup reload t
	check "the last table counts" dmsetup resume t
	is "with its block size" "$(at_status t 4)" 8
	at_remove t
}

refusals
under_load
forgets
never_resumed
finish
