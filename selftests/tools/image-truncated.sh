#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Images written by qemu-img are read to the last byte, however their file ends. An image
# with a part missing, even a single byte, is refused before anything is written.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"
require_command strace

make_source
yes "compresses well" | head -c "$disk_size" > text.raw

# cut NAME IMAGE FILE BYTES - without the last BYTES of FILE, which is IMAGE or one of its
# files, the conversion is refused, and an existing target is kept.
cut()
{
	local output status
	cp --sparse=always "$3" whole
	truncate -s "-$4" "$3"
	echo precious > kept
	output=$(dmlive image convert --quiet "${@:5}" "$2" kept 2>&1)
	status=$?
	like "$1, $4 bytes cut off" "$status $output $(cat kept)" \
		"^1 .*truncated.* precious"
	mv whole "$3"
}

# spare NAME IMAGE FILE BYTES - the last BYTES of FILE are not needed.
spare()
{
	cp --sparse=always "$3" whole
	truncate -s "-$4" "$3"
	same_content "$1, $4 bytes cut off" "$2"
	mv whole "$3"
}

# The last cluster of the file is the disk's last one, partly written.
for options in cluster_size=64k cluster_size=4k,compat=0.10 \
		cluster_size=64k,preallocation=metadata; do
	image_create -o "$options" a.qcow2 $disk_size
	image_io a.qcow2 "write -P 7 $((disk_size - 512)) 512"
	same_content "$options" a.qcow2
	unseen=$((65536 - disk_size % 65536))
	case $options in cluster_size=4k*) unseen=$((4096 - disk_size % 4096)) ;; esac
	# As old versions of QEMU write it.
	spare "$options: what no guest sees" a.qcow2 a.qcow2 $unseen
	cut "$options: the last byte" a.qcow2 a.qcow2 $((unseen + 1))
done
image_create -o cluster_size=64k,preallocation=metadata a.qcow2 $disk_size
qemu-img resize -q a.qcow2 8M
same_content "made larger" a.qcow2
cut "made larger" a.qcow2 a.qcow2 1
qemu-img resize -q --shrink a.qcow2 3000k
same_content "made smaller" a.qcow2

# How much is left of each image of a chain.
image_create base.qcow2 16M
image_io base.qcow2 "write -P 1 0 4M" "write -P 2 8M 1M"
image_create -b base.qcow2 -F qcow2 top.qcow2 16M
image_io top.qcow2 "write -P 3 2M 1M"
counts()
{
	dmlive image chain --json top.qcow2 |
		jq -c '[.[] | [."unreadable-bytes", ."readable-bytes", ."counted-all"]]'
}
is "a whole chain" "$(counts)" '[[0,null,null],[0,null,null]]'
truncate -s -1M base.qcow2
is "a truncated one" "$(counts)" "[[0,null,null],[1048576,4194304,true]]"
like "a truncated one, for people" "$(dmlive image chain top.qcow2)" \
	"base.qcow2: qcow2.*readable: 4.0 MiB of data; unreadable: 1.0 MiB of the disk: base.qcow2: .*truncated"
is "the chain is right" "$(dmlive image chain top.qcow2 > /dev/null; echo $?)" 0
image_io top.qcow2 "write -P 3 8M 1M"
is "data that a guest cannot read" "$(counts)" '[[0,null,null],[0,null,null]]'
rm top.qcow2 base.qcow2

# Subclusters: those behind the last allocated one are not in the file.
image_create -o cluster_size=64k,extended_l2=on a.qcow2 $disk_size
image_io a.qcow2 "write -P 9 1M 3k"
check "subclusters: the file ends within a cluster" \
	[ $(($(stat -c %s a.qcow2) % 65536)) -eq 4096 ]
same_content "subclusters" a.qcow2
cut "subclusters" a.qcow2 a.qcow2 1

