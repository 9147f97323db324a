#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The image is a block device: a raw one is streamed by the kernel, a qcow2 one is served.
# Both end as a linear mapping with the right content.

. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 12
raw=$(make_loop "$TMP/image.qcow2.raw") || bail "loop"
qcow2=$(make_loop "$TMP/image.qcow2") || bail "loop"
disk=$(make_disk 24 512) || bail "disk"

soil "$disk"
start_restore "$raw" "$disk" r --speed 2M
result $? "a raw device: starts"
like "the kernel reads it" "$(dmsetup table r)" "alloctrack [0-9:]+ [0-9]+:[0-9]+ - 8"
is "status names it" "$(dmlive status r --json | jq -r .image)" "$raw"
same "content meanwhile" /dev/mapper/r image.qcow2.raw
dmlive stream r speed 0
check "ends as linear" wait_until is_linear r
same "content" /dev/mapper/r image.qcow2.raw
check "nothing is left in /run" wait_until [ ! -e /run/dmlive/r.json ]
dm_remove r

soil "$disk"
run 0 "a raw device, in the foreground" dmlive restore "$raw" "$disk" --name r \
	--size target
is "linear" "$(dm_target r)" linear
same "content" /dev/mapper/r image.qcow2.raw
is "zeros behind it" "$(tail -c +$(((12 << 20) + 1)) /dev/mapper/r | tr -d '\0' | wc -c)" 0
dm_remove r

soil "$disk"
run 0 "a qcow2 device" dmlive restore "$qcow2" "$disk" --name r
is "linear" "$(dm_target r)" linear
same "content" /dev/mapper/r image.qcow2.raw
finish
