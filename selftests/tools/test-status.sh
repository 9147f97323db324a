#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# `dmlive status` shows the outcome of a finished restore and the remains of killed
# commands, and the commands that it suggests clean them up. Records of devices that are
# gone are removed, unless a restore can continue with them.

. "$(dirname "$0")/attach-lib.sh"

disk=$(make_disk 8 512) meta=$(make_disk 4 512) || bail "disks"
make_image image.qcow2 8

# A finished restore.
run 0 "restore" dmlive restore image.qcow2 "$disk" --name r --force
on_exit end_restore r
run 0 "status of a finished restore" dmlive status r
like "when and over what" "$(cat "$out")" \
	"^r: restored from $TMP/image.qcow2; finished at 20.*, linear over $disk, 8.0 MiB"
check "the same as JSON" sh -c "dmlive status r --json | jq -e '.state == \"finished\" and
	.finished_time > 1600000000 and .target == \"$disk\"'"
dmsetup rename r s
run 0 "also when it was renamed" dmlive status s
like "it is known" "$(cat "$out")" "finished at"
dm_remove s
dm_create s "0 $(sectors "$disk") linear $disk 0"
run 3 "not of another device of that name" dmlive status s
dm_remove s
check "the record is gone with the device" [ -z "$(ls /run/dmlive-finished)" ]
run 0 "restore --track" dmlive restore image.qcow2 "$disk" --name r --force --track b \
	--track-meta "$meta" --size target
like "status of one that is tracked" "$(dmlive status r)" "r-dmlive: .*finished at"
check "JSON: there is no restore" sh -c \
	"dmlive status r --json | jq -e '.restore == null and .restored.state == \"finished\"'"
dm_remove r
dm_remove r-dmlive

# The remains of killed commands.
# no_leftovers DESCRIPTION
no_leftovers()
{
	check_fails "$1: no leftovers" sh -c 'dmlive status | grep "clean it up"'
}

# cleans DESCRIPTION NAME - the command that status suggests cleans it up.
cleans()
{
	local way
	like "$1: it is shown" "$(dmlive status)" "$2: .*; to clean it up: "
	check "$1: in JSON too" sh -c "dmlive status --json |
		jq -e 'any(.kind == \"leftover\" and .name == \"$2\")'"
	check "$1: in that of its own too" sh -c "dmlive status $2 --json |
		jq -e '.leftovers | any(.kind == \"leftover\" and .name == \"$2\")'"
	way=$(dmlive status --json | jq -r ".[] | select(.kind == \"leftover\" and
		.name == \"$2\").clean_up")
	# The last one of several suggestions.
	way=${way##*, or }
	run 0 "$1: $way" $way
	no_leftovers "$1, cleaned up"
}

make_a
run 0 "attach" dmlive attach a
no_leftovers "attached"
is "attached: none in JSON" "$(dmlive status a --json | jq -c '[.kind, .leftovers]')" \
	'["cbw",[]]'
run 3 "the disk of an attached device" dmlive restore image.qcow2 "$disk" --name q --force
says "who uses it, the commands that free it" \
	"in use by the mapped device a-dmlive, .*; to free it: dmlive detach a; dmsetup remove a$"
dm_reload a "$plain_table"
cleans "inner device" a-dmlive
run 0 "attach" dmlive attach a
dm_reload a "$plain_table"
dm_remove a
cleans "inner device without its volume" a-dmlive
make_a
run 0 "attach" dmlive attach a
dmsetup suspend a
cleans "suspended" a
dmsetup create -n empty -u DMLIVE-cbw-empty
cleans "without a table" empty
dmsetup create -n dmlive-view-7-7 -u "LVM-DMLIVE-VIEW-7-$(printf '%060u' 7)"
cleans "a view without a table" dmlive-view-7-7

# A backup that is killed.
dmlive backup a out.raw --speed 1K > backup.out 2>&1 &
backup=$!
wait_until grep -q "point in time is now" backup.out || bail "$(cat backup.out)"
no_leftovers "a backup in progress"
kill -KILL $backup
wait $backup 2> /dev/null
like "a backup: its output is named" "$(dmlive status a)" \
	"a: a backup to $TMP/out.raw was ended .*; it has left $TMP/out.raw.partial"
cleans "a backup" a
check "a backup: half an image is gone" [ ! -e out.raw.partial ]

# Records of devices that are gone.
start_killed()
{
	start_restore image.qcow2 "$disk" q --force --speed 16K "$@"
	server=$(server_of q)
	kill -KILL "$server"
	wait_until is_gone "$server"
}
dm_remove a
start_killed
run 0 "a killed restore" dmlive status
check "a killed restore: its record stays" test -e /run/dmlive/q.json
run 3 "the disk of a restore" dmlive restore image.qcow2 "$disk" --name s --force
says "who uses it, the command that gives it up" \
	"in use by the mapped device q, .*; to give the restore up: dmsetup remove q$"
mv image.qcow2 moved.qcow2
run 1 "a moved image" dmlive resume q
says "the way out" "$TMP/image.qcow2, .* if it was moved, .*: dmlive resume q IMAGE"
run 0 "as it says" dmlive resume q moved.qcow2 --background
server=$(server_of q)
kill -KILL "$server"
wait_until is_gone "$server"
mv moved.qcow2 image.qcow2
dm_remove q
run 0 "its device is gone" dmlive status
is "its record too" "$(ls /run/dmlive)" ""
start_killed --meta "$meta"
dm_remove q
run 0 "with a metadata device" dmlive status
check "the record stays" test -e /run/dmlive/q.json
run 3 "and guards the target" dmlive restore image.qcow2 "$disk" --name other
says "the way out" "dmlive resume $meta"
wipefs -qa "$meta"; dd if=/dev/zero of="$meta" bs=64k count=16 oflag=direct status=none
run 0 "without its metadata" dmlive status
is "its record is gone" "$(ls /run/dmlive)" ""
finish
