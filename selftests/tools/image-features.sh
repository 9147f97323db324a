#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# With every feature of images, dmlive reads the same data and finds the same extents as
# qemu-img.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"

make_source

# Single compressed clusters among others; the last one is partial.
for type in zlib zstd; do
	image_create -o "cluster_size=64k,compression_type=$type" a.qcow2 "$disk_size"
	image_io a.qcow2 "write -c -s pattern-a 0 64k" \
		"write -s pattern-b 64k 64k" "write -c -s pattern-b 128k 128k" \
		"write -c -P 7 1M 64k" "write -z 128k 64k" \
		"write -c -s pattern-a 5M 1536"
	both "compressed clusters among others, $type" a.qcow2
done

# Zero clusters, with and without an allocated cluster.
image_create a.qcow2 "$disk_size"
image_io a.qcow2 "write -s pattern-a 0 1M" "write -z 0 128k" \
	"write -z -u 256k 128k" "write -z 2M 128k" "write -z -u 3M 1M"
both "zero clusters of both kinds" a.qcow2
check "zero clusters: check finds nothing" dmlive image check a.qcow2

# Subclusters.
for cluster in 16k 64k 2M; do
	image_create -o "cluster_size=$cluster,extended_l2=on" a.qcow2 "$disk_size"
	compressed=$cluster
	[ "$cluster" != 2M ] || compressed=$((disk_size - 4194304))
	scribble a.qcow2 "write -s pattern-a 512 512" "write -c -s pattern-b 4M $compressed" \
		"write -s pattern-a 2049k 1k" "write -z 2050k 4k" "discard 12k 4k"
	both "subclusters in clusters of $cluster" a.qcow2
	check "subclusters in $cluster: check finds nothing" \
		dmlive image check a.qcow2
	image_create -o "cluster_size=$cluster,extended_l2=on" \
		-b a.qcow2 -F qcow2 b.qcow2 8M
	image_io b.qcow2 "write -s pattern-b 1023k 2k" "write -z 16k 1k" \
		"write -z 3M 512" "write -s pattern-a 6M 64k"
	both "subclusters over subclusters of $cluster" b.qcow2
done

# Backing chains: three layers, each shorter or longer than the next.
mkdir -p deep/er
head -c $((1500 * 1024 + 100)) source.raw > deep/base.raw
image_create -b "$PWD/deep/base.raw" -F raw -o cluster_size=4k deep/er/mid.qcow2 3M
image_io deep/er/mid.qcow2 "write -s pattern-b 1M 64k" "write -z 256k 64k" \
	"write -s pattern-a 2500k 1000" "write -s pattern-b 1490k 5k"
image_create -b deep/er/mid.qcow2 -F qcow2 top.qcow2 6M
image_io top.qcow2 "write -s pattern-a 0 4k" "write -s pattern-b 5M 64k" \
	"write -z -u 1M 8k" "write -s pattern-a 2990k 40k"
both "chain of three, raw base not of whole sectors" top.qcow2

image_create -b deep/er/mid.qcow2 -F qcow2 short.qcow2 1M
image_create -b short.qcow2 -F qcow2 top.qcow2 4M
image_io top.qcow2 "write -s pattern-a 1023k 2k"
both "a short image in the middle hides what is below" top.qcow2

(cd deep && qemu-img rebase -q -u -b ../source.raw -F raw er/mid.qcow2)
cp source.raw deep/source.raw
both "relative backing name starts from the overlay's folder" deep/er/mid.qcow2
(cd deep/er && qemu-img rebase -q -u -b "file:$TMP/deep/base.raw" -F raw mid.qcow2)
both "backing name with file: prefix" deep/er/mid.qcow2
qemu-img rebase -q -u -b "source.raw" deep/er/mid.qcow2 2> /dev/null
cp source.raw deep/er/source.raw
both "raw backing without stated format" deep/er/mid.qcow2
image_create -o cluster_size=4k deep/er/base.qcow2 2M
image_io deep/er/base.qcow2 "write -s pattern-a 0 1M"
# Version 2, written by hand without the format extension.
image_create -o compat=0.10 -b deep/er/base.qcow2 -F qcow2 v2.qcow2 2M
poke v2.qcow2 72 00000000
both "qcow2 backing without stated format" v2.qcow2
cp source.raw deep/er/guest-made
qemu-img convert -O qcow2 source.raw deep/er/guest-made
image_create -b deep/er/guest-made -F raw v3.qcow2 2M
both "a stated raw format is believed, whatever the content" v3.qcow2