# A compressed cluster: the file ends with its last byte, or with that sector.
for type in zlib zstd; do
	image_create -o compression_type=$type a.qcow2 $disk_size
	image_io a.qcow2 "write -c -s pattern-a 0 64k" "write -c -P 5 4M 64k"
	check "$type: the file ends within a sector" [ $(($(stat -c %s a.qcow2) % 512)) -ne 0 ]
	same_content "$type" a.qcow2
	cut "$type" a.qcow2 a.qcow2 1
	qemu-img convert -q -O qcow2 -c -o compression_type=$type text.raw a.qcow2
	same_content "$type, as converted" a.qcow2
	cut "$type, as converted" a.qcow2 a.qcow2 600
	truncate -s -600 a.qcow2
	is "$type: what the chain says of it" "$(dmlive image chain --json a.qcow2 |
		jq -c '.[0] | [."unreadable-bytes" > 0, (.damage | test("truncated"))]')" \
		"[true,true]"
done

# An L2 table that is cut off would leave its clusters unallocated.
image_create -o cluster_size=64k a.qcow2 4G
image_io a.qcow2 "write -P 3 3G 64k" "discard 3G 64k"
l2=$(($(peek a.qcow2 $(($(peek a.qcow2 40) + 8 * 6))) & 0xfffffffffffe00))
truncate -s $((l2 + 65536)) a.qcow2
check "an L2 table at the end" dmlive image convert --quiet a.qcow2 got.raw
cut "an L2 table" a.qcow2 a.qcow2 1
rm -f got.raw

# A data file: as long as the disk, in whole clusters or not.
for raw in off on; do
	image_create -o data_file=data.raw,data_file_raw=$raw a.qcow2 $disk_size
	image_io a.qcow2 "write -s pattern-a 0 1M" "write -P 7 $((disk_size - 512)) 512"
	same_content "data file, raw=$raw" a.qcow2
	spare "data file, raw=$raw" a.qcow2 data.raw $((65536 - disk_size % 65536))
	cut "data file, raw=$raw" a.qcow2 data.raw $((65537 - disk_size % 65536))
	qemu-img resize -q --shrink a.qcow2 3000k
	same_content "data file, raw=$raw, made smaller" a.qcow2
	rm data.raw
done

# A chain, and a snapshot with tables of its own.
image_create base.qcow2 $disk_size
image_io base.qcow2 "write -s pattern-a 0 1M"
image_create -b base.qcow2 -F qcow2 top.qcow2
image_io top.qcow2 "write -P 1 2M 64k"
cut "the backing image" top.qcow2 base.qcow2 1
# Data that is hidden by an image on top is not needed.
image_create -b base.qcow2 -F qcow2 over.qcow2
image_io over.qcow2 "write -P 4 960k 64k"
spare "a cluster that is hidden" over.qcow2 base.qcow2 1
# No more of it is visible.
image_create -u -b base.qcow2 -F qcow2 small.qcow2 512k
spare "what an image does not show of its backing" small.qcow2 base.qcow2 65536
image_io base.qcow2 "write -P 2 0 64k"
qemu-img snapshot -c one base.qcow2
image_io base.qcow2 "write -P 3 0 1M"
cut "the disk" base.qcow2 base.qcow2 1
spare "the disk" base.qcow2 base.qcow2 0
# The first cluster of the snapshot, but not that of the disk, is outside of the file.
l2=$(($(peek base.qcow2 "$(peek base.qcow2 "$(peek base.qcow2 64)")") & 0xfffffffffffe00))
poke base.qcow2 "$l2" "$(hex64 0x8000000010000000)"
cut "the snapshot" base.qcow2 base.qcow2 0 --snapshot one
same_content "the disk has other tables" base.qcow2

# Each table is read once, however many entries refer to it.
image_create -o cluster_size=512 many.qcow2 1G
image_io many.qcow2 "write -z 0 512"
l1=$(peek many.qcow2 40)
dd if=many.qcow2 of=entry bs=8 skip=$((l1 / 8)) count=1 status=none
for _ in {1..15}; do
	cat entry entry > entries
	mv entries entry
done
dd if=entry of=many.qcow2 bs=8 seek=$((l1 / 8)) conv=notrunc status=none
strace -f -e trace=pread64 -o calls dmlive image convert --quiet many.qcow2 out.raw \
	2> strace.log
if [ -s calls ]; then
	check "a table with many references" [ "$(grep -c pread64 calls)" -lt 1000 ]
else
	skip "a table with many references" "strace does not work: $(head -n 1 strace.log)"
fi
finish
