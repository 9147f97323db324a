#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A backup of a device that is being restored has the content of its point in time: while
# the job streams, when the server is killed meanwhile, and when the restore completes
# during the backup.

. "$(dirname "$0")/track-lib.sh"
make_image image.qcow2 16
target=$(make_disk 16) || bail "disk"
track=$(make_disk 4 512) || bail "disk"
copy=$(make_disk 16) || bail "disk"

soil "$target"
cp image.qcow2.raw expected.raw
run 0 "restore --track" start_tracked image.qcow2 "$target" g --speed 16K --track-meta "$track"
guest_writes g 100 300

# is_streaming LABEL - the job still streams.
is_streaming()
{
	is "$1: the job still streams" "$(state_below g)" running
}

run 0 "an increment" dmlive backup g 1.qcow2 --bitmap B --base image.qcow2 --no-full
same_image 1.qcow2 expected.raw
is "of what the guest wrote" "$(data_bits 1.qcow2)" "$(to_bits < written | wc -l)"
is_streaming "until here"

# Writes after the point in time are not in the backup; the server is killed meanwhile.
: > written
guest_writes g 3000 5
cp expected.raw moment.raw
server=$(server_of g-dmlive)
SPEED=16K start_backup g 2.qcow2 --bitmap B --base 1.qcow2 --no-full --threads 1
guest_writes g 3002 1
kill -KILL "$server"
check "the server is gone" wait_until is_gone "$server"
run 0 "resume, in the middle of the backup" dmlive resume g --background
guest_writes g 25000 500
ends 0 "the increment ends well"
same_image 2.qcow2 moment.raw
is_streaming "with a killed server"
sed -i 1d written
exactly g "after the increment"

# The restore completes during a full backup.
cp expected.raw moment.raw
SPEED=1M start_backup g 3.qcow2 --threads 1
is_streaming "a full backup"
guest_writes g 16000 700
dmlive stream g speed 0
check "linear below, in the middle of it" wait_until is_through g
guest_writes g 31000 100
ends 0 "the backup ends well"
same_image 3.qcow2 moment.raw
same "the device" /dev/mapper/g expected.raw
exactly g "in the end"
run 0 "the last increment" dmlive backup g 4.qcow2 --bitmap B --base 2.qcow2 --no-full
same_image 4.qcow2 expected.raw
run 0 "the chain is right" dmlive image chain 4.qcow2
end_tracked g

# Everything that a backup has read is on the target, which completes the restore, too.
soil "$target"
cp image.qcow2.raw expected.raw
run 0 "restore --track" start_tracked image.qcow2 "$target" g --speed 16K \
	--track-meta "$track" --force
guest_writes g 100 300
is_streaming "a copy by the kernel"
run 0 "a copy by the kernel" dmlive backup g "$copy" --fleece none
same "its content" "$copy" expected.raw
ends_tracked g "after it"
exactly g "after it"
end_tracked g

# A device on one that is being restored without tracking.
soil "$target"
cp image.qcow2.raw expected.raw
run 0 "restore" start_restore image.qcow2 "$target" r --speed 16K
run 3 "it cannot be inserted" dmlive attach r
says "the reason" "is being restored"
run 0 "but put over it" dmlive attach r --name a
on_exit dm_remove a
guest_writes a 40 8
cp expected.raw moment.raw
SPEED=1M start_backup a over.qcow2
guest_writes a 40 8
is "the job still streams" "$(state_of r)" running
ends 0 "the backup ends well"
same_image over.qcow2 moment.raw
dmlive stream r speed 0
check "linear in the end" wait_until is_linear r
same "the device" /dev/mapper/a expected.raw
run 0 "detach" dmlive detach a
finish
