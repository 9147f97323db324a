#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# While the metadata device hangs, writes to open regions and reads work, and so does the
# status, since it is needed to find the cause. Writes to other regions wait, and
# complete when the device is back.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((64 * 2048)) REGION=16777216
origin=$(make_painted 64) || bail "origin"
disk=$(make_meta $SIZE B:64K:auto dmlive-intent:16M) && meta=$(make_linear m "$disk") ||
	bail "meta"
label="hang"

# Does the process wait in the kernel?
hangs()
{
	[ "$(cut -d ' ' -f 3 "/proc/$1/stat" 2> /dev/null)" = D ]
}

let_go()
{
	dmsetup resume m 2> /dev/null || :
}

dm_create t "$(track_table $SIZE "$origin" "$meta" 128)" || bail "t"
check_so "a region is opened" dd_write $T 4096 4096
check_so "the metadata device hangs" dmsetup suspend --noflush --nolockfs m
on_exit let_go

# A message locks the tracking while it writes.
dmsetup message t 0 bitmap clear B & message=$!
check_so "a message waits for it" wait_until hangs $message
dd_write $T $((2 * REGION)) 4096 & writer=$!
ends "the status can be read" dmsetup status t
ends "so is the table" dmsetup table t
ends "open regions can be written" dd_write $T 1048576 4096
ends "reads work" dd_read $T $((3 * REGION)) 4096
check_so "the other write waits" is_running $writer
check_so "the message still does" hangs $message

check_so "the metadata device is back" dmsetup resume m
wait $message
result $? "$label: the message ends"
wait $writer
result $? "$label: so does the write"
is_so "two writes came after the request" "$(tracking B)" "recording 2"
dm_remove t
read_meta "$disk"
is_sane "closed"
is_so "their bits" "$(bits_of B)" \
	"$(printf '%s\n' "1048576 65536" "$((2 * REGION)) 65536")"
dm_remove m
finish
