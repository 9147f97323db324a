#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `dmlive bitmap` is killed at each of its writes. The bitmaps and their bits are those of
# before or those of after, QEMU accepts the image, which may have leaked clusters at
# worst, and the same command works when it is repeated.

# shellcheck source=bitmap-lib.sh
. "$(dirname "$(realpath "$0")")/bitmap-lib.sh"
require_command strace

# state IMAGE - the bitmaps of an image and their bits, in any order.
state()
{
	listed "$1"
	dumped "$1" one 2>/dev/null
	dumped "$1" two 2>/dev/null
}

# one_of NAME STATUSES - killed.qcow2 is as before or as after; STATUSES are the allowed
# ones of qemu-img check.
one_of()
{
	local status now
	qemu-img check -q killed.qcow2 > check.log 2>&1
	status=$?
	[[ " $2 " == *" $status "* ]] ||
		not_ok "$1: qemu-img check: $status: $(cat check.log)"
	now=$(state killed.qcow2)
	[ "$now" = "$before" ] || [ "$now" = "$after" ] ||
		not_ok "$1: neither as before nor as after: $now"
}

# lost NAME - or QEMU takes all bitmaps for out of date, as it does after its own crash.
lost()
{
	[ "$(peek killed.qcow2 88)" = 0 ]
}

# killed NAME IMAGE WORD... - `dmlive bitmap WORD... killed.qcow2 ...` on copies. With
# $may_lose all bitmaps may be out of date, while the autoclear bit is clear.
killed()
{
	local name=$1 image=$2 verb=$3 n nr again
	shift 3
	before=$(state "$image")
	cp "$image" killed.qcow2
	strace -f -o strace.log -e trace=pwrite64 dmlive bitmap "$verb" killed.qcow2 "$@" ||
		not_ok "$name: not killed"
	nr=$(grep -c pwrite64 strace.log)
	after=$(state killed.qcow2)
	check "$name: it changes something" [ "$before" != "$after" ]
	for ((n = 1; n <= nr; n++)); do
		cp "$image" killed.qcow2
		{ strace -f -o strace.log -e trace=pwrite64 \
			-e "inject=pwrite64:signal=KILL:when=$n" \
			dmlive bitmap "$verb" killed.qcow2 "$@"; } > strace.out 2>&1 &&
			not_ok "$name: not killed at write $n of $nr"
		if [ -n "${may_lose:-}" ] && lost; then
			losses=$((losses + 1))
			qemu-img check -q -r leaks killed.qcow2 > check.log 2>&1 ||
				not_ok "$name: write $n: qemu-img check: $(cat check.log)"
			continue
		fi
		one_of "$name: killed at write $n of $nr" "0 3"
		[ $((n % 3)) = 1 ] || continue
		[ "$(state killed.qcow2)" != "$after" ] || continue
		again=$(dmlive bitmap "$verb" killed.qcow2 "$@" 2>&1) ||
			not_ok "$name: killed at write $n of $nr, again: $again"
		[ "$(state killed.qcow2)" = "$after" ] ||
			not_ok "$name: killed at write $n of $nr, again: another result"
	done
	ok "$name: killed at each of $nr writes"
}

image_create -o cluster_size=4k image.qcow2 64M
cp image.qcow2 empty.qcow2
for b in one two three; do
	dmlive bitmap add image.qcow2 $b --granularity 64K || bail "dmlive bitmap add"
done
image_io image.qcow2 "write 1M 192k"
dmlive bitmap clear image.qcow2 two || bail "dmlive bitmap clear"
cp image.qcow2 store.qcow2
dmlive meta prepare store.qcow2 || bail "dmlive meta prepare"

killed "add" image.qcow2 add four
killed "add to a store" store.qcow2 add four --granularity 512
killed "remove the first" image.qcow2 remove one
killed "remove the last" store.qcow2 remove three
killed "disable" store.qcow2 disable one
killed "merge" store.qcow2 merge two one
killed "clear" store.qcow2 clear one

# Unknown autoclear bits stand for data that may be wrong after any change.
cp image.qcow2 unknown.qcow2
poke unknown.qcow2 88 8000000000000001
for args in "add four" "disable one" "clear one" "remove two"; do
	read -ra words <<< "$args"
	cp unknown.qcow2 killed.qcow2
	{ strace -f -o strace.log -e trace=pwrite64,fsync,fdatasync \
		-e "inject=pwrite64:signal=KILL:when=2" \
		dmlive bitmap "${words[0]}" killed.qcow2 "${words[1]}"; } > strace.out 2>&1 &&
		not_ok "$args: not killed"
	is "$args: unknown autoclear bits are cleared first" "$(peek killed.qcow2 88)" 1
	is "$args: durably" "$(grep -oE 'pwrite64|fsync|fdatasync' strace.log | sed 's/fdata/f/' |
		head -n 3 | tr '\n' ' ')" "pwrite64 fsync pwrite64 "
done
cp unknown.qcow2 killed.qcow2
dmlive bitmap add killed.qcow2 one 2> /dev/null && not_ok "a name that is there"
check "a refused command clears none" cmp killed.qcow2 unknown.qcow2

# The only bitmap is added and removed: for a moment it does not count.
losses=0 may_lose=1
before='' after=''
killed "add the first" empty.qcow2 add one
dmlive bitmap add empty.qcow2 one || bail "dmlive bitmap add"
killed "remove the only one" empty.qcow2 remove one

# The bitmaps extension crosses a sector boundary, as in QEMU's order of extensions.
dmlive meta format split.qcow2 --size 64M --granularity 64K --bitmap one:auto --bitmap two ||
	bail "dmlive meta format"
extension=$(od -An -v -tx1 -j 128 -N 40 split.qcow2 | tr -d ' \n')
poke split.qcow2 128 "12345678$(printf '%08x' 352)"
poke split.qcow2 488 "$extension"
check "the extension crosses a sector boundary" dmlive meta check split.qcow2
losses=0
killed "add in QEMU's order" split.qcow2 add four
killed "remove in QEMU's order" split.qcow2 remove two
check "there was a moment at which bitmaps do not count" [ $losses -ge 2 ]
finish
