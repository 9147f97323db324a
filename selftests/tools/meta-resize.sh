#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `dmlive meta resize` makes a store one for a volume of another size: the bits stay, what
# is new is set, QEMU finds nothing wrong, and at whatever write it is killed the store is the
# old or the new one.

# shellcheck source=bitmap-lib.sh
. "$(dirname "$(realpath "$0")")/bitmap-lib.sh"
require_command strace

readonly KIB=1024 MIB=$((1 << 20)) GIB=$((1 << 30))

# state STORE: all that may change.
state()
{
	local b
	dmlive meta dump --json "$1" | grep -E '^  "(size|consistent|uuid|prepared)":'
	listed "$1"
	for b in one two dmlive-intent dmlive-spare-1; do
		echo "$b: $(dumped "$1" $b | xargs)"
	done
}

# sound NAME STORE
sound()
{
	check "$1: qemu-img check" qemu-img check -q "$2"
	check "$1: dmlive meta check" dmlive meta check "$2"
	is "$1: QEMU sees the same bits" "$(bits "$2" two)" "$(dumped "$2" two)"
}

# make_store FILE SIZE [OPTION...]: with bits at 1 MiB in one, and at 2 MiB in two.
make_store()
{
	local b
	rm -f "$1" bits.qcow2
	dmlive meta format "$1" --track --bitmap one --bitmap two --size "$2" "${@:3}" ||
		bail "meta format"
	image_create bits.qcow2 "$2"
	for b in one two; do
		qemu-img bitmap --add -g 64K bits.qcow2 $b || bail "qemu-img bitmap"
		image_io bits.qcow2 "write $([ $b = one ] && echo 1M || echo 2M) 64k"
		qemu-img bitmap --disable bits.qcow2 $b || bail "qemu-img bitmap"
	done
	for b in one two; do
		dmlive bitmap merge "$1" $b $b --source-file bits.qcow2 > /dev/null ||
			bail "merge"
	done
}

# resizes NAME OLD NEW BITS [OPTION...]: then both have BITS beside their own.
resizes()
{
	local before
	make_store s.qcow2 "$2" "${@:5}"
	before=$(dmlive meta dump --json s.qcow2 | jq -c .uuid)
	check "$1" dmlive meta resize s.qcow2 --size "$3"
	is "$1: size" "$(dmlive meta dump --json s.qcow2 | jq .size)" "$3"
	is "$1: UUID" "$(dmlive meta dump --json s.qcow2 | jq -c .uuid)" "$before"
	is "$1: bits of one" "$(dumped s.qcow2 one)" "$MIB 65536${4:+
$4}"
	is "$1: bits of two" "$(dumped s.qcow2 two)" "$((2 * MIB)) 65536${4:+
$4}"
	is "$1: none in the intent bitmap" "$(dumped s.qcow2 dmlive-intent)" ""
	case ${5:-} in
	'')	is "$1: none in spare ones" "$(dumped s.qcow2 dmlive-spare-1)" "" ;;
	esac
	sound "$1" s.qcow2
	cp s.qcow2 again.qcow2
	check "$1: the same once more" dmlive meta resize again.qcow2 --size "$3"
	check "$1: changes nothing" cmp s.qcow2 again.qcow2
}

resizes "within a cluster of bits" $((64 * MIB)) $((100 * MIB)) "$((64 * MIB)) $((36 * MIB))"
resizes "a part of a block" $((64 * MIB + 4 * KIB)) $((100 * MIB + 512)) \
	"$((64 * MIB)) $((36 * MIB + 512))"
resizes "within a block" $((64 * MIB + 4 * KIB)) $((64 * MIB + 8 * KIB)) "$((64 * MIB)) 8192"
resizes "more clusters of bits" $((64 * MIB)) $((70 * GIB)) \
	"$((64 * MIB)) $((70 * GIB - 64 * MIB))"
