#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A dead metadata device does not leave a device in use suspended. Resumed without it,
# all allocated blocks can be used, no more become allocated, and a flush fails only if
# there are bits that are not durable.

. "$(dirname "$0")/store.sh"

readonly SIZE=16384 BLOCK=128
readonly NEW=$((SIZE * 512 - 65536))
file=$(make_painted stale 8) && backing=$(make_painted backing 8) &&
	meta_disk=$(make_meta $SIZE $BLOCK) && meta=$(make_linear m "$meta_disk") || bail "disks"
cp "$TMP/meta.new" "$TMP/fresh"

table()
{
	meta_table $SIZE "$file" "$backing" "$meta" $BLOCK
}

# begin LABEL - one block is allocated and durable.
begin()
{
	label=$1
	write_meta "$TMP/fresh" "$meta_disk"
	paint stale "$file"
	dm_create t "$(table)" || bail "t"
	reads_as "at first as the backing" "$backing"
	mirrored "a write" write 65536 65536
	check_so "a flush" sync $T
}

check_so()
{
	check "$label: $1" "${@:2}"
}

dies()
{
	break_device m "$meta_disk" 0 "$(sectors "$meta_disk")"
}

again()
{
	check_so "suspend and resume" eval "dmsetup suspend t && dmsetup resume t"
}

events_above()
{
	[ "$(dmsetup info -c --noheadings -o events t)" -gt "$1" ]
}

# goes_on [no] - allocated blocks can be used; flushes succeed, or do not.
goes_on()
{
	is_so "the status" "$(at_status t 1)" ro
	mirrored "reads and writes work" write 65536 4096 read 0 $((SIZE * 512))
	check_fails "$label: no first write" dd_write $T $NEW 65536
	check_fails "$label: no part of one" dd_write $T $NEW 4096
	check_fails "$label: no first discard" blkdiscard -o $NEW -l 65536 $T
	if [ $# -eq 0 ]; then
		check_so "a flush" sync $T
		mirrored "FUA" dsync 65536 4096
	else
		check_fails "$label: no flush" sync $T
		check_fails "$label: no FUA" dd_write $T 65536 65536 oflag=direct,dsync
		mirrored "zeros were written nevertheless" write 65536 65536
	fi
	check_so "a job" message t stream start
	check_so "which fails" wait_until state_is t failed
}

is_back()
{
	repair_device m "$meta_disk"
	again
	is_so "the metadata is good" "$(at_status t 1)" rw
	mirrored "a first write" write $NEW 65536
	check_so "a flush" sync $T
	dm_remove t
	read_meta "$meta_disk" "$TMP/meta"
	is_sane "$label" "$TMP/meta" 65536
	is_so "the bits" "$(nr_set "$TMP/meta" $BLOCK)" "$1"
}

# Everything was durable when the metadata device died.
idle()
{
	local before
	begin "idle"
	before=$(dmsetup info -c --noheadings -o events t)
	dmsetup suspend t
	dies
	check_so "a resume" dmsetup resume t
	check_so "an event" wait_until events_above "$before"
	goes_on
	table > "$TMP/table"
	check_fails "$label: no other table with it" dmsetup load t "$TMP/table"
	is_so "not suspended" "$(dmsetup info -c --noheadings -o suspended t)" Active
	again
	goes_on
	is_back 2
}

# A block is allocated whose bit is not on disk.
with_news()
{
	begin "with a bit that is not durable"
	dmsetup suspend --noflush --nolockfs m
	mirrored "a write" write 131072 65536
	printf '0 %s error\n' "$(sectors "$meta_disk")" | dmsetup load m || bail "error"
	dmsetup resume m
	again
	goes_on no
	again
	goes_on no
	is_back 3
}

# A complete device does not need the metadata.
complete()
{
	begin "complete"
	message t stream start
	check_so "completes" wait_until state_is t complete
	dies
	again
	is_so "the status" "$(at_status t 1 2)" "ro complete"
	mirrored "reads and writes work" write 0 65536 read 0 $((SIZE * 512))
	check_so "a flush" sync $T
	mirrored "FUA" dsync 65536 4096
	check_so "dmlive finish" dmlive finish t
	is_so "linear" "$(dm_target t)" linear
	mirrored "all data is there" --verify
	dm_remove t
	repair_device m "$meta_disk"
}

# The first resume requires it.
first()
{
	label="first"
	write_meta "$TMP/fresh" "$meta_disk"
	dmsetup create t --notable || bail "t"
	on_exit dm_remove t
	table | dmsetup load t || bail "load"
	dies
	check_fails "$label: no resume" dmsetup resume t
	repair_device m "$meta_disk"
	check_so "a resume with it" dmsetup resume t
	dm_remove t
}

idle
with_news
complete
first
dm_remove m
finish
