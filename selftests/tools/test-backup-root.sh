#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# Backups of the file system that dmlive itself is started from and of the swap space, under
# memory pressure, which are interrupted at any time: none hangs, and the machine goes on.
# ROUNDS=30 for a long run: selftests/vm/run --env ROUNDS=30.

. "$(dirname "$0")/backup-lib.sh"
require_command mkfs.ext4 mkswap swapon ldd

readonly ROUNDS=${ROUNDS:-9} LIMIT=$((48 << 20)) GROUP=/sys/fs/cgroup/dmlive-root
[ -e /proc/swaps ] || skip_all "no swap in this kernel"
grep -qw memory /sys/fs/cgroup/cgroup.controllers 2> /dev/null ||
	skip_all "no memory cgroup in this kernel"
echo +memory > /sys/fs/cgroup/cgroup.subtree_control && mkdir $GROUP || bail "cgroup"
on_exit rmdir $GROUP
echo $LIMIT > $GROUP/memory.max
[ -e $GROUP/memory.swap.max ] || skip_all "no swap accounting in this kernel"

# Not in memory: what goes to it must not be swapped out.
output=$(make_disk 400) && mkfs.ext4 -q "$output" && mkdir images root && mount "$output" images ||
	bail "output"
on_exit umount images

tables='' fleeces=() pigs=()
for name in root swap; do
	make_linear $name "$(make_disk 64)" > /dev/null || bail "$name"
done
mkfs.ext4 -q /dev/mapper/root && mount /dev/mapper/root root || bail "root"
on_exit umount root
mkswap -q /dev/mapper/swap && swapon /dev/mapper/swap || bail "swap"
no_swap()
{
	! grep -q '^/dev/' /proc/swaps || swapoff /dev/mapper/swap
}
on_exit no_swap

# The command, with all that it needs, from there.
mapfile -t libraries < <(ldd "$(command -v dmlive)" | grep -oE '/[^ ]+')
cp "$(command -v dmlive)" "${libraries[@]}" root/ || bail "cp"
loader=$(ls root/ld-*)
from_root()
{
	"$loader" --library-path "$TMP/root" root/dmlive "$@"
}
for name in root swap; do
	run 0 "attach $name" from_root attach $name
	tables+=$(dmsetup table $name)$'\n'
	on_exit from_root detach $name --force
	fleeces+=(--fleece "$(make_disk 64)")
done

for _ in 1 2; do
	bash -c "echo 0 > $GROUP/cgroup.procs; until [ -e images/stop ]; do
		head -c 28M /dev/urandom | tail -c 26M > /dev/null; done" > pressure.log 2>&1 &
	pigs+=($!)
done
bash -c "until [ -e images/stop ]; do
	dd if=/dev/urandom of=root/file bs=256k count=8 conv=fsync status=none; done" &
writer=$!
on_exit touch "$TMP/images/stop"
swapped()
{
	[ "$(cat $GROUP/memory.swap.current)" -gt $((4 << 20)) ]
}
check "memory is swapped" wait_until -t 30 swapped

declare -A ends=()
declare -i hung=0
signals=(HUP TERM KILL)
for ((i = 0; i < ROUNDS; i++)); do
	# With nothing of it in memory.
	echo 1 > /proc/sys/vm/drop_caches
	set -m
	"$loader" --library-path "$TMP/root" root/dmlive backup root images/r.qcow2 \
		swap images/s.qcow2 --force --speed 8M "${fleeces[@]}" > backup.log 2>&1 &
	backup=$!
	set +m
	read -rt "$((RANDOM % 2)).$((RANDOM % 10))" <> <(:)
	kill -${signals[i % 3]} $backup 2> /dev/null
	ended()
	{
		! kill -0 $backup 2> /dev/null
	}
	wait_until -t 60 ended || hung+=1
	wait $backup 2> /dev/null
	ends[$?]+=.
	timeout 60 sync -f root/file || hung+=1
done
is "no backup hangs" $hung 0
for status in "${!ends[@]}"; do
	diag "status $status: ${#ends[$status]} times"
done
is "all were interrupted, or ended before" \
	"$(printf '%s\n' "${!ends[@]}" | grep -vxE '0|4|129|137|143' | xargs)" ""
touch images/stop
wait $writer
result $? "the file system was written to all the time"
wait "${pigs[@]}"
check "a complete one" timeout 120 "$loader" --library-path "$TMP/root" root/dmlive backup \
	root images/r.qcow2 swap images/s.qcow2 --force "${fleeces[@]}"
check "its image" qemu-img check -q images/r.qcow2
is "their tables" "$(dmsetup table root; dmsetup table swap)"$'\n' "$tables"
is "not suspended" "$(dmsetup info -c --noheadings -o suspended | sort -u)" Active
is "no view" "$(dmsetup ls | grep -c dmlive-view)" 0
finish
