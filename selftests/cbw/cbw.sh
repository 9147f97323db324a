# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The library of the cbw tests, on top of lib/common.sh. The device under test is t, its
# origin is $origin, and v is a view of it. The file $REF gets the content of the origin
# at the point in time: it is copied while t is suspended.
#
# Sizes of tables and blocks are in 512-byte sectors, as in the table line.

. "$(dirname "$0")/../lib/common.sh"
require_target cbw cbw-snapshot
require_module null_blk

readonly T=/dev/mapper/t V=/dev/mapper/v REF=$TMP/reference

# make_painted MIB [SECTOR_BYTES [ATTRIBUTE=VALUE...]] - as make_disk, with random data.
make_painted()
{
	local disk
	disk=$(make_disk "$@") && viewcheck "$disk" - paint $RANDOM && echo "$disk"
}

# cbw_table SECTORS ORIGIN BLOCK [FEATURE_WORD...]
cbw_table()
{
	echo "0 $1 cbw $2 - $3 $(($# - 3)) ${*:4}"
}

# begin_session SECTORS ORIGIN BLOCK FEATURE_WORD... - begin a session on t, which is
# pass-through, and copy its content at that time to $REF.
begin_session()
{
	cbw_table "$@" | dmsetup reload t && dmsetup suspend t || bail "reload"
	dd if="$2" of="$REF" bs=1M iflag=direct,count_bytes count=$(($1 * 512)) \
		status=none || bail "reference"
	dmsetup resume t || bail "resume"
}

# make_view [NAME] - a view of t.
make_view()
{
	dm_create "${1:-v}" "0 $(sectors $T) cbw-snapshot $T"
}

# st NAME FIELD - a word of t's status: 1 session, 2 copied/scope, 3 block size,
# 4 job state, 5 job bytes, 6 cow writes, 7 source errors, 8 target errors, 9
# slots, 10 number of features.
st()
{
	dm_status t "$1"
}

st_is()
{
	[ "$(st "$1")" = "$2" ]
}

message()
{
	dmsetup message t 0 "$@"
}

# model OPTION... - run blkmodel on t.
model()
{
	blkmodel $T --block-size $((block * 512)) --seed "${SEED:-$RANDOM}" "$@"
}

# check_so DESCRIPTION COMMAND... - check() with the label.
check_so()
{
	check "${label:+$label: }$1" "${@:2}"
}

# ends DESCRIPTION COMMAND... - the command ends successfully, though something hangs.
ends()
{
	local pid
	"${@:2}" > "$TMP/out" 2>&1 &
	pid=$!
	on_exit stop_process $pid
	if wait_until has_ended $pid; then
		wait $pid
		result $? "${label:+$label: }$1"
	else
		not_ok "${label:+$label: }$1"
	fi
}

# same DESCRIPTION DEVICE - the device has the content of $REF.
same()
{
	check_so "$1" cmp -n "$(stat -c %s "$REF")" "$2" "$REF"
}

# events - the number of events that t has raised; events_above N - is it above N?
events()
{
	dmsetup info -c --noheadings -o events t
}

events_above()
{
	[ "$(events)" -gt "$1" ]
}

# Unmount $MNT. A process that was killed may still be ending.
unmount()
{
	! mountpoint -q "$MNT" || wait_until umount "$MNT"
}
