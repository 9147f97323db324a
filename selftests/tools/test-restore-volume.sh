#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A restore that would give a wrong result is refused before the target is touched: an image
# with a part missing, or for other sector sizes than the target's. Remains of a former
# owner at the end of a larger target are wiped.

. "$(dirname "$0")/restore-lib.sh"

require_command losetup mkfs.ext4 mkfs.xfs blkid gzip

# put FILE OFFSET HEX
put()
{
	local hex=$3 text=
	while [ -n "$hex" ]; do
		text+="\\x${hex:0:2}"
		hex=${hex:2}
	done
	# shellcheck disable=SC2059 # the text is the format
	printf "$text" | dd of="$1" bs=4k oflag=seek_bytes seek="$2" conv=notrunc status=none
}

# le BYTES NUMBER - little-endian, in hex
le()
{
	local text
	text=$(printf "%0$((2 * $1))x" "$2")
	while [ -n "$text" ]; do
		printf %s "${text: -2}"
		text=${text::-2}
	done
}

# crc32 FILE, in hex
crc32()
{
	gzip -c "$1" | tail -c 8 | od -An -tx1 -N 4 | tr -d ' '
}

# gpt FILE SECTOR - both copies of a GPT with one partition, behind the first MiB.
gpt()
{
	local this entries header crc
	local last=$(($(stat -c %s "$1") / $2 - 1)) start=$((1048576 / $2)) end
	end=$((last - 1 - 16384 / $2))
	head -c 16384 /dev/zero > entries
	put entries 0 "a2a0d0ebe5b9334487c068b6b72699c7$(le 16 7)$(le 8 $start)$(le 8 $end)"
	crc=$(crc32 entries)
	put "$1" 446 "00000200eeffffff01000000$(le 4 "$last")"
	put "$1" 510 55aa
	for this in 1 $last; do
		entries=$((this == 1 ? 2 : end + 1))
		# Twice: without the checksum, then with it.
		header=$(le 8 "$this")$(le 8 $((last + 1 - this)))$(le 8 $start)$(le 8 $end)
		header+=$(le 16 5)$(le 8 $entries)$(le 4 128)$(le 4 128)$crc
		: > header
		put header 0 "4546492050415254000001005c0000000000000000000000$header"
		put header 16 "$(crc32 header)"
		dd if=header of="$1" bs=4k oflag=seek_bytes seek=$((this * $2)) \
			conv=notrunc status=none
		dd if=entries of="$1" bs=4k oflag=seek_bytes seek=$((entries * $2)) \
			conv=notrunc status=none
	done
}

# mbr FILE SECTOR - one partition from 1 MiB on.
mbr()
{
	put "$1" 446 "0000020083ffffff$(le 4 $((1048576 / $2)))$(
		le 4 $((($(stat -c %s "$1") - 1048576) / $2)))"
	put "$1" 510 55aa
}

# refused NAME DEVICE STATUS REGEX ARGUMENT...
refused()
{
	run "$3" "$1: refused" dmlive restore "${@:5}" "$2" --name r
	says "$1: the reason" "$4"
}

[ -e /dev/loop-control ] || modprobe loop
disk=$(make_disk 16 512) || bail "disk"
large=$(make_disk 16 4096) || bail "disk"
untouched=$(md5sum < "$disk")

# The file lacks its last byte.
random_raw image.raw 8
qemu-img convert -f raw -O qcow2 image.raw image.qcow2
truncate -s -1 image.qcow2
refused "a part is missing" "$disk" 1 "truncated.*nothing was written.*--on-error ignore" \
	image.qcow2 --force
is "a part is missing: the target is as it was" "$(md5sum < "$disk")" "$untouched"
run 4 "what can be read" dmlive restore image.qcow2 "$disk" --name r --on-error ignore
says "what can be read: a warning" "warning: .*truncated"
check "what can be read: it is there" [ "$(allocated_of r)" -gt $((7 << 20)) ]
end_restore r

