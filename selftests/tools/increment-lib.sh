# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of `dmlive backup --bitmap`, on top of backup-lib.sh. A tracked guest is a cbw
# device with a metadata device.

# shellcheck source=backup-lib.sh
. "$(dirname "$0")/backup-lib.sh"

declare -A meta

# make_tracked NAME MIB [BLOCK_SECTORS [META_OPTION...]] - as make_guest. Sets
# ${meta[NAME]} to the metadata device, which has a bitmap B of 64K without options.
make_tracked()
{
	local options=("${@:4}") file=$TMP/$1.meta mib
	disk=$(make_disk "$2") || bail "disk"
	random_raw "$TMP/paint" "$2"
	dd if="$TMP/paint" of="$disk" bs=1M oflag=direct status=none
	rm "$TMP/paint"
	[ $# -gt 3 ] || options=(--bitmap B:64K)
	dmlive meta format "$file" --size $(($2 << 20)) --track "${options[@]}" \
		> /dev/null || bail "meta format"
	mib=$((($(stat -c %s "$file") + 1048575) >> 20))
	meta[$1]=$(make_disk "$mib") || bail "disk"
	dd if="$file" of="${meta[$1]}" bs=64K oflag=direct status=none
	rm "$file"
	dm_create "$1" "0 $(sectors "$disk") cbw $disk ${meta[$1]} ${3:-128}" || bail "$1"
	before[$1]=$(dmsetup table "$1")
}

# change NAME OFFSET LENGTH [zero] - write random data, or zeros, in units of 512 bytes.
change()
{
	dd if="/dev/${4:-urandom}" of="/dev/mapper/$1" bs=512 seek="$2" count="$3" \
		oflag=direct conv=notrunc status=none
}

# bitmap_of NAME FIELD - a field of the device's bitmap B.
bitmap_of()
{
	dmlive bitmap list "$1" --json |
		jq -r --arg f "$2" '.[] | select(.name == "B") | .[$f]'
}

# set_bit IMAGE - set the autoclear bit, as if it had never been opened for writing.
set_bit()
{
	printf '\0\1\0\0\0\0\0\0' | dd of="$1" bs=1 seek=88 conv=notrunc status=none
}

# record IMAGE FIELD - a field of its backup record; null: there is none.
record()
{
	dmlive image chain "$1" --json | jq -r --arg f "$2" '.[0][$f]'
}

# is_committed NAME IMAGE LABEL - the backup is complete and committed: it can be the base
# of increments.
is_committed()
{
	is "$3: the bitmap belongs to it" "$(bitmap_of "$1" generation)" \
		"$(record "$2" generation)"
	is_idle "$1" "$3"
}

# is_full IMAGE LABEL, is_increment IMAGE BASE LABEL
is_full()
{
	is "$2: a full backup" "$(record "$1" base-generation)" null
	is "$2: without backing file" "$(backing "$1")" null
}

is_increment()
{
	is "$3: an increment" "$(record "$1" base-generation)" "$(record "$2" generation)"
	is "$3: of the right one" "$(record "$1" base-is-right)" true
	is "$3: its backing file" "$(backing "$1")" "$2"
}

backing()
{
	qemu-img info --output json "$1" | jq -r '."backing-filename"'
}