# External data files.
for raw in on off; do
	rm -f data.raw
	image_create -o "data_file=data.raw,data_file_raw=$raw" a.qcow2 "$disk_size"
	scribble a.qcow2
	both "data file, data_file_raw=$raw" a.qcow2
	check "data file, data_file_raw=$raw: check finds nothing" \
		dmlive image check a.qcow2
done

# Internal snapshots.
image_create -o cluster_size=4k a.qcow2 "$disk_size"
image_io a.qcow2 "write -s pattern-a 0 1M"
qemu-img snapshot -c first a.qcow2
scribble a.qcow2
qemu-img snapshot -c second a.qcow2
image_io a.qcow2 "write -z 0 2M" "write -s pattern-b 4M 64k"
both "active state with snapshots" a.qcow2
same_content "snapshot by name" a.qcow2 --snapshot first -- -l first
same_content "snapshot by id" a.qcow2 --snapshot 2 -- -l snapshot.id=2
same_content "snapshot by its name only" a.qcow2 --snapshot second -- \
	-l snapshot.name=second
check "snapshots: check finds nothing" dmlive image check a.qcow2
qemu-img snapshot -d first a.qcow2
same_content "snapshot after another's deletion" a.qcow2 --snapshot second -- \
	-l snapshot.name=second
check "deleted snapshot: check finds nothing" dmlive image check a.qcow2
check_fails "a snapshot that is not there is refused" \
	dmlive image convert --snapshot nothing a.qcow2 got.raw

# Preallocation.
for mode in off metadata falloc full; do
	image_create -o "preallocation=$mode" a.qcow2 "$disk_size"
	image_io a.qcow2 "write -s pattern-a 1M 100k"
	same_content "preallocation=$mode" a.qcow2
	check "preallocation=$mode: check finds nothing" dmlive image check a.qcow2
done

# Refcounts of every width, lazy ones, bitmaps.
for bits in 1 2 4 8 16 32 64; do
	image_create -o "refcount_bits=$bits,cluster_size=4k" a.qcow2 "$disk_size"
	scribble a.qcow2
	both "refcounts of $bits bits" a.qcow2
	check "refcounts of $bits bits: check finds nothing" \
		dmlive image check a.qcow2
done
image_create -o lazy_refcounts=on,cluster_size=512 a.qcow2 "$disk_size"
qemu-img bitmap --add a.qcow2 one
qemu-img bitmap --add --disable -g 32k a.qcow2 two
scribble a.qcow2
both "bitmaps and lazy refcounts" a.qcow2
check "bitmaps: check finds nothing" dmlive image check a.qcow2
like "bitmaps are listed" "$(dmlive image info a.qcow2)" \
	"bitmap: 'one'.*auto.*bitmap: 'two', granularity 32768"

# Raw images, sparse and not.
both "raw image" source.raw
both "raw image with a tail of no whole sector" deep/base.raw
truncate -s 1G sparse.raw
dd if=pattern-a of=sparse.raw bs=64k seek=8000 conv=notrunc status=none
same_content "large sparse raw image" sparse.raw
is "its copy is sparse too" "$(($(stat -c %b got.raw) < 8192))" 1

# Extreme sizes.
for size in 0 512 65536 66048; do
	image_create a.qcow2 "$size"
	[ "$size" = 0 ] || image_io a.qcow2 "write -s pattern-a 0 512"
	same_content "size $size" a.qcow2
done
image_create big.qcow2 64T
image_io big.qcow2 "write -s pattern-a 63T 64k" "write -s pattern-b 0 64k"
same_map "64 TiB: map" big.qcow2
finish
