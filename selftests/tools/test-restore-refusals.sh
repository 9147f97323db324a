#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A target that is in use, is not empty or does not fit is refused with the reason. Nothing
# is written to it, and no device is left behind.

. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 4
disk=$(make_loop 8) || bail "disk"
on_exit end_restore r
fingerprint=

touched()
{
	md5sum < "$disk"
}

# refused DESCRIPTION STATUS REGEX [ARG...]
refused()
{
	fingerprint=$(touched)
	run "$2" "$1: refused" dmlive restore "${@:4}" --name r
	says "$1: the reason" "$3"
	check_fails "$1: no device is left" dmsetup info r
	is "$1: the target is as it was" "$(touched)" "$fingerprint"
}

mkfs.ext4 -q -L precious "$disk" || bail "mkfs"
refused "file system" 3 "ext4 file system 'precious'.*--force" image.qcow2 "$disk"
mkdir mnt
# Read-only: a mounted file system may write to its device at any time.
mount -o ro "$disk" mnt || bail "mount"
refused "mounted" 3 "mounted on $TMP/mnt" image.qcow2 "$disk" --force
umount mnt

mkswap -q "$disk" > /dev/null 2>&1
swapon "$disk" || bail "swapon"
refused "swap space" 3 "swap" image.qcow2 "$disk" --force
swapoff "$disk"
refused "swap signature" 3 "swap signature.*--force" image.qcow2 "$disk"

wipefs -qa "$disk"
# A table of one partition, by hand: type 83, sectors 2048 to 10239.
printf '\0\0\0\0\x83\0\0\0\0\x08\0\0\0\x20\0\0' |
	dd of="$disk" bs=1 seek=446 conv=notrunc status=none
printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
refused "partition table" 3 "partition table.*--force" image.qcow2 "$disk"
wipefs -qa "$disk"

# Content that libblkid does not recognise.
dd if=image.qcow2 of="$disk" conv=notrunc status=none
refused "qcow2 image" 3 "holds a qcow2 image; .*--force" image.qcow2 "$disk"
dd if=/dev/zero of="$disk" bs=64K count=1 conv=notrunc,fsync status=none
echo x | gzip | dd of="$disk" conv=notrunc status=none
refused "compressed file" 3 "holds a file compressed with gzip; .*--force" image.qcow2 "$disk"
run 3 "no metadata device either" dmlive meta format "$disk" --size 1M --granularity 64K
says "the reason" "holds a file compressed with gzip"
dd if=/dev/zero of="$disk" bs=64K count=1 conv=notrunc,fsync status=none

pvcreate -q "$disk" > /dev/null || bail "pvcreate"
refused "physical volume" 3 "LVM2_member signature.*--force" image.qcow2 "$disk"
wipefs -qa "$disk"

dm_create holder "0 2048 linear $disk 0"
refused "in use by another device" 3 "in use by the mapped device holder; to free it: dmsetup remove holder" image.qcow2 "$disk" --force
dm_remove holder

# Neither of them has it open exclusively.
mkfifo commands
qemu-io -f raw "$disk" < commands > qemu-io.log 2>&1 &
exec 8> commands
echo length >&8
wait_until grep -q MiB qemu-io.log || bail "qemu-io: $(cat qemu-io.log)"
refused "used by QEMU" 3 "another process has it locked" image.qcow2 "$disk" --force
exec 8>&-
wait
make_linear open "$disk" > /dev/null || bail "open"
sleep 1000 9<> /dev/mapper/open &
refused "open" 3 "another process has it open" image.qcow2 /dev/mapper/open --force
stop_process $!
dm_remove open

small=$(make_disk 2 512) || bail "disk"
refused "too small" 3 "too small" image.qcow2 "$small"
run 3 "too small, with SIGCHLD ignored" env --ignore-signal=CHLD \
	dmlive restore image.qcow2 "$small" --name r

