#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Images that cannot be read correctly are refused with a reason, and no file is damaged.
# The check of an image has the exit statuses of qemu-img check.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"

# refused NAME REGEX ARG... - dmlive fails with status 1 and a reason, on one line of
# standard error, and prints nothing else.
refused()
{
	local name=$1 regex=$2 output status
	shift 2
	output=$(dmlive "$@" 2>&1 > stdout.log)
	status=$?
	if [ $status -ne 1 ]; then
		diag "status $status; $output"
		not_ok "$name: status 1"
	elif [ "$(wc -l <<< "$output")" -ne 1 ]; then
		diag "$output"
		not_ok "$name: one line"
	else
		like "$name" "$output" "$regex"
	fi
}

# status NAME WANTED ARG... - check only the exit status.
status()
{
	local got
	dmlive "${@:3}" > dmlive.log 2>&1
	got=$?
	[ "$got" -eq "$2" ] || diag "$(cat dmlive.log)"
	is "$1" "$got" "$2"
}

image_create -o cluster_size=4k base.qcow2 1M
image_io base.qcow2 "write -s pattern-a 0 300k"

# Flags and features in the header.
cp base.qcow2 a.qcow2
poke a.qcow2 72 0000000000000002
refused "corrupt mark" "marked corrupt.*--force" image convert a.qcow2 out
same_content "corrupt mark, forced" a.qcow2 --force
poke a.qcow2 72 0000000000000001
same_content "dirty mark" a.qcow2
poke a.qcow2 72 0000000000000080
refused "unknown feature" "unknown incompatible features: bit 7" image convert a.qcow2 out
cp base.qcow2 a.qcow2
poke a.qcow2 32 00000002
refused "encryption" "encrypted \(LUKS\)" image convert a.qcow2 out
poke a.qcow2 32 00000000ffffffff
refused "huge L1 table" "L1 table too large" image convert a.qcow2 out

# Files that are missing, of the wrong kind, or not images.
refused "no such file" "nothing.*No such file" image info nothing
refused "a folder" "neither a regular file" image info .
mkfifo fifo
refused "no wait for a FIFO" "neither a regular file" image info fifo
printf 'KDMV\1\0\0\0' > a.vmdk
truncate -s 1M a.vmdk
refused "another format" "looks like format vmdk" image info a.vmdk
refused "another format, stated" "format 'vmdk' is not supported" \
	image info --format vmdk a.vmdk
refused "a stated format is believed" "not a qcow2 image" \
	image info --format qcow2 pattern-a
check "a stated raw format is believed" dmlive image info --format raw a.vmdk

# no_disk NAME FILE REGEX - refused unless given as raw; the message names the way out.
no_disk()
{
	refused "$1" "$2: $3.*--format raw" image convert "$2" out
	check "$1: as raw" dmlive image convert --quiet --format raw "$2" got.raw
	check "$1: as it is" cmp -n "$(stat -c %s "$2")" "$2" got.raw
}
for format in qed vdi vhdx vmdk parallels; do
	qemu-img convert -f raw -O $format pattern-b a.img || bail "qemu-img convert"
	no_disk $format a.img "looks like format $format,.*qemu-img convert -f $format"
done
qemu-img convert -f raw -O vpc pattern-b a.img
no_disk "dynamic VHD" a.img "looks like format vhd.*-f vpc"
qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on pattern-b a.img
no_disk "fixed VHD" a.img "looks like format fixed vhd.*-f vpc"
for program in gzip bzip2 xz zstd lz4 lzop; do
	if command -v $program > /dev/null; then
		$program -qc pattern-b > a.img
		no_disk $program a.img "is compressed with $program.*$program -dc"
	else
		skip "$program" "no such program"
	fi
done
tar -cf a.img pattern-b
no_disk tar a.img "is a tar archive.*tar -xf"
cp pattern-b disk.ovf
tar --format=ustar -cf a.img disk.ovf pattern-b
no_disk OVA a.img "is an OVA archive.*tar -xf.*qemu-img convert"
# no_disk_hex NAME HEX REGEX
no_disk_hex()
{
	cp pattern-b a.img
	poke a.img 0 "$2"
	no_disk "$1" a.img "$3"
}
no_disk_hex VMA 564d4100 "is a VMA archive.*vma extract"
no_disk_hex "PBS, fixed index" 2f7f41ed91fd0fcd "is an index.*fidx.*proxmox-backup-client restore"
no_disk_hex "PBS, dynamic index" 1c914ea519bab3cd "is an index.*didx.*proxmox-backup-client"
no_disk_hex "PBS, blob" 31b958426fb6a37f "is a blob.*proxmox-backup-client"