# The stale tail: the copy of a GPT, and a RAID superblock that its partition covers.
head -c 16M /dev/zero | tr '\0' '\356' > old.raw
gpt old.raw 512
md=$(((16 << 20) - 65536))
put old.raw $md "$(le 4 0xa92b4efc)$(le 4 0)$(le 4 90)$(printf "%0200d" 0)"
dd if=old.raw of="$disk" bs=1M oflag=direct status=none
run 3 "the former content counts" dmlive restore image.raw "$disk" --name r
run 0 "onto a former disk" dmlive restore image.raw "$disk" --name r --force --json
is "the wiped signatures are reported" "$(jq -r 'select(.event == "note") | .message' "$out" |
	grep -oE 'stale [a-z_]+|byte [0-9]+' | sort | xargs)" \
	"byte $md byte $((16777216 - 512)) stale gpt stale linux_raid_member"
end_restore r
same "the content" "$disk" image.raw
check_fails "nothing is found" blkid -p "$disk"
put old.raw $md 00000000
put old.raw $((16777216 - 512)) 0000000000000000
check "the rest is as it was" cmp -i $((8 << 20)) "$disk" old.raw
run 0 "all of the target" dmlive restore image.raw "$disk" --name r --force --size target
end_restore r
check "zeros to its end" cmp <(cat image.raw; head -c 8M /dev/zero) "$disk"

# Sectors.
truncate -s 8M gpt512 gpt4096
gpt gpt512 512
gpt gpt4096 4096
wipefs -qa "$disk"
untouched=$(cat "$disk" "$large" | md5sum)
refused "a GPT of 512" "$large" 3 "GPT for sectors of 512 .*sectors of 4096,.*--force.*losetup" gpt512
refused "a GPT of 4096" "$disk" 3 "GPT for sectors of 4096 .*sectors of 512,.*--force" gpt4096
truncate -s 7M fs
mkfs.ext4 -q -b 4096 fs
for ss in 512 4096; do
	truncate -s 8M mbr$ss
	dd if=fs of=mbr$ss bs=1M seek=1 conv=notrunc status=none
	mbr mbr$ss $ss
done
refused "a DOS table of 512" "$large" 3 "table for sectors of 512" mbr512
refused "a DOS table of 4096" "$disk" 3 "table for sectors of 4096" mbr4096
mkfs.ext4 -q -F -b 1024 fs
refused "ext4 with blocks of 1024" "$large" 3 "ext4. in blocks of 1024.*--sector-size 512" fs
truncate -s 16M xfs
QA_CHECK_FS=1 TEST_DIR=1 TEST_DEV=1 mkfs.xfs -q -s size=512 xfs || bail "mkfs.xfs"
refused "XFS with sectors of 512" "$large" 3 "xfs. in blocks of 512" xfs

is "both targets are as they were" "$(cat "$disk" "$large" | md5sum)" "$untouched"
check_fails "no device is left" dmsetup info r

# presented IMAGE DEVICE SECTOR - by force, and by a loop device with the former sectors.
presented()
{
	local loop
	run 0 "$1 by force" dmlive restore "$1" "$2" --name r --force
	says "$1 by force: a warning" "losetup --sector-size $3"
	loop=$(losetup --find --show --sector-size "$3" /dev/mapper/r)
	is "a loop device shows the table" "$(blkid -p -o value -s PTTYPE "$loop")" gpt
	losetup -d "$loop"
	end_restore r
}
presented gpt512 "$large" 512
presented gpt4096 "$disk" 4096

run 0 "a conversion" dmlive image convert --quiet gpt512 "$large"
says "a conversion: a warning" "warning: .*GPT for sectors of 512"

# fits IMAGE DEVICE
fits()
{
	wipefs -qa "$2"
	run 0 "$1 fits" dmlive restore "$1" "$2" --name r
	is "$1: no word of it" "$(cat "$err")" ""
	end_restore r
}
fits gpt4096 "$large"
fits mbr512 "$disk"
truncate -s 4M empty
mbr empty 512
fits empty "$large"
finish
