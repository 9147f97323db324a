#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# How zeros and reads are written can be chosen: --target-is-zero, --no-detect-zeroes,
# --copy-on-read; a resume knows what was chosen.

. "$(dirname "$0")/restore-meta-lib.sh"

# The content of the image, on a block device and in a file without holes: 1 MiB of data.
dd if=/dev/zero of=flat bs=1M count=16 status=none
dd if=/dev/urandom of=flat bs=1M count=1 seek=5 conv=notrunc status=none
image=$(make_disk 16) && disk=$(make_disk 20) && meta=$(make_disk 2) || bail "disks"
dd if=flat of="$image" bs=1M oflag=direct status=none

table_has()
{
	[[ " $(dmsetup table "$1") " == *" $2 "* ]]
}

# writes WORD SECTORS DESCRIPTION OPTION...: a restore from the device and from the file
# writes so many sectors to the disk, and the table has that word.
writes()
{
	local from before stat
	for from in "$image" flat; do
		blkdiscard -f "$disk"
		read -r -a stat < "/sys/block/${disk##*/}/stat"
		before=${stat[6]}
		run 0 "$3: ${from##*/}" dmlive restore "$from" "$disk" --name r --no-finish "${@:4}"
		check "$3: ${from##*/}: the kernel knows" table_has r "$1"
		read -r -a stat < "/sys/block/${disk##*/}/stat"
		is "$3: ${from##*/}: sectors written" $((stat[6] - before)) "$2"
		same "$3: ${from##*/}: content" /dev/mapper/r flat
		end_restore r
	done
}
writes target_is_zero 2048 --target-is-zero --target-is-zero
writes no_detect_zeroes 32768 --no-detect-zeroes --no-detect-zeroes --target-is-zero

mkfs.ext4 -q "$disk"
run 3 "a file system is not zero" dmlive restore flat "$disk" --name r --force --target-is-zero
says "the way out" "holds a .*ext4.*leave out --target-is-zero"

label="a resume"
blkdiscard -f "$disk"
run 0 "$label: begun" start_restore "$image" "$disk" r --meta "$meta" --speed 64K \
	--target-is-zero --no-detect-zeroes --copy-on-read
table=$(dmsetup table r)
for word in target_is_zero no_detect_zeroes copy_on_read; do
	check "$label: $word before" table_has r $word
done
before=$(allocated_of r)
check "$label: reads" dd_read /dev/mapper/r $((4 << 20)) $((4 << 20))
check "$label: are copied" [ $(($(allocated_of r) - before)) -ge $((4 << 20)) ]
forget r
run 0 "$label" dmlive resume "$meta" --background
# Of a loop device it is not known whether it still has the file that reads as zeros.
table=${table/ 8 8 / 8 7 }
is "$label: the same table, but zeros are written now" "$(dmsetup table r)" \
	"${table/target_is_zero /}"
forget r
other=$(make_disk 20) || bail "disk"
dd if="$disk" of="$other" bs=1M iflag=direct oflag=direct status=none
run 0 "$label: another device" dmlive resume "$meta" --background --target "$other" --force
check_fails "$label: of which the user has said nothing" table_has r target_is_zero
end_restore r
finish