# Content that a guest's disk may have: a LUKS header, the magic of tar in the code of a
# boot sector, and that of a VHD footer in the last sector, without valid checksums.
cp pattern-b a.raw
poke a.raw 0 4c554b53babe0001
poke a.raw 257 7573746172003030
poke a.raw $((1048576 - 512)) 636f6e6563746978
same_content "a raw disk with similar content" a.raw -- -f raw

# Chains.
image_create -b base.qcow2 -F qcow2 one.qcow2
image_create -b one.qcow2 -F qcow2 two.qcow2
qemu-img rebase -u -b two.qcow2 -F qcow2 one.qcow2
refused "a loop of backing files" "backing chain has a loop" image map two.qcow2
check "info does not follow the chain" dmlive image info two.qcow2
refused "info --chain does" "backing chain has a loop" image info --chain two.qcow2
qemu-img rebase -u -b gone.qcow2 -F qcow2 one.qcow2
refused "a missing backing file" \
	"one.qcow2: its backing file is missing: gone.qcow2: cannot open.*put it back" \
	image map two.qcow2
check_fails "info --chain fails too" dmlive image info --chain two.qcow2
like "but shows what there is" "$(dmlive image info --chain two.qcow2 2>/dev/null)" \
	"image: two.qcow2.*image: one.qcow2"
like "also as JSON" "$(dmlive image info --chain --json two.qcow2 2>/dev/null |
	jq -c 'map(.filename)')" '\["two.qcow2","one.qcow2"\]'
qemu-img rebase -u -b . -F qcow2 one.qcow2
refused "a backing file that is not an image" "one.qcow2: its backing file: .*neither a regular" \
	image map two.qcow2
qemu-img rebase -u -b nbd://nowhere/x -F raw one.qcow2
refused "a protocol" "one.qcow2: its backing file 'nbd://nowhere/x' is not a plain" \
	image map two.qcow2
qemu-img rebase -u -b 'json:{"driver":"null-co"}' -F raw one.qcow2
refused "a json: name" "json:.*is not a plain file name" image map two.qcow2
qemu-img rebase -u -b base.qcow2 -F vmdk one.qcow2
refused "a stated format of the backing" "base.qcow2: format 'vmdk'" image map two.qcow2
image_create -o data_file=data.raw,data_file_raw=on d.qcow2 1M
rm data.raw
refused "a missing data file" "d.qcow2: its data file is missing: data.raw: cannot open" \
	image map d.qcow2
check "info does not need the data file" dmlive image info d.qcow2

# A truncated file must not read as zeros.
cp base.qcow2 a.qcow2
truncate -s -70000 a.qcow2
refused "a truncated image" "truncated" image convert a.qcow2 out
l1=$(peek base.qcow2 40)
l2=$(($(peek base.qcow2 "$l1") & 0xfffffffffffe00))
cp base.qcow2 a.qcow2
poke a.qcow2 "$l2" "$(hex64 0x8000000010000000)"
refused "a cluster far beyond the end" "cluster beyond the end" image convert a.qcow2 out
cp base.qcow2 a.qcow2
poke a.qcow2 "$l1" "$(hex64 $((l2 + 512)))"
refused "a misaligned L2 table" "misaligned L2 table" image map a.qcow2

# An image that QEMU writes to. Look for its write to see that it has the image open: a
# lock of the test's own might keep it from opening the image.
cp base.qcow2 a.qcow2
mkfifo writer
qemu-io a.qcow2 < writer > /dev/null 2>&1 &
exec 9> writer
echo "write -P 170 0 4k" >&9
written()
{
	! cmp base.qcow2 a.qcow2
}
wait_until written
refused "an image that is being written" "another process is writing.*--force" \
	image map a.qcow2
