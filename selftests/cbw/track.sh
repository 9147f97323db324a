# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The library of the change tracking tests, on top of cbw.sh. The metadata device is
# $meta; read_meta copies its content to $TMP/meta.

. "$(dirname "$0")/cbw.sh"
require_command dmlive qemu-img

# make_meta SECTORS BITMAP... - a metadata device on a disk of its own, with these
# bitmaps (as for dmlive meta format --bitmap). $TMP/meta.new has the same content.
make_meta()
{
	local file=$TMP/meta.new disk mib bitmap options=()
	rm -f "$file"
	for bitmap in "${@:2}"; do
		options+=(--bitmap "$bitmap")
	done
	dmlive meta format "$file" --size $(($1 * 512)) --granularity 64K \
		"${options[@]}" >&2 ||
		return 1
	mib=$((($(stat -c %s "$file") + 1048575) >> 20))
	disk=$(make_disk "$mib") && write_meta "$file" "$disk" && echo "$disk"
}

# write_meta FILE DEVICE, read_meta [DEVICE [FILE]] - with direct I/O.
write_meta()
{
	dd if="$1" of="$2" bs=64K oflag=direct conv=notrunc status=none
}

read_meta()
{
	dd if="${1:-$meta}" of="${2:-$TMP/meta}" bs=64K iflag=direct status=none
}

# track_table SECTORS ORIGIN META BLOCK [FEATURE_WORD...]
track_table()
{
	echo "0 $1 cbw $2 $3 $4 $(($# - 4)) ${*:5}"
}

# tracking NAME|FIELD... - words of t's status after the features: state, regions,
# recovered, count; for a bitmap its state and its number of set bits.
tracking()
{
	dm_status t | awk -v want="$1" '{
		n = 10 + $10 + 1
		f["state"] = $n; f["regions"] = $(n + 1)
		f["recovered"] = $(n + 2); f["count"] = $(n + 3)
		for (i = n + 4; i < NF; i += 5)
			f[$i] = $(i + 2) " " $(i + 3)
		print f[want]
	}'
}

tracking_is()
{
	[ "$(tracking "$1")" = "$2" ]
}

# flags_of NAME [FILE] - as qemu-img reports them, on one line.
flags_of()
{
	qemu-img info -U --output=json "${2:-$TMP/meta}" |
		jq -r --arg n "$1" '.["format-specific"].data.bitmaps[]? |
			select(.name == $n) | .flags | sort | join(" ")'
}

# bits_of NAME [FILE] - "START LENGTH" in bytes of each run of set bits, on disk.
bits_of()
{
	dmlive meta dump "${2:-$TMP/meta}" --bits "$1" --json |
		jq -r '.[] | "\(.start) \(.length)"'
}

# is_sane DESCRIPTION - QEMU and dmlive find no error in $TMP/meta.
is_sane()
{
	check_so "$1: qemu-img check" qemu-img check -q "$TMP/meta"
	check_so "$1: dmlive meta check" dmlive meta check "$TMP/meta"
}

# generation BITMAP - from the status.
generation()
{
	dm_status t | tr ' ' '\n' | grep -A 4 -x "$1" | tail -n 1
}

# bitmap_refused DESCRIPTION REGEX ARGUMENT... - "dmlive bitmap" ends with status 3, and
# its message matches.
bitmap_refused()
{
	local output status
	output=$(dmlive bitmap "${@:3}" 2>&1)
	status=$?
	is "$1: status" $status 3
	like "$1: says why" "$output" "$2"
}
