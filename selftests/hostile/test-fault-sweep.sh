#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-kmemleak
#
# timeout: 1800
#
# Each allocation that an operation makes fails once. The operation then says that
# memory is missing, changes nothing, and works when it is tried again; guest I/O
# needs no memory but what was set aside, and never fails. Nothing is leaked.

. "$(dirname "$0")/hostile.sh"
require_faults failslab fail_page_alloc
[ -e /proc/self/fail-nth ] || skip_all "no /proc/self/fail-nth in this kernel"

readonly SIZE=$((4 * 2048)) BLOCK=128
file=$(make_disk 4) && backing=$(make_disk 4) && meta=$(make_disk 2) || bail "disks"
# All 0xbb.
tr '\0' '\273' < /dev/zero | dd of="$backing" bs=1M iflag=fullblock count=4 \
	oflag=direct status=none || bail "paint"
dmlive meta format "$TMP/meta" --size $((SIZE * 512)) --granularity $((BLOCK * 512)) ||
	bail "metadata"
dd if="$TMP/meta" of="$meta" bs=64K conv=notrunc,sync oflag=direct status=none ||
	bail "metadata"

sweep()
{
	label=$1
	results fault-sweep "$1" "${STRIDE:-128}" "$file" "$backing" "$meta" $SIZE $BLOCK
}

# Other lists, and a smaller stride, are for the environment to say.
for list in ${LISTS:-alloctrack server cbw alloctrack-io cbw-io}; do
	prepare_faults failslab fail_page_alloc
	[[ $list != *-io ]] || aim_at_modules failslab fail_page_alloc
	sweep "$list"
done
finish
