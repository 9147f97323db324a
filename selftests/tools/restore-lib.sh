# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of `dmlive restore` in a machine. Images are made in $TMP, in memory.

# shellcheck source=../lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
require_target alloctrack
require_command dmlive qemu-img qemu-io jq cmp
cd "$TMP" || exit 1
out=$TMP/out err=$TMP/err

# image_io IMAGE COMMAND... - run qemu-io quietly.
image_io()
{
	local image=$1 c args=()
	shift
	for c; do args+=(-c "$c"); done
	qemu-io "${args[@]}" "$image" > "$TMP/qemu-io.log" 2>&1 ||
		bail "qemu-io $image: $(cat "$TMP/qemu-io.log")"
}

# random_raw FILE MIB - a raw file with random data, zeros and patterns, with unaligned
# ends.
random_raw()
{
	truncate -s "$2M" "$1"
	local mib offset
	for ((mib = 0; mib < $2; mib += 4)); do
		offset=$((mib * 1048576 + (mib * 7919 % 1024) * 512))
		dd if=/dev/urandom of="$1" bs=64k count=20 conv=notrunc \
			oflag=seek_bytes seek=$offset status=none
		dd if="$LIB/../tools/restore-lib.sh" of="$1" bs=512 count=3 \
			conv=notrunc oflag=seek_bytes seek=$((offset + 2097152)) \
			status=none
	done
	truncate -s "$2M" "$1"
}

# make_image FILE MIB - a compressed qcow2 image, and its content in FILE.raw.
make_image()
{
	random_raw "$1.raw" "$2"
	qemu-img convert -q -f raw -O qcow2 -c "$1.raw" "$1" || bail "qemu-img convert"
}

# soil DEVICE - fill it with old data of a previous owner.
soil()
{
	local bytes
	bytes=$(blockdev --getsize64 "$1")
	[ "$(stat -c %s dirt 2>/dev/null)" = "$bytes" ] ||
		head -c "$bytes" /dev/zero | tr '\0' '\356' > dirt
	dd if=dirt of="$1" bs=1M oflag=direct status=none
}

# start_restore IMAGE DEVICE NAME [OPTION...] - with --background; the device can be used
# when this returns.
start_restore()
{
	on_exit end_restore "$3"
	dmlive restore "$1" "$2" --name "$3" --background "${@:4}" > "$out" 2> "$err"
}

# end_restore NAME - remove all that is left of it.
end_restore()
{
	local pid
	pid=$(server_of "$1")
	dm_remove "$1" || dmsetup remove --force "$1"
	[ -z "$pid" ] || wait_until is_gone "$pid" || kill -KILL "$pid"
	rm -f "/run/dmlive/$1".*
}

# server_of NAME - the process that serves it; empty if there is none.
server_of()
{
	dmlive status "$1" --json 2>/dev/null | jq -r '.server // empty'
}

is_gone()
{
	! kill -0 "$1" 2>/dev/null
}

# state_of NAME, allocated_of NAME - from dmlive status.
state_of()
{
	dmlive status "$1" --json 2>/dev/null | jq -r .state
}

allocated_of()
{
	dmlive status "$1" --json | jq -r .allocated_bytes
}

has_state()
{
	[ "$(state_of "$1")" = "$2" ]
}

is_linear()
{
	[ "$(dm_target "$1")" = linear ]
}

# run STATUS DESCRIPTION COMMAND... - the command ends with this status. Its output is in
# the files $out and $err.
run()
{
	local status
	"${@:3}" > "$out" 2> "$err" < /dev/null
	status=$?
	[ $status -eq "$1" ] || diag "$(cat "$out" "$err")"
	is "$2" $status "$1"
}

# says DESCRIPTION REGEX - the messages of the last run match.
says()
{
	like "$1" "$(cat "$err")" "$2"
}

# same DESCRIPTION DEVICE FILE - the device has all of FILE's content.
same()
{
	check "$1" cmp -n "$(stat -c %s "$3")" "$3" "$2"
}