resizes "from the end of a cluster" $((32 * GIB)) $((33 * GIB)) "$((32 * GIB)) $GIB"
# Two clusters of the L1 table.
resizes "terabytes" $((64 * MIB)) $((6 << 40)) "$((64 * MIB)) $(((6 << 40) - 64 * MIB))" \
	--granularity 64K --spare 0 2> /dev/null || true
resizes "smaller" $((70 * GIB)) $((40 * MIB)) ""
resizes "smaller, a part of a block" $((70 * GIB)) $((40 * MIB + 512)) ""
make_store s.qcow2 $((70 * GIB))
check "smaller and larger: smaller" dmlive meta resize s.qcow2 --size 1114112
is "smaller and larger: what is past the end is gone" "$(dumped s.qcow2 two)" ""
check "smaller and larger: larger" dmlive meta resize s.qcow2 --size 4M
is "smaller and larger: it is set again" "$(dumped s.qcow2 two)" "1114112 3080192"
sound "smaller and larger" s.qcow2

# A disabled bitmap grows as well.
make_store s.qcow2 $((64 * MIB))
dmlive bitmap disable s.qcow2 two > /dev/null || bail "disable"
check "disabled" dmlive meta resize s.qcow2 --size 65M
is "disabled: it stays so" "$(bitmaps s.qcow2 | grep -o 'two [0-9]* [^,]*')" "two 65536 "

# Killed at each write.
# killed NAME OLD NEW
killed()
{
	local name=$1 before after nr n status now
	make_store store.qcow2 "$2"
	before=$(state store.qcow2)
	cp store.qcow2 killed.qcow2
	strace -f -o strace.log -e trace=pwrite64 dmlive meta resize killed.qcow2 --size "$3" ||
		not_ok "$name: resize"
	nr=$(grep -c pwrite64 strace.log)
	after=$(state killed.qcow2)
	for ((n = 1; n <= nr; n++)); do
		cp store.qcow2 killed.qcow2
		{ strace -f -o strace.log -e trace=pwrite64 \
			-e "inject=pwrite64:signal=KILL:when=$n" \
			dmlive meta resize killed.qcow2 --size "$3"; } > strace.out 2>&1 &&
			not_ok "$name: not killed at write $n of $nr"
		qemu-img check -q killed.qcow2 > check.log 2>&1
		status=$?
		[[ $status == [03] ]] ||
			not_ok "$name: write $n: qemu-img check: $status: $(cat check.log)"
		now=$(state killed.qcow2)
		[ "$now" = "$before" ] || [ "$now" = "$after" ] ||
			not_ok "$name: killed at write $n of $nr: neither old nor new: $now"
		dmlive meta resize killed.qcow2 --size "$3" > again.log 2>&1 &&
			[ "$(state killed.qcow2)" = "$after" ] ||
			not_ok "$name: killed at write $n of $nr, again: $(cat again.log)"
	done
	check "$name: it writes" [ "$nr" -gt 5 ]
	ok "$name: killed at each of $nr writes"
}
killed "larger, killed" $((64 * MIB)) $((70 * GIB))
killed "smaller, killed" $((70 * GIB)) $((64 * MIB))

# refused NAME REGEX FILE SIZE
refused()
{
	local output status
	cp "$3" unchanged
	output=$(dmlive meta resize "$3" --size "$4" 2>&1)
	status=$?
	is "$1: status" $status 3
	like "$1: says why" "$output" "$2"
	check "$1: changes nothing" cmp "$3" unchanged
}
make_store s.qcow2 $((64 * MIB))
refused "not a multiple of a sector" "multiple of 512" s.qcow2 67108865
refused "a bitmap that QEMU does not read" "larger than 512 MiB" s.qcow2 $((512 << 40))
dmlive meta format r.qcow2 --size 64M --granularity 64K || bail "meta format"
refused "a store of a restore" "not a store for the tracking" r.qcow2 80M
is "no size, and no volume" "$(dmlive meta resize s.qcow2 2>&1; echo $?)" \
	"dmlive: s.qcow2: its volume is not known, or not active: give its size: --size N
2"
finish
