#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# dmlive reads the same data as qemu-img: with all cluster sizes, in both versions, plain
# and compressed with both methods.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"

make_source

# Cluster sizes, versions, compression.
for cluster in 512 1k 4k 64k 512k 2M; do
	for kind in 0.10 1.1 0.10:zlib 1.1:zlib 1.1:zstd; do
		compat=${kind%%:*} compress=()
		options=cluster_size=$cluster,compat=$compat
		case $kind in
		*:zlib) compress=(-c) ;;
		*:zstd) compress=(-c); options+=,compression_type=zstd ;;
		esac
		rm -f a.qcow2
		qemu-img convert -O qcow2 "${compress[@]}" -o "$options" \
			source.raw a.qcow2 || bail "qemu-img convert"
		name="clusters of $cluster, ${kind/:/, }"
		both "$name, as converted" a.qcow2
		scribble a.qcow2
		both "$name, written over" a.qcow2
		check "$name: check finds nothing" dmlive image check a.qcow2
	done
done
finish
