#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Thin stays thin: a restore onto a thin volume takes space of the pool for data only, and
# not for zeros, whatever the volume held before, after a crash too; nor do the guest's
# discards. A crash before the volume is recorded as cleared clears it again, and no other
# discards anything. Where zeros are not certain, they are written.

. "$(dirname "$0")/thin-lib.sh"

make_sparse 8
make_thin_pool 256
make_thin thin 4G
meta=$(make_disk 8) || bail "disk"

label="8 MiB of 4 GiB, onto a volume full of old data"
soil_thin thin
run 0 "$label" dmlive restore sparse.qcow2 /dev/tvg/thin --name g --force
check "$label: only the data take space" took_at_most 10
check "$label: linear" is_linear g
check "$label: content" cmp sparse.raw /dev/mapper/g
end_restore g

label="a raw image with holes, guest discards, and a crash"
soil_thin thin
run 0 "$label" start_restore sparse.raw /dev/tvg/thin g --force --meta "$meta" --speed 1K
check "$label: the kernel knows" table_has g target_is_zero
check "$label: almost nothing is taken yet" took_at_most 3
check "$label: discard" blkdiscard -o 1000M -l 256M /dev/mapper/g
check "$label: it takes nothing" took_at_most 3
check "$label: the guest writes" dd if=sparse.raw of=/dev/mapper/g bs=1M skip=3 seek=2500 \
	count=1 oflag=direct conv=fsync status=none
forget g
is "$label: the volume is recorded as cleared" "$(description "$meta" cleared)" 1
goes_on "$label"
check "$label: only the data take space" took_at_most 8
cp --sparse=always sparse.raw model.raw
fallocate -p -o 1000M -l 256M model.raw
dd if=sparse.raw of=model.raw bs=1M skip=3 seek=2500 count=1 conv=notrunc status=none
same_content "$label: content" model.raw
rm model.raw
end_restore g

for when in before after; do
	label="killed $when the discard"
	soil_thin thin
	DISCARD_KILL=$when LD_PRELOAD=$SUITE_BUILD/preload-discard.so dmlive restore \
		sparse.qcow2 /dev/tvg/thin --name g --force --meta "$meta" > "$out" 2> "$err"
	is "$label: not recorded as cleared" "$(description "$meta" cleared)" 0
	# Cleared, and used by someone before the restore goes on.
	[ $when = before ] || set_cleared "$meta" 1
	soil_thin thin
	goes_on "$label"
	check "$label: only the data take space" took_at_most 10
	same_content "$label: content" sparse.raw
	end_restore g
done
remove_thin thin

label="blocks are allocated and it is not recorded as cleared"
make_thin small 20M
run 0 "$label" start_restore image.qcow2 /dev/tvg/small g --meta "$meta" --speed 16K
check "$label: the guest writes" guest_write g 14 101
forget g
set_cleared "$meta" 0
run 0 "$label: resume" dmlive resume "$meta" --background
check_fails "$label: zeros are written" table_has g target_is_zero
dmlive stream g speed 0 2> /dev/null
check "$label: completes" wait_until is_linear g
check "$label: nothing was discarded" cmp -n $((16 << 20)) expected.raw /dev/mapper/g
end_restore g

label="--no-discard"
soil /dev/tvg/small
run 0 "$label" start_restore image.qcow2 /dev/tvg/small g --force --no-discard --speed 1K
check_fails "$label: zeros are written" table_has g target_is_zero
end_restore g

label="an image that ends within a block of the pool"
soil /dev/tvg/small
truncate -s $(((1 << 20) + 4096)) edge.raw
run 0 "$label" dmlive restore edge.raw /dev/tvg/small --name g --force --no-finish
check "$label: the kernel knows" table_has g target_is_zero
same "$label: zeros to its end" /dev/mapper/g edge.raw
end_restore g
check "$label: what lies behind is as it was" cmp -i $(((1 << 20) + 4096)) dirt /dev/tvg/small

label="a thin volume with an external origin"
origin=$(make_disk 20) || bail "disk"
soil "$origin"
dmsetup message tvg-pool-tpool 0 "create_thin 1000" &&
	dm_create ext "0 40960 thin /dev/mapper/tvg-pool-tpool 1000 $origin" || bail "thin"
run 0 "$label" dmlive restore image.qcow2 /dev/mapper/ext --name g --force --no-finish
check_fails "$label: zeros are written" table_has g target_is_zero
same "$label: content" /dev/mapper/g image.qcow2.raw
end_restore g
dm_remove ext

label="discards that are not done"
make_thin large 64M
dd if=dirt of=/dev/tvg/large bs=1M count=16 oflag=direct conv=notrunc status=none
DISCARD_KILL=never LD_PRELOAD=$SUITE_BUILD/preload-discard.so dmlive restore image.qcow2 \
	/dev/tvg/large --name g --force --no-finish > "$out" 2> "$err"
check "$label: the kernel knows" table_has g target_is_zero
check "$label: content" cmp -n $((16 << 20)) image.qcow2.raw /dev/mapper/g
end_restore g
remove_thin large

label="a pool whose blocks are not a power of two"
lvm_quietly lvcreate -q -y --type thin-pool -L 24M --chunksize 192K --poolmetadatasize 4M \
	-n odd tvg
lvm_quietly lvcreate -q -y -W n -V 20M -T tvg/odd -n strange
soil /dev/tvg/strange
run 0 "$label" dmlive restore image.qcow2 /dev/tvg/strange --name g --force --no-finish
check_fails "$label: zeros are written" table_has g target_is_zero
check "$label: content" cmp -n $((16 << 20)) image.qcow2.raw /dev/mapper/g
end_restore g

label="killed while it is cleared, and another restore since"
DISCARD_KILL=before LD_PRELOAD=$SUITE_BUILD/preload-discard.so dmlive restore image.qcow2 \
	/dev/tvg/small --name g --force --meta auto > "$out" 2> "$err"
check "$label: there is a store" test -b /dev/tvg/small_dmlive
run 0 "$label: without a store" dmlive restore image.qcow2 /dev/tvg/small --name g --force
end_restore g
check_fails "$label: the store of the killed one is of no use any more" \
	dmlive resume /dev/tvg/small_dmlive --background
check "$label: nothing is discarded" cmp -n $((16 << 20)) image.qcow2.raw /dev/tvg/small

label="a device as the image, and a time limit for a server"
source=$(make_loop 16) || bail "loop"
dd if=image.qcow2.raw of="$source" bs=1M oflag=direct conv=notrunc status=none
run 0 "$label" dmlive restore "$source" /dev/tvg/small --name g --force --user-timeout 30
check "$label: content" cmp -n $((16 << 20)) image.qcow2.raw /dev/mapper/g
end_restore g

label="a pool that does not zero new blocks"
lvm_quietly lvchange -q -Z n tvg/pool
run 0 "$label" dmlive restore image.qcow2 /dev/tvg/small --name g --force --no-finish
check_fails "$label: zeros are written" table_has g target_is_zero
check "$label: content" cmp -n $((16 << 20)) image.qcow2.raw /dev/mapper/g
end_restore g

label="a loop device on a file"
loop=$(make_loop 20) || bail "loop"
soil "$loop"
run 0 "$label" dmlive restore image.qcow2 "$loop" --name g --force --no-finish
check "$label: the kernel knows" table_has g target_is_zero
check "$label: content" cmp -n $((16 << 20)) image.qcow2.raw /dev/mapper/g
end_restore g
is "$label: what lies behind is as it was" "$(tail -c 2M "$loop" | md5sum)" \
	"$(tail -c 2M dirt | md5sum)"
finish
