# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of images with bitmaps. Like those of image-lib.sh they need no root and no VM.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/image-lib.sh"
require_command qemu-nbd jq

# directory IMAGE - the offset of the bitmap directory.
directory()
{
	local extension
	extension=$(grep -obUaP '\x23\x85\x28\x75' "$1" | head -n 1 | cut -d: -f1)
	peek "$1" $((extension + 24))
}

# bits IMAGE BITMAP - "START LENGTH" of each run of set bits, as QEMU reads them.
bits()
{
	local socket=$TMP/nbd.$BASHPID
	qemu-nbd -r -f qcow2 -B "$2" -k "$socket" --fork --pid-file="$socket.pid" "$1" \
		> nbd.log 2>&1 || bail "qemu-nbd: $(cat nbd.log)"
	qemu-img map --output=json --image-opts "driver=nbd,server.type=unix,\
server.path=$socket,x-dirty-bitmap=qemu:dirty-bitmap:$2" > map.json ||
		bail "qemu-img map"
	jq -r '.[] | select(.data | not) | "\(.start) \(.length)"' map.json
	# It ends with its client, and has the image locked until then.
	wait_until has_ended "$(< "$socket.pid")" || bail "qemu-nbd does not end"
}

# dumped IMAGE BITMAP [OPTION...] - the same, as dmlive reads them.
dumped()
{
	dmlive bitmap dump --json "$@" |
		sed -n 's/.*"start": \([0-9]*\), "length": \([0-9]*\) .*/\1 \2/p'
}

# listed IMAGE - the bitmaps, one a line, in any order. Without jq, which takes longer to
# start than all the rest of a test that calls this often.
listed()
{
	dmlive bitmap list --json "$1" | tr -d '\n []' | sed 's/},{"name"/}\n{"name"/g' | sort
}

# bitmaps IMAGE - "NAME GRANULARITY FLAGS" of each bitmap, as QEMU reads them.
bitmaps()
{
	qemu-img info --output=json "$1" | jq -r '[."format-specific".data.bitmaps // [] |
		.[] | "\(.name) \(.granularity) \(.flags | join(" "))"] | sort | join(", ")'
}

# flags_at IMAGE N - the offset of the flags of the Nth directory entry. All names must
# have one to eight bytes.
flags_at()
{
	echo $(($(directory "$1") + 32 * $2 + 12))
}

# name_hash NAME - FNV-1a, as 16 hexadecimal digits.
name_hash()
{
	local hash=$((0xcbf29ce484222325)) i
	for ((i = 0; i < ${#1}; i++)); do
		hash=$(((hash ^ $(printf '%d' "'${1:i:1}")) * 0x100000001b3))
	done
	printf '%016x' $hash
}

# crc32c FILE OFFSET BYTES - as 8 hexadecimal digits.
crc32c()
{
	local crc=$((0xffffffff)) byte i
	for byte in $(od -An -v -tu1 -j "$2" -N "$3" "$1"); do
		crc=$((crc ^ byte))
		for i in 1 2 3 4 5 6 7 8; do
			crc=$((crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1))
		done
	done
	printf '%08x' $((crc ^ 0xffffffff))
}

# give_generations STORE NAME... - give the Nth bitmap generation N. The store was made
# by dmlive meta format --track, with the generations at byte 512.
give_generations()
{
	local store=$1 n=0 name
	shift
	for name; do
		poke "$store" $((512 + 32 + 16 * n)) "$(name_hash "$name")$(hex64 $((n + 1)))"
		n=$((n + 1))
	done
	poke "$store" $((512 + 24)) "$(printf '%08x' $n)"
	poke "$store" $((512 + 508)) "$(crc32c "$store" 512 508)"
}

# generations STORE - "NAME=N" of all bitmaps that have one.
generations()
{
	dmlive bitmap list --json "$1" | jq -r '[.[] | select(.generation > 0) |
		"\(.name)=\(.generation)"] | join(" ")'
}
