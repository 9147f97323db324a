#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A server ends when the device no longer needs it, whatever happens at that time. Until
# then SIGTERM does not end it.

. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 8
disk=$(make_disk 8 512) || bail "disk"
export WAIT_HOLD=$TMP/hold
shim=$SUITE_BUILD/preload-wait.so

# reads BLOCK - read a block that is not restored yet.
reads()
{
	timeout 60 dd if=/dev/mapper/r of=/dev/null bs=4k skip="$1" count=1 \
		iflag=direct status=none
}

# Streaming serves the last fault between the server's poll() and its WAIT.
streaming_is_quicker()
{
	local reader

	touch "$WAIT_HOLD"
	reads 1500 & reader=$!
	check "$1: the server is about to ask" wait_until test -e "$WAIT_HOLD.held"
	dmsetup message r 0 stream_speed 0
	dmsetup message r 0 stream resume
	wait $reader
	is "$1: the read is served by streaming" $? 0
	check "$1: all is restored" wait_until is_complete
	rm "$WAIT_HOLD" "$WAIT_HOLD.held"
}

is_complete()
{
	dmsetup status r | grep -q ' complete '
}

for module in new old; do
	start=(start_restore image.qcow2 "$disk" r --force --no-finish --speed 16K)
	[ $module = new ] && LD_PRELOAD=$shim "${start[@]}" ||
		WAIT_OLD=1 LD_PRELOAD=$shim "${start[@]}"
	server=$(server_of r)
	dmsetup message r 0 stream pause
	kill -TERM "$server"
	check "$module module: a read is served after SIGTERM" reads 1700
	dmsetup suspend r
	reads 1900 & reader=$!
	dmsetup resume r
	wait $reader
	is "$module module: a read is served after a suspend" $? 0
	streaming_is_quicker "$module module"
	check "$module module: the server ends" wait_until is_gone "$server"
	same "$module module: content" /dev/mapper/r image.qcow2.raw
	end_restore r
done

# Complete, and suspended without a resume. The kernel streams from a device.
image=$(make_loop "$TMP/image.qcow2.raw") || bail "disk"
start_restore "$image" "$disk" r --force --speed 512K
server=$(server_of r)
kill -STOP "$server"
dmsetup message r 0 stream_speed 0
check "suspended: all is restored" wait_until is_complete
dmsetup suspend r
kill -CONT "$server"
check "suspended: the server waits" wait_until grep -q "all data are" /run/dmlive/r.log
kill -TERM "$server"
check "suspended: SIGTERM ends the server" wait_until is_gone "$server"
dmsetup resume r
run 0 "suspended: it can be finished later" dmlive finish r
check "suspended: it is linear" is_linear r
finish
