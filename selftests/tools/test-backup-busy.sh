#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The backup of a device under heavy writes is its state at one point in time. Several
# devices have the same point in time.
# only on: uml uml-udev

. "$(dirname "$0")/backup-lib.sh"

make_guest a 8
make_guest b 8

write_on /dev/mapper/a
for image in busy.raw busy.qcow2; do
	run 0 "$image" dmlive backup a $image --json --speed 8M
	check "$image: guest writes had to wait for copies" [ "$(cow_writes)" -gt 0 ]
	[ $image = busy.raw ] || qemu-img convert -O raw $image busy.raw
	check "$image: one point in time" prefix check busy.raw
done
still_writes "the guest still writes"
is_idle a "a busy device"

write_on /dev/mapper/a /dev/mapper/b
for i in 1 2 3; do
	run 0 "two devices, $i" dmlive backup a a.raw b b.raw --force
	check "two devices, $i: one point in time" prefix check a.raw b.raw
	run 0 "the other way round, $i" dmlive backup b b.raw a a.raw --force
	check "the other way round, $i: one point in time" prefix check a.raw b.raw
done
still_writes "the guest of two devices still writes"
is_idle a "a"
is_idle b "b"

# A device on top of another one of the same backup: the upper one must be suspended
# first. Both have the same content.
dm_create top "0 $(sectors /dev/mapper/a) cbw /dev/mapper/a - 64" || bail "top"
before[top]=$(dmsetup table top)
write_on /dev/mapper/top
run 0 "stacked devices" dmlive backup a a.raw top top.raw --force
check "one point in time" prefix check a.raw
check "both have the same content" cmp a.raw top.raw
still_writes "the guest of stacked devices still writes"
is_idle a "the lower device"
is_idle top "the upper device"
finish
