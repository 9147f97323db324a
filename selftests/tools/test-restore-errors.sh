#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# An image with a damaged area: each error policy does what it should, readable data is
# served, and a device with a hole never becomes linear.

. "$(dirname "$0")/restore-lib.sh"

# The image is on a mapped device, a part of which can be made to fail. Its data clusters
# are in order and not compressed.
random_raw content.raw 16
tr '\0' 'x' < content.raw > full.raw
qemu-img convert -f raw -O qcow2 full.raw image.qcow2
lower=$(make_loop "$TMP/image.qcow2") || bail "loop"
sectors=$(sectors "$lower")
disk=$(make_disk 32 512) || bail "disk"

# Guest offset 8 MiB, as a sector of the image.
bad=$(dmlive image map image.qcow2 --json | jq '
	[.[] | select(.start <= 8388608 and .start + .length > 8388608)][0] |
	(.offset + 8388608 - .start) / 512')
[ "$bad" -gt 0 ] || bail "where is the data?"
good_table="0 $sectors linear $lower 0"
bad_table="0 $bad linear $lower 0
$bad 16 error
$((bad + 16)) $((sectors - bad - 16)) linear $lower $((bad + 16))"

damage()
{
	dm_reload image "$bad_table" && blockdev --flushbufs /dev/mapper/image
}

heal()
{
	dm_reload image "$good_table" && blockdev --flushbufs /dev/mapper/image
}

dm_create image "$good_table"
# 8 MiB + 8 KiB: the data around the hole can be read, the hole cannot.
check_device()
{
	check "$1: before the hole" cmp -n $((8 << 20)) full.raw /dev/mapper/r
	check "$1: after the hole" cmp -i $(((8 << 20) + 8192)) full.raw /dev/mapper/r
	check_fails "$1: the hole" dd if=/dev/mapper/r of=/dev/null bs=4k count=1 \
		skip=2048 iflag=direct
	is "$1: never linear" "$(dm_target r)" alloctrack
}

# begin POLICY - restore the damaged image, in the foreground.
begin()
{
	damage
	on_exit end_restore r
	dmlive restore /dev/mapper/image "$disk" --name r --force --on-error "$1" \
		> "$out" 2> "$err" < /dev/null &
	front=$!
	wait_until test -b /dev/mapper/r
}

begin report
wait $front
is "report: exit status" $? 4
like "report: the message" "$(cat "$err")" "r: bytes 8[0-9]* to 8[0-9]* cannot be read"
like "report: the way out" "$(cat "$err")" "dmlive stream r start"
is "report: failed" "$(state_of r)" failed
check_device report
like "report: status has the error" "$(dmlive status r)" "last error: r: bytes"
heal
run 0 "report: start again" dmlive stream r start
check "report: ends as linear" wait_until is_linear r
same "report: content" /dev/mapper/r full.raw
end_restore r

begin stop
check "stop: stopped" wait_until has_state r stopped
check "stop: the command waits" kill -0 $front
check_device stop
run 0 "stop: resume meets the error again" dmlive stream r resume
check "stop: stopped again" wait_until has_state r stopped
heal
run 0 "stop: resume" dmlive stream r resume
wait $front
is "stop: exit status" $? 0
is "stop: linear" "$(dm_target r)" linear
same "stop: content" /dev/mapper/r full.raw
end_restore r

begin ignore
wait $front
is "ignore: exit status" $? 4
is "ignore: failed" "$(state_of r)" failed
is "ignore: all but the hole is there" \
	"$(allocated_of r)" $(((16 << 20) - 8192))
check_device ignore
heal
run 0 "ignore: start again" dmlive stream r start
check "ignore: ends as linear" wait_until is_linear r
same "ignore: content" /dev/mapper/r full.raw
end_restore r

begin enospc
wait $front
is "enospc: a read error is reported" $? 4
is "enospc: failed" "$(state_of r)" failed
# The device can be removed while its server works.
server=$(server_of r)
dm_remove r
check "the server ends with its device" wait_until is_gone "$server"
heal
finish
