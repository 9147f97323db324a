#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A device made with dmsetup is served by `dmlive resume NAME IMAGE`, and finished by
# `dmlive finish` while it is in use, but not before it is complete.

. "$(dirname "$0")/restore-lib.sh"
require_command fio

make_image image.qcow2 16
disk=$(make_disk 32 512) || bail "disk"
soil "$disk"

# Udev's rules read the device, which has no server yet.
dm_create r "0 $((24 * 2048)) alloctrack $disk user - 128 2 on_error stop" --noudevsync
run 1 "an image must be named" sh -c 'dmlive resume r; [ $? = 2 ] && exit 1'
says "the message shows how" "dmlive resume r IMAGE"
run 3 "finish is refused before anything is restored" dmlive finish r
says "the reason" "not complete: 0 of 384 blocks.*idle"

run 0 "served" dmlive resume r image.qcow2 --background --no-finish
check "complete" wait_until has_state r complete
check "the server leaves" wait_until [ ! -e /run/dmlive/r.lock ]
is "not linear yet" "$(dm_target r)" alloctrack
same "content" /dev/mapper/r image.qcow2.raw

fio --name=guest --filename=/dev/mapper/r --offset=16M --size=8M --rw=randwrite \
	--bs=4k --direct=1 --ioengine=libaio --iodepth=8 --verify=crc32c \
	--do_verify=1 --verify_fatal=1 --io_size=32M > fio.log 2>&1 &
fio=$!
# On a fast machine it may have ended already.
check "fio runs" wait_until sh -c "dmsetup info -c --noheadings -o open r | grep -q 1 || ! kill -0 $fio"
run 0 "finish in use" dmlive finish r --json
check "finish prints JSON" jq -e '.linear == true' "$out"
wait $fio
result $? "fio noticed nothing"
is "the device is linear" "$(dmsetup table r | cut -d ' ' -f 3)" linear
run 0 "a second finish is not an error" dmlive finish r
same "content after the swap" /dev/mapper/r image.qcow2.raw
dm_remove r

dm_create z "0 8 zero"
run 3 "finish of another target" dmlive finish z
says "the reason" "not an alloctrack device"
run 3 "resume of another target" dmlive resume z image.qcow2
run 3 "status of another target" dmlive status z
run 3 "stream of another target" dmlive stream z start
run 1 "finish of no device" dmlive finish absent
run 1 "status of no device" dmlive status absent
run 1 "stream of no device" dmlive stream absent start

# A device as backing: the kernel streams, and the command waits for the end.
backing=$(make_loop "$TMP/image.qcow2.raw") || bail "loop"
dm_create r "0 $((16 * 2048)) alloctrack $disk $backing - 8"
run 0 "resume with a device as backing" dmlive resume r
is "the device is linear" "$(dm_target r)" linear
same "content" /dev/mapper/r image.qcow2.raw
finish
