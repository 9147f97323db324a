# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of restores with a metadata device. expected.raw has the content that the disk
# must have: that of image.qcow2 with the guest's writes.

# shellcheck source=restore-lib.sh
. "$(dirname "$0")/restore-lib.sh"

make_image image.qcow2 16
qemu-img convert -q -f qcow2 -O raw image.qcow2 expected.raw || bail "convert"

# guest_write NAME MIB BYTE - write 64 KiB with unaligned ends and flush them; also to
# expected.raw.
guest_write()
{
	head -c 65536 /dev/zero | tr '\0' "\\$3" > guest.data
	dd if=guest.data of="/dev/mapper/$1" bs=512 seek=$(($2 * 2048 + 3)) \
		oflag=direct conv=fsync status=none &&
		dd if=guest.data of=expected.raw bs=512 seek=$(($2 * 2048 + 3)) \
			conv=notrunc status=none
}

# lose_server NAME - kill the server, as a crash would.
lose_server()
{
	local pid
	pid=$(server_of "$1")
	[ -z "$pid" ] || { kill -KILL "$pid" && wait_until is_gone "$pid"; }
}

# forget NAME - remove everything that would not survive a restart of the machine.
forget()
{
	lose_server "$1"
	dmsetup remove "$1" || dmsetup remove --force "$1"
	rm -rf /run/dmlive
}

# progress NAME BYTES - BYTES are on the target.
progress()
{
	[ "$(allocated_of "$1")" -ge "$2" ]
}

is_complete()
{
	is_linear "$1" && [ ! -e "/run/dmlive/$1.json" ] && [ ! -e "/run/dmlive/$1.lock" ]
}

# ends_well NAME DESCRIPTION - the device becomes linear, with the expected content.
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
