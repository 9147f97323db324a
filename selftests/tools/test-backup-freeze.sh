#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A backup freezes all file systems on its devices before it suspends the first device,
# and thaws them in any case: at a signal, at SIGKILL at any step, or if a device cannot
# be suspended in time. File systems frozen by others stay frozen.

. "$(dirname "$0")/backup-lib.sh"
require_command strace fsfreeze mkfs.ext4 dumpe2fs unshare

make_guest a 8
make_guest z 8
{ mke2fs -q -F -b 4096 -O journal_dev /dev/mapper/z &&
	mke2fs -q -F -t ext4 -b 4096 -J device=/dev/mapper/z /dev/mapper/a; } || bail "mkfs"
mkdir mnt && mount -t ext4 /dev/mapper/a mnt || bail "mount"
on_exit sh -c "! mountpoint -q $TMP/mnt || umount $TMP/mnt"

# goes_on LABEL - the file system can be written, and so can its journal.
goes_on()
{
	rm -f wrote
	(echo x > mnt/file && sync -f mnt/file && : > wrote) &
	wait_until -t 30 test -e wrote
	result $? "$1: the file system works" && return
	# Otherwise the test would never end.
	dmsetup resume z
	dmsetup resume a
	fsfreeze -u mnt
	bail "$1"
}

# is_clean IMAGE LABEL - it was frozen, so the journal is empty.
is_clean()
{
	is "$2: it was frozen" "$(dumpe2fs -h "$1" 2> /dev/null | grep -c needs_recovery)" 0
}

is "it is in use" "$(dumpe2fs -h /dev/mapper/a 2> /dev/null | grep -c needs_recovery)" 1
for order in "z z.raw a a.raw" "a a.raw"; do
	echo $RANDOM > mnt/new
	# shellcheck disable=SC2086
	run 0 "backup $order" dmlive backup $order --force
	is_clean a.raw "backup $order"
	goes_on "backup $order"
done
run 3 "an output that has its journal on the device" dmlive backup z mnt/z.raw
says "it says so" "lies on"

# A file system that was frozen by another program.
check "another program freezes it" fsfreeze -f mnt
run 0 "it is backed up" dmlive backup z z.raw a a.raw --force
check "it is still frozen" fsfreeze -u mnt
goes_on "thawed by hand"

# Killed before each call from the first freeze to the last thaw.
run 0 "traced" strace -qq -o calls -e trace=ioctl dmlive backup z z.raw a a.raw --force
is "frozen first, once, and thawed last" \
	"$(grep -oE 'FIFREEZE|DM_DEV_SUSPEND|FITHAW' calls | uniq | head -n 3 | xargs)" \
	"FIFREEZE DM_DEV_SUSPEND FITHAW"
first=$(grep -n FIFREEZE calls | cut -d: -f1)
for ((step = 1; step < 30; step++)); do
	(strace -qq -o calls -e trace=ioctl -e inject=ioctl:signal=KILL:when=$((first + step)) \
		dmlive backup z z.raw a a.raw --force > "$out" 2> "$err" < /dev/null
	exit $?) 2> /dev/null
	goes_on "killed, call $step after the freeze"
	! grep -q FITHAW calls || break
	dmlive backup z none/z.raw a none/a.raw > "$out" 2> "$err"
done
check "it was killed $step times" [ $step -ge 5 ]
run 0 "the next one" dmlive backup z z.raw a a.raw --force
is_idle a "after it was killed"

# I/O hangs on one device: the others wait for it, but not for ever.
lower=$(make_disk 4) && make_linear low "$lower" > /dev/null || bail "low"
dm_create b "0 $(sectors "$lower") cbw /dev/mapper/low - 128" || bail "b"
before[b]=$(dmsetup table b)
dmsetup suspend low
dd if=/dev/zero of=/dev/mapper/b bs=4096 count=1 oflag=direct conv=notrunc status=none &
hanging=$!
is_under_way()
{
	awk '{ exit $9 == 0 }' "/sys/dev/block/$(dmsetup info -c --noheadings \
		-o major,minor --separator : b)/stat"
}
wait_until is_under_way || bail "no I/O is in flight"
for order in "a a.raw b b.raw" "b b.raw"; do
	# shellcheck disable=SC2086
	run 1 "in time: $order" timeout -s KILL 60 dmlive backup $order --force \
		--freeze-timeout 1
	says "in time: $order: the reason" "b could not be suspended.*|freeze-timeout"
	goes_on "in time: $order"
done
dmsetup resume low
wait $hanging
result $? "the I/O ends"
is_idle a "in time"
is_idle b "in time"

# Mounted only in another mount namespace, and on a device on top of the device.
umount mnt || bail "umount"
make_linear top /dev/mapper/b > /dev/null && mkfs.ext4 -q /dev/mapper/top || bail "top"
mkfifo end
unshare -m --propagation private sh -c "mount /dev/mapper/top $TMP/mnt && echo x > $TMP/mnt/x &&
	echo > $TMP/ready && read -r x < $TMP/end" < /dev/null &
wait_until test -e ready || bail "not mounted"
run 0 "a file system of another namespace" dmlive backup b b.raw --force
is_clean b.raw "of another namespace"
echo > end
wait $!
dm_remove top
finish
