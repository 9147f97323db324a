#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `dmlive meta prepare` turns an image with QEMU's bitmaps into a store. Bits, guest data
# and backing file stay, and QEMU finds no error. If it is killed at any of its writes,
# the image is as good as before, and the command can be repeated.

# shellcheck source=bitmap-lib.sh
. "$(dirname "$(realpath "$0")")/bitmap-lib.sh"
require_command strace

# with_bitmaps IMAGE SIZE [OPTION...] - bitmaps with a few bits and with none; most of
# their clusters are not allocated.
with_bitmaps()
{
	local image=$1 size=$2
	image_create "${@:3}" "$image" "$size"
	qemu-img bitmap --add -g 4K "$image" empty &&
		qemu-img bitmap --disable "$image" empty &&
		qemu-img bitmap --add -g 512 "$image" some || bail "qemu-img bitmap"
	image_io "$image" "write -P 1 0 4k" "write -P 2 5M 300k" \
		"write -P 3 $((size - 512)) 512"
	qemu-img bitmap --disable "$image" some &&
		qemu-img bitmap --add -g 64K "$image" alloctrack || bail "qemu-img bitmap"
	image_io "$image" "write -P 4 1M 64k"
}

is_prepared()
{
	dmlive meta dump --json "$1" | jq -e .prepared
}

# is_as_before NAME IMAGE STATUSES - the image is as before; STATUSES are the allowed ones
# of qemu-img check.
is_as_before()
{
	local status b
	qemu-img check -q "$2" > check.log 2>&1
	status=$?
	if ! [[ " $3 " == *" $status "* ]]; then
		diag "$(cat check.log)"
		not_ok "$1: qemu-img check: $status"
	fi
	for b in empty some alloctrack; do
		[ "$(bits "$2" $b)" = "$(< "before.$b")" ] ||
			not_ok "$1: bits of $b"
	done
	qemu-img compare -q "$2" before.qcow2 || not_ok "$1: guest data"
}

remember()
{
	local b
	cp "$1" before.qcow2
	for b in empty some alloctrack; do bits "$1" $b > before.$b; done
}

# prepares NAME IMAGE
prepares()
{
	remember "$2"
	check "$1: is not a store" eval "! is_prepared $2"
	check "$1: prepare" dmlive meta prepare "$2"
	check "$1: is a store" is_prepared "$2"
	is_as_before "$1" "$2" 0
	check "$1: dmlive meta check" dmlive meta check "$2"
	cp "$2" again.qcow2
	check "$1: once more" dmlive meta prepare again.qcow2
	check "$1: which changes nothing" cmp "$2" again.qcow2
	is "$1: flags" "$(qemu-img info --output=json "$2" | jq -r '[."format-specific".data.bitmaps[] |
		"\(.name) \(.flags | join(" "))"] | join(", ")')" \
		"empty , some , alloctrack auto"
}

for cluster in 512 4k 64k 2M; do
	with_bitmaps i-$cluster.qcow2 $((2 << 30)) -o cluster_size=$cluster
	prepares "clusters of $cluster" i-$cluster.qcow2
done
for width in 1 2 8 64; do
	with_bitmaps w-$width.qcow2 $((2 << 30)) -o cluster_size=4k,refcount_bits=$width
	prepares "refcounts of $width bits" w-$width.qcow2
done
image_create base.qcow2 1G
image_io base.qcow2 "write -s pattern-a 0 2M"
with_bitmaps backed.qcow2 $((1 << 30)) -b "$TMP/base.qcow2" -F qcow2 -o cluster_size=64k
prepares "a backing file" backed.qcow2
is "its name" "$(qemu-img info --output=json backed.qcow2 | jq -r '."backing-filename"')" \
	"$TMP/base.qcow2"

# QEMU has written to a store: bits were moved, the header was rewritten.
image_io i-64k.qcow2 "write -P 9 50M 3M"
remember i-64k.qcow2
check "a store that QEMU has written" dmlive meta prepare i-64k.qcow2
is_as_before "a store that QEMU has written" i-64k.qcow2 0

# All ones without a cluster: bits beyond the end stay clear.
with_bitmaps ones.qcow2 $(((64 << 20) - 512)) -o cluster_size=4k
poke ones.qcow2 "$(peek ones.qcow2 "$(directory ones.qcow2)")" "$(hex64 1)"
remember ones.qcow2
is "all ones" "$(< before.empty)" "0 67108352"
check "all ones: prepare" dmlive meta prepare ones.qcow2
is_as_before "all ones" ones.qcow2 "0 3"

# Killed at each write.
with_bitmaps killed.qcow2 $((64 << 20)) -o cluster_size=512 -b "$TMP/base.qcow2" -F qcow2
remember killed.qcow2
cp killed.qcow2 unprepared.qcow2
strace -f -o strace.log -e trace=pwrite64 dmlive meta prepare killed.qcow2
nr=$(grep -c pwrite64 strace.log)
is_as_before "not killed" killed.qcow2 0
check "there are writes to be killed at" [ "$nr" -gt 30 ]
n=1
while [ $n -le "$nr" ]; do
	cp unprepared.qcow2 killed.qcow2
	{ strace -f -o strace.log -e trace=pwrite64 -e "inject=pwrite64:signal=KILL:when=$n" \
		dmlive meta prepare killed.qcow2; } > strace.out 2>&1 &&
		not_ok "not killed at write $n of $nr"
	is_as_before "killed at write $n of $nr" killed.qcow2 "0 3"
	dmlive meta prepare killed.qcow2 > again.log 2>&1 ||
		not_ok "killed at write $n of $nr, again: $(cat again.log)"
	is_as_before "killed at write $n of $nr, again" killed.qcow2 "0 3"
	# All of the last ones, which change the header.
	step=$((n / 4))
	[ $((n + step)) -lt $((nr - 8)) ] || step=$((nr - 8 - n))
	n=$((n + (step > 0 ? step : 1)))
done
ok "killed at any write"

# refused NAME REGEX STATUS IMAGE
refused()
{
	local output status
	cp "$4" unchanged
	output=$(dmlive meta prepare "$4" 2>&1)
	status=$?
	is "$1: status" $status "$3"
	like "$1: says why" "$output" "$2"
	check "$1: and changes nothing" cmp "$4" unchanged
}

image_create none.qcow2 64M
refused "no bitmaps" "no bitmaps.*dmlive bitmap add" 3 none.qcow2
refused "not an image" "not a qcow2" 1 pattern-a
with_bitmaps used.qcow2 $((64 << 20))
poke used.qcow2 $(($(directory used.qcow2) + 12)) 00000003
refused "a bitmap that was not closed" "'empty' is in use or was not closed" 3 used.qcow2
with_bitmaps lost.qcow2 $((64 << 20))
poke lost.qcow2 88 "$(hex64 0)"
refused "bitmaps that are out of date" "out of date" 3 lost.qcow2
with_bitmaps broken.qcow2 $((64 << 20))
rt=$(peek broken.qcow2 48)
poke broken.qcow2 "$(peek broken.qcow2 "$rt")" 0000
refused "an image with errors" "has errors.*qemu-img check -r" 3 broken.qcow2
finish
