#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# cbw is inserted into raid volumes in use and taken out again, also when the command is
# killed; both legs hold the same afterwards; changes are tracked; what cannot be moved
# now is refused.

. "$(dirname "$0")/move-lib.sh"
require_target raid
require_command lvcreate

# in_sync NAME
in_sync()
{
	dmsetup status "$1" | grep -qE ' A+ [0-9]+/[0-9]+ idle '
}

# make_raid NAME TYPE "PARAMS" DISKS DATA-DISKS: of 24 MiB; $legs are its data devices.
make_raid()
{
	local i pairs='' size
	legs=()
	for ((i = 0; i < $4; i++)); do
		disk=$(make_disk 28) || bail "disk"
		dm_create "$1-m$i" "0 8192 linear $disk 0" || bail "meta"
		dm_create "$1-d$i" "0 49152 linear $disk 8192" || bail "data"
		legs+=("/dev/mapper/$1-d$i")
		pairs+=" /dev/mapper/$1-m$i /dev/mapper/$1-d$i"
	done
	size=$((49152 * $5))
	dm_create "$1" "0 $size raid $2 $3 $4$pairs" || skip_all "raid type $2"
	wait_until -t 60 in_sync "$1" || bail "$1: $(dmsetup status "$1")"
}

make_raid r1 raid1 "3 0 region_size 256" 2 1
take_volume r1
in_use 5 fails_late "killed attach 14 2" "killed detach 13 2"
dmsetup suspend r1 && dmsetup resume r1
check "raid1: both legs hold the same" cmp "${legs[0]}" "${legs[1]}"
is "raid1: it is in sync" "$(dmsetup status r1 | awk '{ print $6, $8 }')" "AA idle"
tracks

# So slowly that it does not end meanwhile.
speed=/proc/sys/dev/raid/speed_limit
echo 1 > ${speed}_min
echo 1 > ${speed}_max
dmsetup message r1 0 check
run 3 "while it is checked: refused" dmlive attach r1
says "the reason" "being synchronized, checked"
echo 1000 > ${speed}_min
echo 200000 > ${speed}_max
check "the check ends" wait_until in_sync r1
run 0 "attach after that" dmlive attach r1
run 0 "detach" dmlive detach r1

# is_at_next: stopped once more.
is_at_next()
{
	[ "$(grep -c 'stopped by SIGSTOP' stops)" -gt "$seen" ]
}

is_active()
{
	[ "$(dmsetup info -c --noheadings -o suspended r2)" = Active ]
}

# The raid cannot be resumed, and by then its inner device is gone, so cbw cannot be put
# back. The volume runs with the table that it was to get.
make_raid r2 raid1 "3 0 region_size 256" 2 1
take_volume r2
sum=$(sha256sum < "$node")
run 0 "detach fails: attach" dmlive attach r2
strace -qq -o stops -e trace=ioctl -e inject=ioctl:signal=STOP:when=1+ \
	dmlive detach r2 > "$out" 2> "$err" < /dev/null &
tracer=$!
on_exit stop_process $tracer
seen=0
until dmsetup info -c --noheadings -o suspended,tables_loaded r2 | grep -q "Suspended.*Both"; do
	wait_until is_at_next || bail "detach was not stopped: $(tail -n 3 stops)"
	seen=$((seen + 1))
	pid=$(pgrep -x -P $tracer dmlive) && kill -CONT "$pid"
done
wait_until is_at_next || bail "detach was not stopped"
for i in 0 1; do
	dm_reload "r2-m$i" "0 8192 error" || bail "r2-m$i"
done
while ! has_ended $tracer; do
	kill -CONT "$pid" 2> /dev/null
	nap 0.05
done
wait $tracer
is "detach fails: status" $? 1
says "detach fails: it says what the volume has" "keeps the new one"
check "detach fails: the volume is not suspended" is_active
is "detach fails: it has its own table" "$(dm_target r2)" raid
is "detach fails: its data" "$(timeout 60 sha256sum < "$node")" "$sum"

for type in "raid5_ls 3 128 region_size 256" "raid10 3 128 region_size 256"; do
	name=${type%% *}
	disks=3 data=2
	[ "$name" = raid10 ] && disks=4
	modprobe -q "${name%_ls}" 2> /dev/null
	make_raid "v-$name" "$name" "${type#* }" $disks $data
	take_volume "v-$name"
	in_use 3
	has_plain "$name"
	is "$name: in sync" "$(dmsetup status "$volume" | awk '{ print $8 }')" idle
done

# As lvm2 makes it.
inner_is_gone()
{
	! dmsetup info "$inner" > /dev/null 2>&1
}

one=$(make_loop 48) && two=$(make_loop 48) || bail "disks"
{ vgcreate -q rvg "$one" "$two" &&
	lvcreate -q -y -W n --type raid1 -m 1 -L 16M -n r rvg; } > lvm.log 2>&1 ||
	bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f rvg
wait_until -t 60 in_sync rvg-r || bail "rvg-r: $(dmsetup status rvg-r)"
take_volume rvg-r
mount_volume
back_and_forth 2
run 0 "lvm2: attach" dmlive attach rvg/r
check "lvm2: lvs" lvs rvg
check "lvm2: refresh" lvchange --refresh rvg/r
is "lvm2: it has ended the attachment" "$(dm_target rvg-r)" raid
wait_until -t 20 inner_is_gone
result $? "lvm2: the inner device goes by itself"
run 0 "lvm2: attach again" dmlive attach rvg/r
run 0 "lvm2: detach" dmlive detach rvg/r
umount_volume
wait_until -t 60 in_sync rvg-r
is "lvm2: in sync" "$(dmsetup status rvg-r | awk '{ print $6, $8 }')" "AA idle"
refresh_is_noticed rvg/r
run 0 "lvm2: attach" dmlive attach rvg/r
check "lvm2: deactivate" lvchange -an rvg/r
wait_until -t 20 inner_is_gone
result $? "lvm2: the inner device is removed with it"
finish
