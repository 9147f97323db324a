#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A metadata device that is in use, is not empty or does not fit is refused with the
# reason, and so is incomplete metadata; nothing is written.

. "$(dirname "$0")/restore-meta-lib.sh"
disk=$(make_disk 24 512) || bail "disk"
soil "$disk"

refused()
{
	local before
	before=$(md5sum < "$disk")
	run 3 "$1: refused" dmlive restore image.qcow2 "$disk" --name f "${@:3}"
	says "$1: the reason" "$2"
	check_fails "$1: no device is left" dmsetup info f
	is "$1: the target is as it was" "$(md5sum < "$disk")" "$before"
}

tiny=$(make_loop 1) || bail "loop"
truncate -s 256K tiny.img
small=$(make_loop "$TMP/tiny.img") || bail "loop"
refused "metadata device too small" "too small.*256.0 KiB.*$(dmlive meta size --size 16M --granularity 4K) bytes" --meta "$small"
mkfs.ext4 -q -L precious "$tiny" || bail "mkfs"
refused "file system on it" "ext4 file system 'precious'.*--force" --meta "$tiny"
qemu-img create -q -f qcow2 -u foreign.qcow2 1G
dd if=foreign.qcow2 of="$tiny" conv=fsync status=none
refused "an image on it" "qcow2 image.*--force" --meta "$tiny"
dmlive meta format "$tiny" --size 16M --granularity 4K --bitmap alloctrack:auto --bitmap mine --force
refused "bitmaps of others on it" "more than one bitmap" --meta "$tiny"
refused "the target itself" "on, the same device" --meta "$disk" --force
refused "no block device" "losetup" --meta "$TMP/image.qcow2"
blockdev --setro "$tiny"
refused "read-only" "read-only" --meta "$tiny"
blockdev --setrw "$tiny"
refused "no volume for auto" "not a logical volume.*at least [0-9]* bytes.*--meta DEVICE" --meta auto
dmlive meta format "$tiny" --size 16M --granularity 4K --force
run 2 "metadata that know no name" dmlive resume "$tiny"
run 2 "metadata that know no target" dmlive resume "$tiny" --name f
says "the way out" "--target"
run 2 "metadata that know no image" dmlive resume "$tiny" --name f --target "$disk"
says "the way out" "dmlive resume $tiny IMAGE"
check "no device is left" sh -c '! dmsetup info f'
cp image.qcow2.raw expected.raw
run 0 "all given by hand" dmlive resume "$tiny" image.qcow2 --name f --target "$disk"
on_exit end_restore f
ends_well f "by hand"
end_restore f
wipefs -qa "$tiny"
dd if=/dev/zero of="$tiny" bs=64K count=1 status=none
run 1 "nothing on it to resume" dmlive resume "$tiny"
run 2 "--target without metadata" dmlive resume absent --target "$disk"
finish
