# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The library of the tests of the metadata device, on top of alloctrack.sh.

. "$(dirname "$0")/alloctrack.sh"
require_command dmlive qemu-img

# make_meta SECTORS BLOCK_SECTORS [dmlive meta format OPTION...] - a metadata
# device for a target of that size, on a disk that is just large enough.
make_meta()
{
	local file=$TMP/meta.new disk mib
	rm -f "$file"
	dmlive meta format "$file" --size $(($1 * 512)) --granularity $(($2 * 512)) \
		"${@:3}" >&2 || return 1
	mib=$((($(stat -c %s "$file") + 1048575) >> 20))
	disk=$(make_disk "$mib") && write_meta "$file" "$disk" && echo "$disk"
}

# write_meta FILE DEVICE, read_meta DEVICE FILE - write and read the device's content
# with direct I/O.
write_meta()
{
	local padded=$TMP/meta.padded
	cp "$1" "$padded" && truncate -s %4096 "$padded" &&
		dd if="$padded" of="$2" bs=64K oflag=direct conv=notrunc status=none
}

read_meta()
{
	dd if="$1" of="$2" bs=64K iflag=direct status=none
}

# meta_table SECTORS FILE BACKING META BLOCK [FEATURE_WORD...]
meta_table()
{
	echo "0 $1 alloctrack $2 $3 $4 $5 $(($# - 5)) ${*:6}"
}

# meta_create NAME SECTORS FILE BACKING META BLOCK [FEATURE_WORD...]
meta_create()
{
	dm_create "$1" "$(meta_table "${@:2}")" || bail "dmsetup create $1"
}

# flags_in FILE - the flags "in-use", "auto" and so on, as qemu-img reports them; on one
# line.
flags_in()
{
	qemu-img info -U --output=json "$1" |
		jq -r '.["format-specific"].data.bitmaps[]? |
			select(.name == "alloctrack") | .flags | sort | join(" ")'
}

# granularity_in FILE
granularity_in()
{
	qemu-img info -U --output=json "$1" |
		jq -r '.["format-specific"].data.bitmaps[]? |
			select(.name == "alloctrack") | .granularity'
}

# bits_by_dmlive FILE, bits_by_qemu FILE - "START LENGTH" in bytes of each run of
# set bits.
bits_by_dmlive()
{
	dmlive meta dump "$1" --bits alloctrack --json |
		jq -r '.[] | "\(.start) \(.length)"'
}

bits_by_qemu()
{
	local socket=$TMP/nbd
	rm -f "$socket"
	qemu-nbd -r -f qcow2 -B alloctrack -k "$socket" --fork "$1" >&2 || return 1
	qemu-img map --output=json --image-opts "driver=nbd,server.type=unix,\
server.path=$socket,x-dirty-bitmap=qemu:dirty-bitmap:alloctrack" |
		jq -r '.[] | select(.data | not) | "\(.start) \(.length)"'
	wait_until has_no_server
}

# qemu-nbd ends when its only client has gone.
has_no_server()
{
	! pgrep -x qemu-nbd
}

# is_sane DESCRIPTION FILE GRANULARITY_BYTES - QEMU and dmlive find no error in the image,
# and its bitmap is closed.
is_sane()
{
	check "$1: qemu-img check" qemu-img check -q "$2"
	check "$1: dmlive meta check" dmlive meta check "$2"
	is "$1: closed" "$(flags_in "$2")" auto
	is "$1: granularity" "$(granularity_in "$2")" "$3"
}

# bits_agree DESCRIPTION FILE - QEMU and dmlive read the same bits.
bits_agree()
{
	bits_by_dmlive "$2" > "$TMP/bits.dmlive"
	bits_by_qemu "$2" > "$TMP/bits.qemu"
	check "$1" cmp "$TMP/bits.dmlive" "$TMP/bits.qemu"
}

# nr_set FILE BLOCK_SECTORS - the number of blocks that are set.
nr_set()
{
	bits_by_dmlive "$1" | awk -v b=$(($2 * 512)) \
		'{ n += int(($2 + b - 1) / b) } END { print n + 0 }'
}

# nr_durable - how many blocks are allocated on the metadata device $meta_disk.
nr_durable()
{
	read_meta "$meta_disk" "$TMP/bits"
	nr_set "$TMP/bits" "$BLOCK"
}

# doubtful - does the status say that blocks are in doubt?
doubtful()
{
	[[ $(dmsetup status t) == *" doubtful" ]]
}
