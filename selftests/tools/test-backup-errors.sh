#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A backup that cannot be made is refused, and a failing backup leaves nothing behind. The
# guest notices neither.
# only on: uml

. "$(dirname "$0")/backup-lib.sh"

make_guest h 4
make_guest g 8

# refused STATUS DESCRIPTION REGEX ARGUMENT... - and nothing is changed.
refused()
{
	run "$1" "$2" dmlive backup "${@:4}"
	says "$2: the message" "$3"
	check "$2: no output" [ -z "$(ls ./*.raw* ./*.qcow2* 2>/dev/null)" ]
}

refused 2 "no output named" "needs NAME OUT" g
refused 2 "half a pair" "needs NAME OUT" g a.raw h
refused 2 "an unknown format" "must be qcow2 or raw" g a.raw --format vmdk
refused 2 "an unknown method" "zstd" g a.qcow2 --compression lzma
refused 1 "no such device" "dmlive attach" absent a.raw
make_linear linear "$(make_disk 4)" > /dev/null || bail "linear"
refused 3 "not a cbw device" "dmlive attach" linear a.raw
refused 3 "not a mapped device" "dmlive attach" "$disk" a.raw
refused 3 "the same device twice" "being backed up" g a.raw g b.raw
refused 2 "the same output twice" "two devices" g a.raw h ./a.raw
refused 2 "a file needs a place for old data" "--fleece" g a.raw --fleece none
refused 1 "no such folder" "No such file" g absent/a.raw
refused 1 "no such fleece device" "No such file" g a.raw --fleece absent
refused 3 "a fleece device in use" "in use" g a.raw --fleece "$disk"
refused 3 "not a regular file" "neither a regular file" g /dev/null
dmsetup suspend g
refused 3 "a suspended device" "dmsetup resume g" g a.raw
dmsetup resume g
spare=$(make_disk 8) || bail "disk"
dm_reload g "0 $(sectors "$disk") cbw $disk - 128 2 fleece $spare"
refused 3 "another program's session" "session" g a.raw
dm_reload g "${before[g]}"
is_idle g "refused"

echo old > a.raw
run 3 "a file that exists" dmlive backup g a.raw
says "the way out" "--force"
is "it is as it was" "$(cat a.raw)" old
rm a.raw

# The output or the old data is on the device that is backed up.
mkfs.ext4 -q /dev/mapper/g || bail "mkfs"
mkdir mnt
mount /dev/mapper/g mnt || bail "mount"
on_exit sh -c "! mountpoint -q $TMP/over || umount $TMP/over;
	! mountpoint -q $TMP/mnt || umount $TMP/mnt"
run 3 "an output on the device" dmlive backup g mnt/g.raw
says "the reason" "lies on, g"
run 3 "old data on the device" dmlive backup g g.raw --fleece mnt
# A file system whose device number does not show its devices.
mkdir mnt/upper mnt/work lower over
mount -t overlay -o "lowerdir=lower,upperdir=mnt/upper,workdir=mnt/work" overlay over ||
	bail "overlay"
run 3 "an output in a folder over the device" dmlive backup g over/g.raw
says "the reason" "lies on, g"
umount over
run 0 "a mounted file system" dmlive backup g g.raw
check "it is clean" e2fsck -fn g.raw
rm g.raw
umount mnt

# Failures during the backup.
write_on /dev/mapper/g
fleece=$(make_disk 1) || bail "disk"
for output in a.raw a.qcow2; do
	run 4 "a fleece device that is too small: $output" \
		dmlive backup g $output --fleece "$fleece" --speed 1M
	says "the reason" "session broke.*$fleece is full .* of 1.0 MiB: .*larger"
	check "no output: $output" [ -z "$(ls ./*.raw* ./*.qcow2* 2>/dev/null)" ]
	is_idle g "a full fleece device: $output"
done

echo old > a.raw
run 4 "a fleece device that is full, and an output that exists" \
	dmlive backup g a.raw --force --fleece "$fleece" --speed 1M
is "the old output is kept" "$(cat a.raw)" old
rm a.raw

mkdir full
mount -t tmpfs -o size=2M none full || bail "tmpfs"
on_exit umount "$TMP/full"
for output in full/a.raw full/a.qcow2; do
	run 4 "a full file system: $output" dmlive backup g $output --fleece .
	says "the reason" "No space left"
	is "nothing is left: $output" "$(ls -A full)" ""
	is_idle g "a full file system: $output"
done
run 4 "no room for old data" dmlive backup g a.raw --fleece full --speed 1M
says "the device, its use and the way out" \
	"session broke: the file system of full is full .*0 B free of 2.0 MiB.*free space there"
is_idle g "no room for old data"

# A pool of 1 MiB with a volume of 16 MiB.
if has_target thin-pool; then
	thin=$(make_disk 4) pool_data=$(make_disk 1) || bail "disks"
	dd if=/dev/zero of="$thin" bs=4k count=1 oflag=direct status=none
	dm_create pool "0 2048 thin-pool $thin $pool_data 128 0 1 error_if_no_space"
	dmsetup message pool 0 "create_thin 0"
	dm_create thin "0 32768 thin /dev/mapper/pool 0"
	run 4 "a thin pool that is full" dmlive backup g a.raw --fleece /dev/mapper/thin \
		--speed 1M
	says "the device, its use and the way out" \
		"session broke: /dev/mapper/thin is in the thin pool pool, which is full .100.0%"
	is_idle g "a thin pool that is full"
fi
still_writes "the guest has noticed nothing"

# With the policy that the guest's writes fail instead.
write_on /dev/mapper/g
run 0 "break_guest_write" dmlive backup g g.raw --fleece "$fleece" --speed 4M \
	--on-cbw-error break_guest_write
check "the guest's write has failed" wait_until grep -q "write: " "$TMP/writer.err"
check "the backup is of one point in time" prefix check g.raw
is_idle g "break_guest_write"

# The guest's device cannot be read.
bad=$(make_disk 8) && make_linear lower "$bad" > /dev/null || bail "lower"
random_raw paint 8
dd if=paint of="$bad" bs=1M oflag=direct status=none
spare=$(make_disk 8) || bail "disk"
dm_create e "0 $(sectors "$bad") cbw /dev/mapper/lower - 128" || bail "e"
before[e]=$(dmsetup table e)
for output in e.raw e.qcow2 "$spare"; do
	for sector in 0 10000 16376; do
		break_device lower "$bad" $sector 8
		run 4 "cannot be read at $sector: $output" \
			dmlive backup e "$output" --force
		check "no output: $output" [ -z "$(ls ./e.* 2>/dev/null)" ]
		repair_device lower "$bad"
		is_idle e "cannot be read at $sector: $output"
	done
done
run 0 "it can be read again" dmlive backup e e.raw
check "its content" cmp e.raw paint

run 0 "then a possible backup" dmlive backup g a.raw
check "its content" cmp a.raw /dev/mapper/g
finish
