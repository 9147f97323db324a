#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A raw copy onto a block device is made by the kernel's job, and has one point in time. If
# it fails or is interrupted, nothing on the device looks like a copy.
# only on: uml

. "$(dirname "$0")/backup-lib.sh"

make_guest g 8
device=$(make_disk 12) || bail "disk"
make_linear out "$device" > /dev/null || bail "out"

# is_wiped LABEL - the first and the last MiB are zeros.
is_wiped()
{
	check "$1: the start is wiped" cmp -n 1048576 /dev/zero /dev/mapper/out
	check "$1: the end is wiped" cmp -n 1048576 -i 0:7340032 /dev/zero /dev/mapper/out
}

content g g.ref
run 0 "a copy by the job" dmlive backup g /dev/mapper/out --json
check "the job has made it" [ "$(tail -n 1 "$out" | jq .fleece_used_bytes)" = 0 ]
same "content" /dev/mapper/out g.ref
is_idle g "by the job"

# The guest is idle, since the job need not copy blocks that it writes.
soil /dev/mapper/out
start_backup g /dev/mapper/out --force --threads 3
like "copies in flight" "$(dmsetup table g)" " job_workers 3( |\$)"
kill -INT $backup
ends 4 "interrupted"
is_wiped "interrupted"
is_idle g "interrupted"

write_on /dev/mapper/g
run 0 "a busy device" dmlive backup g /dev/mapper/out --force --fleece none --speed 8M --json
head -c 8M /dev/mapper/out > copy
check "one point in time" prefix check copy
check "guest writes waited for copies" [ "$(cow_writes)" -gt 0 ]

run 0 "with a place for old data, a view is read" \
	dmlive backup g /dev/mapper/out --force --fleece . --speed 8M
head -c 8M /dev/mapper/out > copy
check "one point in time" prefix check copy

break_device out "$device" $((5 * 2048)) 8
run 4 "a device that fails" dmlive backup g /dev/mapper/out --force
says "the reason" "/dev/mapper/out"
repair_device out "$device"
is_wiped "a device that fails"
is_idle g "a device that fails"
still_writes "the guest still writes"

small=$(make_disk 4) || bail "disk"
run 3 "a small device" dmlive backup g "$small"
says "the reason" "too small"
mkfs.ext4 -q /dev/mapper/out
run 3 "a device with a file system" dmlive backup g /dev/mapper/out
says "the way out" "ext4.*--force"
wipefs -qa /dev/mapper/out
run 0 "a device" dmlive backup g /dev/mapper/out --format qcow2 --fleece .
run 3 "a device with a qcow2 image" dmlive backup g /dev/mapper/out
says "the way out" "holds a qcow2 image; .*--force"
mkfs.ext4 -q -b 1024 /dev/mapper/g
wide=$(make_disk 16 4096) || bail "disk"
run 0 "a device with larger sectors" dmlive backup g "$wide" --fleece .
says "the reason" "g holds a file system .ext4. in blocks of 1024 bytes, and $wide has sectors of 4096"
check "it is a copy" cmp -n 8M /dev/mapper/g "$wide"
run 0 "a device with the same" dmlive backup g /dev/mapper/out --force
is "no warning" "$(grep sectors "$err")" ""
run 3 "a device in use" dmlive backup g "$device" --force
says "the reason" "in use"
run 3 "the device's own disk" dmlive backup g "$disk" --force
run 2 "qcow2 without a place for old data" dmlive backup g /dev/mapper/out --format qcow2
says "the way out" "--fleece"
is_idle g "in the end"
finish
