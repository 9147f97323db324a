# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of restores onto thin volumes: a pool in the group tvg. An image of 4 GiB, most
# of which is zero, is sparse.qcow2, with its content in sparse.raw.

# shellcheck source=restore-meta-lib.sh
. "$(dirname "$0")/restore-meta-lib.sh"
require_target thin-pool thin
require_command lvcreate thin_check

readonly POOL_BLOCK_KIB=64

# lvm COMMAND...: quietly.
lvm_quietly()
{
	"$@" > lvm.log 2>&1 || bail "$*: $(cat lvm.log)"
}

# make_thin_pool MIB [OPTION...]: tvg/pool, in a group that has as much again.
make_thin_pool()
{
	local pv
	pv=$(make_loop $((2 * $1 + 64))) || bail "disk"
	lvm_quietly vgcreate -q tvg "$pv"
	on_exit vgremove -q -f tvg
	lvm_quietly lvcreate -q -y --type thin-pool -L "$1M" --chunksize ${POOL_BLOCK_KIB}K \
		--poolmetadatasize 4M -n pool tvg "${@:2}"
}

make_thin()
{
	lvm_quietly lvcreate -q -y -W n -V "$2" -T tvg/pool -n "$1"
}

remove_thin()
{
	lvm_quietly lvremove -q -f "tvg/$1"
}

# pool_mib: how much of the pool is in use, rounded up, by data_percent of lvs.
pool_mib()
{
	lvs --noheadings --units b --nosuffix -o lv_size,data_percent tvg/pool |
		awk '{ mib = $1 * $2 / 100 / 1048576; print int(mib) + (mib > int(mib)) }'
}

took_at_most()
{
	local mib
	mib=$(pool_mib)
	echo "$mib MiB of the pool are in use"
	[ "$mib" -le "$1" ]
}

# soil_thin NAME: 96 MiB of what a previous owner left behind: at its start, where the
# image has data, between, and at its end.
soil_thin()
{
	local mib
	for mib in 0 1000 4064; do
		head -c 32M /dev/zero | tr '\0' '\356' |
			dd of="/dev/tvg/$1" bs=1M seek=$mib oflag=direct iflag=fullblock \
				status=none || bail "soil"
	done
}

# make_sparse MIB: with so much data, in two places.
make_sparse()
{
	local part=$(($1 / 2))
	truncate -s 4G sparse.raw
	dd if=/dev/urandom of=sparse.raw bs=1M count=$part seek=3 conv=notrunc status=none
	dd if=/dev/urandom of=sparse.raw bs=1M count=$part seek=1010 conv=notrunc status=none
	qemu-img convert -q -f raw -O qcow2 sparse.raw sparse.qcow2 || bail "qemu-img convert"
}

# same_content DESCRIPTION FILE: FILE is the content of the device g, wherever the image
# has data, the guest wrote, or the volume was soiled.
same_content()
{
	check "$1" same_windows "$2"
}

same_windows()
{
	local mib
	for mib in 0 990 2000 2490 4060; do
		cmp -i $((mib << 20)) -n $((48 << 20)) "$1" /dev/mapper/g || return
	done
}

# goes_on DESCRIPTION: the restore that $meta records is resumed, and ends.
goes_on()
{
	run 0 "$1: resume" dmlive resume "$meta" --background
	dmlive stream g speed 0 2> /dev/null
	check "$1: linear" wait_until is_linear g
}

table_has()
{
	[[ " $(dmsetup table "$1") " == *" $2 "* ]]
}

# set_cleared META DIGIT: in the description of the restore.
set_cleared()
{
	local at
	at=$(grep -abo -m 1 '"cleared":' "$1" | head -n 1 | cut -d : -f 1)
	[ -n "$at" ] || bail "not recorded"
	printf %s "$2" | dd of="$1" bs=1 seek=$((at + 10)) conv=notrunc,fsync status=none
}
