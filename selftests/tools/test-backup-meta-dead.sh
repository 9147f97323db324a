#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The metadata device of a guest dies during a backup. The guest's device is never left
# suspended or with a session, and the backup is complete or not accepted as a base.
# only on: uml

# shellcheck source=increment-lib.sh
. "$(dirname "$0")/increment-lib.sh"

# A guest whose metadata device can be broken.
make_tracked g 8
m=$(make_linear m "${meta[g]}") || bail "linear"
origin=$disk

# begin POLICY
begin()
{
	repair_device m "${meta[g]}"
	dm_reload g "0 $(sectors "$origin") cbw $origin $m 128 2 on_meta_error $1" ||
		bail "reload"
	before[g]=$(dmsetup table g)
	is "$1: tracking" "$(dmlive bitmap list g --json | jq -r '.[0].name')" B
}

dies()
{
	break_device m "${meta[g]}" 0 "$(sectors "${meta[g]}")"
}

# goes_on LABEL yes|no - the guest can read; it can write, or not.
goes_on()
{
	is_idle g "$1"
	check "$1: the guest reads" dd if=/dev/mapper/g of=/dev/null bs=64K iflag=direct \
		count=1 status=none
	if [ "$2" = yes ]; then
		check "$1: the guest writes" change g 2048 8
	else
		check_fails "$1: the guest's write fails, and does not hang" change g 2048 8
	fi
}

full()
{
	local label="full backup, $1"
	begin "$1"
	content g ref.raw
	start_backup g g.raw
	dies
	ends 0 "$label: is complete"
	says "$label: the reason" "metadata device has failed"
	same_image g.raw ref.raw
	goes_on "$label" "$2"
	rm g.raw
}

with_bitmap()
{
	local label="backup with bitmap, $1"
	begin "$1"
	content g ref.raw
	start_backup g g.qcow2 --bitmap B
	dies
	ends 4 "$label: is not accepted as a base"
	says "$label: the reason" "does not belong to it"
	same_image g.qcow2 ref.raw
	goes_on "$label" "$2"
	rm g.qcow2
	repair_device m "${meta[g]}"
	check "$label: the metadata is back" eval "dmsetup suspend g && dmsetup resume g"
	run 0 "$label: the next one" dmlive backup g g.qcow2 --bitmap B
	is_full g.qcow2 "$label: the next one"
	rm g.qcow2
}

full break_guest_write no
full break_tracking yes
with_bitmap break_guest_write no
with_bitmap break_tracking yes
dies
run 0 "status" dmlive status g
run 0 "detach" dmlive detach g
check_fails "detach: it is gone" dmsetup info g
dm_remove m
finish