refused "its check" "another process is writing" image check a.qcow2
qemu-img create -q -u -f qcow2 -b a.qcow2 -F qcow2 top.qcow2 1M
refused "an image with such a backing file" "a.qcow2: another process" \
	image map top.qcow2
check "--force reads it" dmlive image map --force a.qcow2
check "info reads it" dmlive image info a.qcow2
exec 9>&-
wait
check "when it is closed, it can be read" dmlive image map a.qcow2

# While dmlive reads, QEMU cannot write. Here dmlive is stopped by a full pipe.
{ head -c 4096 pattern-a; head -c 4096 /dev/zero; } > striped.raw
for _ in 1 2 3 4 5 6 7 8 9 10 11; do
	cat striped.raw striped.raw > twice.raw
	mv twice.raw striped.raw
done
qemu-img convert -S 4k -O qcow2 -o cluster_size=4k striped.raw striped.qcow2
mkfifo map-output
dmlive image map striped.qcow2 > map-output &
exec 8< map-output
cannot_write()
{
	! qemu-io -c quit striped.qcow2
}
check "QEMU cannot write to an image that dmlive reads" wait_until cannot_write
check "QEMU can read it" qemu-img map striped.qcow2
exec 8<&-
wait
check "QEMU can write to it later" qemu-io -c quit striped.qcow2

# The target.
cp base.qcow2 a.qcow2
refused "the image as its own target" "part of the image" image convert a.qcow2 a.qcow2
check "which it survived" cmp a.qcow2 base.qcow2
ln -s a.qcow2 link.qcow2
image_create -b a.qcow2 -F qcow2 top.qcow2
refused "the backing file as target, by another name" "part of the image" \
	image convert top.qcow2 link.qcow2
check "which it survived too" cmp a.qcow2 base.qcow2
refused "a directory as target" "neither a regular file" image convert base.qcow2 .
refused "a character device as target" "neither a regular file" \
	image convert base.qcow2 /dev/full
printf 'old content, longer than the image%.0s' {1..60000} > out
same=$(qemu-img convert -O raw base.qcow2 wanted.raw &&
	dmlive image convert base.qcow2 out && cmp out wanted.raw && echo yes)
is "a target that existed is replaced" "$same" yes

# Command lines.
status "no subcommand" 2 image
status "unknown subcommand" 2 image frobnicate
status "unknown option" 2 image info --frobnicate base.qcow2
status "missing argument" 2 image convert base.qcow2
status "superfluous argument" 2 image info base.qcow2 base.qcow2
status "--threads 0" 2 image convert --threads 0 base.qcow2 out
status "help" 0 image --help

# The statuses of the check.
check_agrees()
{
	local theirs ours
	qemu-img check -q "$2" > qemu-img.log 2>&1
	theirs=$?
	dmlive image check --quiet "$2" > dmlive.log 2>&1
	ours=$?
	is "check: $1 (status $3)" "$ours $theirs" "$3 $3"
}

check_agrees "clean image" base.qcow2 0
rt=$(peek base.qcow2 48)
rb=$(peek base.qcow2 "$rt")
cp base.qcow2 a.qcow2
end=$(($(stat -c %s a.qcow2) / 4096))
truncate -s $(((end + 4) * 4096)) a.qcow2
poke a.qcow2 $((rb + 2 * (end + 2))) 0001
check_agrees "leaked cluster" a.qcow2 3
cp base.qcow2 a.qcow2
poke a.qcow2 $((rb + 2 * (l2 / 4096))) 0000
check_agrees "refcount too small" a.qcow2 2
cp base.qcow2 a.qcow2
poke a.qcow2 "$l2" "$(hex64 $(($(peek a.qcow2 "$l2") & 0x7fffffffffffffff)))"
check_agrees "missing flag" a.qcow2 2
cp base.qcow2 a.qcow2
poke a.qcow2 "$l2" "$(hex64 $(($(peek a.qcow2 "$l2") + 512)))"
check_agrees "misaligned cluster" a.qcow2 2
status "check: raw image" 1 image check pattern-a
status "check: usage" 1 image check
poke a.qcow2 48 0000000000000001
status "check: not possible" 1 image check a.qcow2
finish
