# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of restores with a metadata device. What image.qcow2 and the guest have
# made of the disk is kept in expected.raw.

# shellcheck source=restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 16
qemu-img convert -q -f qcow2 -O raw image.qcow2 expected.raw || bail "convert"

# guest_write NAME MIB BYTE: 64 KiB that end at odd places, flushed; in
# expected.raw too.
guest_write()
{
	head -c 65536 /dev/zero | tr '\0' "\\$3" > guest.data
	dd if=guest.data of="/dev/mapper/$1" bs=512 seek=$(($2 * 2048 + 3)) \
		oflag=direct conv=fsync status=none &&
		dd if=guest.data of=expected.raw bs=512 seek=$(($2 * 2048 + 3)) \
			conv=notrunc status=none
}

# lose_server NAME: as a crash does.
lose_server()
{
	local pid
	pid=$(server_of "$1")
	[ -z "$pid" ] || { kill -KILL "$pid" && wait_until is_gone "$pid"; }
}

# forget NAME: what a restart of the machine leaves of it.
forget()
{
	lose_server "$1"
	dmsetup remove "$1" || dmsetup remove --force "$1"
	rm -rf /run/dmlive
}

# progress NAME BYTES: so much is on the target.
progress()
{
	[ "$(allocated_of "$1")" -ge "$2" ]
}

is_complete()
{
	is_linear "$1" && [ ! -e "/run/dmlive/$1.json" ] && [ ! -e "/run/dmlive/$1.lock" ]
}

# ends_well NAME DESCRIPTION: the device gets linear, with the content expected.
ends_well()
{
	dmlive stream "$1" speed 0 2> /dev/null
	check "$2: linear in the end" wait_until is_complete "$1"
	same "$2: content" "/dev/mapper/$1" expected.raw
}

sane_meta()
{
	check "$1: qemu-img check" qemu-img check -q "$2"
	check "$1: dmlive meta check" dmlive meta check "$2"
}

description()
{
	dmlive meta dump "$1" --json | jq -r .restore | jq -r ".$2"
}
