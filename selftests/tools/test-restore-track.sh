#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A restore with --track leaves a bitmap with exactly the guest's writes since it began, and
# none of the streamed blocks. The next backup is an increment on the image that was
# restored, whether this is a backup made by dmlive or not.

. "$(dirname "$0")/track-lib.sh"
make_image image.qcow2 16
target=$(make_disk 16) || bail "disk"
record=$(make_disk 2 512) || bail "disk"
track=$(make_disk 4 512) || bail "disk"

# refuses_base BASE REGEX LABEL
refuses_base()
{
	run 3 "$3: refused" dmlive backup g x.qcow2 --bitmap B --base "$1" --no-full
	says "$3: the reason" "$2"
}

soil "$target"
cp image.qcow2.raw expected.raw
run 0 "restore --track" start_tracked image.qcow2 "$target" g --speed 16K --meta "$record" \
	--track-meta "$track"
is "the guest's device is cbw" "$(dm_target g)" cbw
is "what is restored is under it" "$(dm_target g-dmlive)" alloctrack
is "status shows it" "$(state_below g)" running
guest_writes g 0 1
guest_writes g 2085 40
guest_writes g 20003 300
guest_zeroes g 9000 512
exactly g "while it is streamed"
run 3 "detach is refused" dmlive detach g
says "the reason" "being restored"
ends_tracked g "in the end"
exactly g "in the end"
guest_writes g 30000 64
exactly g "after it"

cp image.qcow2 copy.qcow2
refuses_base copy.qcow2 "is not, or no longer, the image that the device was restored" "a copy of another time"
qemu-img convert -q -f raw -O qcow2 expected.raw foreign.qcow2
touch -r image.qcow2 foreign.qcow2
refuses_base foreign.qcow2 "is not, or no longer" "another image of the same time"
before[g]=$(dmsetup table g)
run 0 "an increment of the image" dmlive backup g 1.qcow2 --bitmap B --base image.qcow2 --no-full
same_image 1.qcow2 expected.raw
is "its base is the image" "$(record 1.qcow2 base-is-right) $(backing 1.qcow2)" \
	"true image.qcow2"
is "of what the guest wrote, and no more" "$(data_bits 1.qcow2)" "$(to_bits < written | wc -l)"
is_committed g 1.qcow2 "the first increment"
refuses_base image.qcow2 "does not say which backup it is" "the image, after that"

: > written
guest_writes g 777 1000
exactly g "since the first increment"
cp 1.qcow2 kept.qcow2
qemu-img rebase -u -F qcow2 -b copy.qcow2 kept.qcow2
refuses_base kept.qcow2 "it was written to after the backup" "an increment that was rebased"
set_bit kept.qcow2
refuses_base kept.qcow2 "what it lies on is not" "an increment on another image"
check_fails "dmlive image chain sees it" dmlive image chain kept.qcow2
run 0 "the next increment" dmlive backup g 2.qcow2 --bitmap B --base 1.qcow2 --no-full
same_image 2.qcow2 expected.raw
is_increment 2.qcow2 1.qcow2 "the next increment"
run 0 "the chain is right" dmlive image chain 2.qcow2

run 0 "detach" dmlive detach g
is "g is a plain linear mapping" "$(dm_target g)" linear
check_fails "nothing is left under it" dmsetup info g-dmlive
same "content" /dev/mapper/g expected.raw
dm_remove g

# The newest increment is restored in turn: its record shows that it is dmlive's backup.
run 3 "a store that was used" start_tracked 2.qcow2 "$target" g --track-meta "$track"
says "the reason" "were in use.*--force"
cp 2.qcow2 moved.qcow2
run 0 "with --force" start_tracked 2.qcow2 "$target" g --track-meta "$track" --force
guest_writes g 5000 8
ends_tracked g "a chain"
exactly g "a chain"
refuses_base 1.qcow2 "is not, or no longer" "an older part of the chain"
run 0 "an increment of the chain" dmlive backup g 3.qcow2 --bitmap B --base moved.qcow2 --no-full
same_image 3.qcow2 expected.raw
is "of what the guest wrote, and no more" "$(data_bits 3.qcow2)" 1
run 0 "the chain is right" dmlive image chain 3.qcow2
run 0 "and again" dmlive backup g 4.qcow2 --bitmap B --base 3.qcow2 --no-full
is "nothing has changed since" "$(data_bits 4.qcow2)" 0
finish
