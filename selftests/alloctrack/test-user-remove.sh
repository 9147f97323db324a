#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A server can attach before its device is active, to a table that is only loaded and
# needs a server, and it learns when the device is gone.

. "$(dirname "$0")/alloctrack.sh"
. "$(dirname "$0")/user-server.sh"

readonly SIZE=$((4 * 2048)) BLOCK=65536
file=$(make_painted stale 4) && backing=$(make_painted backing 4) || bail "disks"

# All ioctls fail now. The control device can be closed and opened again.
is_gone()
{
	asks "poll reports it" "ok hup err" a poll 90000 hup
	asks "WAIT" ENODEV a wait
	asks "FILL" "ENODEV 0" a fill 0 $BLOCK
	asks "ZERO" "ENODEV 0" a zero 0 $BLOCK
	asks "FAIL" ENODEV a fail 0 $BLOCK 5
	ask a next 0
	like "$label: NEXT" "$reply" "^ENODEV "
	ask a info
	like "$label: INFO" "$reply" "^ENODEV "
	asks "close and open" ok a open
	kill_hand a
}

fresh()
{
	paint stale "$file"
	at_create t $SIZE "$file" user 128
	attached a "$backing"
}

load()
{
	printf '%s\n' "$1" | dmsetup reload t || bail "load"
}

before_the_node()
{
	local label='only loaded' number
	dmsetup create t --notable || bail "create"
	on_exit dm_remove t
	rm -f "$T"
	number=$(dm_number t)
	hand a "$backing"
	asks "no table yet" ENODEV a attach "$number"
	load "$(at_table $SIZE "$file" - 128)"
	asks "a table without backing" EOPNOTSUPP a attach "$number"
	load "$(at_table $SIZE "$file" "$backing" 128)"
	asks "a table with a backing device" EOPNOTSUPP a attach "$number"
	load "$(at_table $SIZE "$file" user 8)"
	load "$(at_table $SIZE "$file" "$backing" 128)"
	asks "no longer a user's table" EOPNOTSUPP a attach "$number"
	load "$(at_table $SIZE "$file" user 128)"
	asks "a user's table" ok a attach "$number"
	asks "FAIL without a waiter" ok a fail 0 $BLOCK 5
	asks "INFO" "ok faults=0 allocated=0 write_errors=0" a info
	tell a sleep

	label='resumed'
	dmsetup resume t
	dmsetup mknodes t
	start_io read:4096:4096
	answers "the server is told" "ok 0:65536" a
	asks "and serves" "ok $BLOCK" a fill 0 $BLOCK
	io_gives "the read" "read:4096:4096 backing"

	label='suspended'
	dmsetup suspend t
	hand b "$backing"
	asks "who is late is refused" EBUSY b attach "$number"
	kill_hand a
	asks "until the first is gone" ok b attach "$number"
	dmsetup resume t

	label='another backing is loaded'
	load "$(at_table $SIZE "$file" "$backing" 128)"
	kill_hand b
	attached a "$backing"
	dmsetup suspend t
	dmsetup resume t
	kill_hand a
	label='the other backing is active'
	hand a "$backing"
	asks "servers are no longer accepted" EOPNOTSUPP a attach "$number"
	kill_hand a
	at_remove t

	label='gone before it was resumed'
	dmsetup create t --notable || bail "create"
	load "$(at_table $SIZE "$file" user 128)"
	attached a "$backing"
	dmsetup clear t
	is_gone
	at_remove t
}

plainly()
{
	local label='remove'
	fresh
	tell a sleep
	check "$label" dmsetup remove t
	answers "WAIT that waited" ENODEV a
	is_gone
}

# Suspended without flush: waiting I/O fails at once, though there is a server.
by_force()
{
	local label='remove --force'
	fresh
	start_io read:0:4096 write:$BLOCK:512
	wait_until has_faults a 2
	ask a wait
	dmsetup remove --force t > /dev/null 2>&1
	io_gives "what waited" "read:0:4096 EIO" "write:$BLOCK:512 EIO"
	is_gone
	check "$label: is gone" dm_remove t
}

deferred()
{
	local label='remove --deferred'
	fresh
	start_io read:0:4096
	wait_until has_faults a 1
	check "$label" dmsetup remove --deferred t
	asks_wait "the server goes on" a 0:65536
	asks "and serves" "ok $BLOCK" a fill 0 $BLOCK
	io_gives "what waited" "read:0:4096 backing"
	is_gone
	check_fails "$label: no device" dmsetup info t
}

# Another target takes over: waiting I/O goes to it.
another_target()
{
	local label='an error target'
	fresh
	start_io read:0:4096 write:$BLOCK:512
	wait_until has_faults a 2
	check "$label: takes over" dm_reload t "0 $SIZE error" --noflush
	io_gives "what waited" "read:0:4096 EIO" "write:$BLOCK:512 EIO"
	is_gone
	at_remove t
}

before_the_node
plainly
by_force
deferred
another_target
finish