blockdev --setro "$disk"
refused "read-only" 3 "read-only" image.qcow2 "$disk"
blockdev --setrw "$disk"

dm_create r "0 8 zero"
run 3 "name in use: refused" dmlive restore image.qcow2 "$disk" --name r
says "name in use: the reason" "mapped device r already"
dm_remove r

# Another restore onto the target has begun and waits for its metadata device.
meta=$(make_loop 4) || bail "disk"
dm_create slow "0 8192 linear $meta 0"
dmsetup suspend slow
dmlive restore image.qcow2 "$disk" --name first --meta /dev/mapper/slow --background \
	> first.log 2>&1 &
first=$!
on_exit end_restore first
begun_and_waits()
{
	local server
	server=$(cat /run/dmlive/first.lock 2>/dev/null) &&
		grep -q '^State:.*D' "/proc/$server/status"
}
check "two at once: the first one has begun" wait_until begun_and_waits
refused "two at once" 3 "$disk is being .* by another process" image.qcow2 "$disk"
run 3 "attach meanwhile: refused" dmlive attach "$disk" --name a
says "attach meanwhile: the reason" "$disk is being .* by another process"
refused "two onto one metadata device" 3 "slow is being .* by another process" \
	image.qcow2 "$(make_loop 8)" --meta /dev/mapper/slow
dmsetup resume slow
wait $first
is "two at once: the first one succeeds" $? 0
check "two at once: it ends" wait_until is_linear first
end_restore first
same "two at once: the content" "$disk" image.qcow2.raw
dm_remove slow

# The image is the target, or is on it.
qemu-img convert -O raw image.qcow2 "$disk" 2>/dev/null
refused "image is the target" 3 "overwritten" "$disk" "$disk" --force
mkfs.ext4 -q -F "$disk" || bail "mkfs"
mount "$disk" mnt || bail "mount"
cp image.qcow2 mnt/
run 3 "image on the target: refused" dmlive restore mnt/image.qcow2 "$disk" --name r --force
says "image on the target: the reason" "image.qcow2 would be overwritten"
umount mnt

# A backing image on the target is found too.
qemu-img convert -O raw image.qcow2 "$disk"
qemu-img create -q -f qcow2 -b "$disk" -F raw backed.qcow2
refused "backing image is the target" 3 "overwritten" backed.qcow2 "$disk" --force --allow-paths

# A target that is on the image.
cp image.qcow2.raw on.raw
over=$(make_loop "$TMP/on.raw") || bail "loop device"
refused "target on the image" 3 "on.raw would be overwritten" on.raw "$over" --force
dm_create above "0 8192 linear $over 0"
refused "target above the image" 3 "would be overwritten" "$over" /dev/mapper/above --force
refused "target above the image's file" 3 "on.raw would be overwritten" on.raw \
	/dev/mapper/above --force
dm_remove above

refused "no such image" 1 "absent" absent.qcow2 "$disk"
refused "no such target" 1 "No such file" image.qcow2 /dev/absent
refused "target is a file" 1 "not a block device.*image convert" image.qcow2 backed.qcow2
head -c 100000 image.qcow2 > cut.qcow2
refused "damaged image" 1 "cut.qcow2" cut.qcow2 "$disk"
: > empty.raw
refused "empty image" 1 "empty" empty.raw "$disk" --format raw

run 2 "no name" dmlive restore image.qcow2 "$disk"
run 2 "no target" dmlive restore image.qcow2 --name r
run 2 "unknown option" dmlive restore image.qcow2 "$disk" --name r --fast
for bad in "--block-size 3K" "--block-size 4M" "--speed x" "--on-error maybe" \
	"--size half" "--threads 1000" "--name a/b"; do
	# shellcheck disable=SC2086 # two words
	run 2 "$bad" dmlive restore image.qcow2 "$disk" --name r $bad
done
check "no files are left in /run" [ -z "$(ls /run/dmlive 2>/dev/null)" ]
finish
