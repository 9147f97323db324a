# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of the image reader, which need neither root nor a VM, but can also run in a
# VM. Images are made by qemu-img and qemu-io in $TMP, and their guest content is compared
# with what qemu-img reads.

set -u
here=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
CHECKOUT=$(realpath "$here/../..")
PATH=$CHECKOUT/build/tools:$PATH
export LC_ALL=C
TMP=$(mktemp -d "${TMPDIR:-/tmp}/image-test.XXXXXX")

# shellcheck source=../lib/tap.sh
. "$here/../lib/tap.sh"

require_command dmlive qemu-img qemu-io cmp awk
cd "$TMP" || exit 1

# numbered_file FILE BYTES WORD - text in which every 64 bytes differ.
numbered_file()
{
	awk -v n="$(($2 / 64 + 1))" -v w="$3" 'BEGIN {
		for (i = 0; i < n; i++)
			printf "%-10.10s %051d\n", w, i
	}' | head -c "$2" > "$1"
	truncate -s "$2" "$1"
}

# The data for all images: 512-byte blocks that all differ.
numbered_file pattern-a 2097152 alpha
numbered_file pattern-b 1048576 beta

# image_io IMAGE COMMAND... - run qemu-io quietly; the test ends if it fails.
image_io()
{
	local image=$1 c args=()
	shift
	for c; do args+=(-c "$c"); done
	if ! qemu-io "${args[@]}" "$image" > qemu-io.log 2>&1 ||
			grep -qiE 'failed|error' qemu-io.log; then
		bail "qemu-io $image: $(cat qemu-io.log)"
	fi
}

image_create()
{
	qemu-img create -q -f qcow2 "$@" > qemu-img.log 2>&1 ||
		bail "qemu-img create $*: $(cat qemu-img.log)"
}

# same_content NAME IMAGE [dmlive's options --] [qemu-img's options] - both read the same
# bytes.
same_content()
{
	local name=$1 image=$2 ours=()
	shift 2
	while [ $# -gt 0 ] && [ "$1" != -- ]; do ours+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	if ! qemu-img convert -O raw "$@" "$image" wanted.raw 2> qemu-img.log; then
		diag "qemu-img: $(cat qemu-img.log)"
		not_ok "$name"
		return
	fi
	rm -f got.raw
	if ! dmlive image convert --allow-paths --threads 3 "${ours[@]}" "$image" got.raw \
			> dmlive.log 2>&1; then
		diag "$(cat dmlive.log)"
		not_ok "$name: it is readable"
	elif ! cmp got.raw wanted.raw > cmp.log 2>&1; then
		diag "$(cat cmp.log)"
		not_ok "$name: the content is qemu-img's"
	else
		ok "$name"
	fi
}

# extents - read the JSON of a map, ours or qemu-img's, and print its extents in a normal
# form: neighbours are merged, and layers only distinguished for data.
extents()
{
	tr -d ' []{}"' | awk -F, '
	function field(name,   i, a) {
		for (i = 1; i <= NF; i++) {
			split($i, a, ":")
			if (a[1] == name)
				return a[2]
		}
		return ""
	}
	function flush() {
		if (length_ > 0)
			print start, length_, kind, (offset == "" ? "-" : offset)
	}
	NF > 3 {
		s = field("start"); l = field("length"); o = field("offset")
		k = field("zero") == "true" ? "zero" : "data:" field("depth")
		if (k == "zero")
			o = ""
		if (k == kind && s == start + length_ &&
		    (o == "" ? offset == "" : o == offset + length_)) {
			length_ += l
			next
		}
		flush()
		start = s; length_ = l; kind = k; offset = o
	}
	END { flush() }'
}

# same_map NAME IMAGE - dmlive and qemu-img report the same extents.
same_map()
{
	if ! dmlive image map --json "$2" > dmlive.map 2> dmlive.log; then
		diag "$(cat dmlive.log)"
		not_ok "$1"
		return
	fi
	qemu-img map --output=json "$2" > qemu-img.map 2> qemu-img.log ||
		bail "qemu-img map: $(cat qemu-img.log)"
	check "$1" diff -u <(extents < qemu-img.map) <(extents < dmlive.map)
}

# poke FILE OFFSET HEX - overwrite bytes.
poke()
{
	local hex=$3 text=
	while [ -n "$hex" ]; do
		text+="\\x${hex:0:2}"
		hex=${hex:2}
	done
	# shellcheck disable=SC2059 # the text is the format
	printf "$text" | dd of="$1" bs=1 seek="$(($2))" conv=notrunc status=none
}

# peek FILE OFFSET - print a big-endian 64-bit number in decimal.
peek()
{
	echo $((0x$(od -An -tx1 -j "$(($2))" -N 8 "$1" | tr -d ' \n')))
}

# hex64 NUMBER - its big-endian bytes.
hex64()
{
	printf '%016x' "$(($1))"
}

# The source for both matrices: source.raw has data, holes and unique blocks.
# shellcheck disable=SC2034 # for the tests
disk_size=$((5 * 1048576 + 3 * 512))	# no multiple of any cluster size

make_source()
{
	cp pattern-a source.raw
	truncate -s $((3 << 20)) source.raw
	cat pattern-b >> source.raw
	truncate -s "$disk_size" source.raw
}

# scribble IMAGE COMMAND... - writes of many kinds, some unaligned, some overlapping.
scribble()
{
	image_io "$1" \
		"write -s pattern-b 3M 1M" \
		"write -s pattern-a 12800 66048" \
		"write -s pattern-b 1000k 3584" \
		"write -s pattern-a 2033664 131072" \
		"${@:2}" \
		"write -s pattern-b $((disk_size - 1536)) 1536" \
		"write -z 512k 256k" \
		"write -z 2000k 1536" \
		"write -z -u 1536k 192k" \
		"discard 64k 128k" \
		"write -s pattern-a 600k 1024"
}

# both NAME IMAGE - compare content and map.
both()
{
	same_content "$@"
	same_map "$1: map" "$2"
}
