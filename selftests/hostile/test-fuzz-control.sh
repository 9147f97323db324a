#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# No table line, message or ioctl does harm, however odd, while servers are killed, guests
# read and write, and tables change. In the end everything can be removed.
#
# A longer run: vm/run --env SEED=N --env OPERATIONS=N -- selftests/hostile/...

. "$(dirname "$0")/hostile.sh"

readonly SIZE=$((4 * 2048))
disks=()
for mib in 4 4 4 2 4; do
	disk=$(make_disk $mib) || bail "disks"
	disks+=("$disk")
done
dmlive meta format "$TMP/meta" --size $((SIZE * 512)) --granularity 64K &&
	dmlive meta format "$TMP/track" --size $((SIZE * 512)) --granularity 64K \
		--bitmap day --bitmap week || bail "metadata"

label="random control"
for seed in ${SEED:-1 2 3}; do
	dd if="$TMP/meta" of="${disks[3]}" bs=64K conv=notrunc,sync oflag=direct \
		status=none &&
		dd if="$TMP/track" of="${disks[4]}" bs=64K conv=notrunc,sync \
			oflag=direct status=none || bail "metadata"
	results fuzz-control "$seed" "${OPERATIONS:-400}" "${disks[@]}"
done
finish
