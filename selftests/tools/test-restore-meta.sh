#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# After a crash, a restore with a metadata device continues from that device alone. No data
# that was written and flushed is lost, and in the end the volume has the content of the
# image with the guest's writes.

. "$(dirname "$0")/restore-meta-lib.sh"
disk=$(make_disk 24 512) || bail "disk"
meta=$(make_disk 2 512) || bail "disk"

# A whole restore, which loses its server and its mapped device.
soil "$disk"
run 0 "restore" start_restore image.qcow2 "$disk" r --meta "$meta" --speed 16K \
	--on-error stop --user-timeout 1000 --threads 3
like "status shows the metadata device" "$(dmlive status r)" "bitmap is on $meta, committed"
is "and in JSON" "$(dmlive status r --json | jq -r '.meta + " " + .meta_device')" "rw $meta"
run 0 "its bitmap while it is in use" dmlive bitmap dump "$meta" alloctrack
says "that bits may be missing" "r is in use"
table=$(dmsetup table r)
uuid=$(dmsetup info -c --noheadings -o uuid r)
check "the guest writes ahead of the stream" guest_write r 13 101
run 3 "another restore onto it: in use" dmlive restore image.qcow2 "$disk" --name q --force
run 3 "another restore of its name" dmlive restore image.qcow2 "$disk" --name r --force
says "what is there, the way out" \
	"r is already being restored.* by process $(server_of r),.*dmlive status r.*dmsetup remove r$"
spare=$(make_disk 24 512) || bail "disk"
run 3 "its metadata device is in use, even with --force" \
	dmlive restore image.qcow2 "$spare" --name q --meta "$meta" --force
says "the reason" "$meta is in use"
run 3 "resume while it is served" dmlive resume "$meta"
says "the reason" "is being served by process .* already.*dmlive status r"
check "some is streamed" wait_until progress r 100000
lose_server r
check "the device is removed" dmsetup remove r
run 3 "no restart with what is on record" dmlive restore image.qcow2 "$disk" --name q
says "the way out" "has begun and is not finished.*dmlive resume $meta"
rm -rf /run/dmlive
run 3 "nor onto its metadata" dmlive restore image.qcow2 "$spare" --name q --meta "$meta"
says "the way out" "unfinished restore.*dmlive resume $meta.*--force"
run 0 "resume from the metadata device" dmlive resume "$meta" --background
on_exit end_restore r
is "the same table" "$(dmsetup table r)" "$table"
is "the same UUID" "$(dmsetup info -c --noheadings -o uuid r)" "$uuid"
check "not started over" progress r 100000
check "the guest writes again" guest_write r 14 102
lose_server r
run 0 "resume by the metadata device while the mapped device is there" \
	dmlive resume "$meta" --background
check "the guest writes a third time" guest_write r 15 103
forget r
dmlive resume "$meta" --json > "$out" &
foreground=$!
check "it is there again" wait_until has_state r running
check "not started over" progress r 100000
dmlive stream r speed 0
wait $foreground
result $? "resume in the foreground"
like "it says when it has finished" "$(tail -n 1 "$out")" '"linear":true'
ends_well r "after three losses"
sane_meta "metadata in the end" "$meta"
is "marked as finished" "$(description "$meta" finished)" 1
is "the backing file is the image" "$(qemu-img info --output=json "$meta" |
	jq -r '."backing-filename" + " " + ."backing-filename-format"')" "$TMP/image.qcow2 qcow2"
end_restore r
run 3 "nothing left to resume" dmlive resume "$meta"
says "the reason" "over, there is nothing to resume"

# A crash: copy the disks while everything is in use. The metadata is copied first, so its
# bits may be older than the data.
cp image.qcow2.raw expected.raw
soil "$disk"
run 0 "finished metadata may be used again" start_restore image.qcow2 "$disk" r \
	--meta "$meta" --speed 16K --name c
on_exit end_restore c
check "the guest writes" guest_write c 12 104
check "some is streamed" wait_until progress c 100000
meta2=$(make_disk 2 512) || bail "disk"
dd if="$meta" of="$meta2" bs=64K iflag=direct oflag=direct status=none
dd if="$disk" of="$spare" bs=1M iflag=direct oflag=direct status=none
forget c
run 0 "resume the copy" dmlive resume "$meta2" --target "$spare" --name d --background
on_exit end_restore d
check "not started over" progress d 100000
ends_well d "copy of a crash"
end_restore d
sane_meta "its metadata" "$meta2"

# The original continues too, though the image counts as changed.
touch image.qcow2
run 3 "a changed image is refused" dmlive resume "$meta"
says "the reason" "has changed.*--force"
check_fails "no device is left" dmsetup info c
run 0 "--force takes it" dmlive resume "$meta" --force --no-finish --background
dmlive stream c speed 0
check "complete" wait_until has_state c complete
forget c

# Everything is on the target, but the restore was not finished.
mv image.qcow2 away.qcow2
run 0 "complete metadata need no image" dmlive resume "$meta"
ends_well c "complete metadata"
like "it is reported" "$(cat "$out")" "everything was on the volume already"
end_restore c
mv away.qcow2 image.qcow2
sane_meta "complete metadata" "$meta"

# Starting over, on request.
cp image.qcow2.raw expected.raw
run 0 "restore" start_restore image.qcow2 "$disk" e --meta "$meta" --speed 16K
forget e
run 0 "--force starts over" start_restore image.qcow2 "$disk" e --meta "$meta" --force --speed 16K
lose_server e
dmsetup remove e
run 0 "--force gives up what is on record" start_restore image.qcow2 "$disk" e --force
ends_well e "started over"
is "the old metadata is marked" "$(description "$meta" finished)" 1
end_restore e
finish
