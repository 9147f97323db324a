# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the tests in which each allocation of an operation fails once.

. "$(dirname "$0")/hostile.sh"
require_faults failslab fail_page_alloc
[ -e /proc/self/fail-nth ] || skip_all "no /proc/self/fail-nth in this kernel"

readonly SIZE=$((4 * 2048)) BLOCK=128

make_devices()
{
	file=$(make_disk 4) && backing=$(make_disk 4) && meta=$(make_disk 4) ||
		bail "disks"
	# All 0xbb.
	tr '\0' '\273' < /dev/zero | dd of="$backing" bs=1M iflag=fullblock count=4 \
		oflag=direct status=none || bail "paint"
}

# format_meta LIST - the metadata device for that list. Others use it as a fleece device,
# which overwrites it.
format_meta()
{
	local options=(--granularity $((BLOCK * 512)))
	[ "$1" != cbw-track ] || options=(--track --bitmap B:64K)
	rm -f "$TMP/meta"
	dmlive meta format "$TMP/meta" --size $((SIZE * 512)) "${options[@]}" &&
		dd if="$TMP/meta" of="$meta" bs=64K conv=notrunc,sync oflag=direct \
			status=none || bail "metadata"
}

# sweep_lists DENSE STRIDE LIST... - the first and the last DENSE allocations of each
# operation, and each STRIDE-th between them.
sweep_lists()
{
	local list dense=$1 stride=$2
	for list in "${@:3}"; do
		prepare_faults failslab fail_page_alloc
		[[ $list != *-io ]] || aim_at_modules failslab fail_page_alloc
		format_meta "$list"
		label=$list
		results fault-sweep "$list" "$dense" "$stride" "$file" "$backing" \
			"$meta" $SIZE $BLOCK
	done
}

make_devices
