# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of bitmaps after an attached volume was used without tracking. The volumes are
# t/vm1 and t/vm2 of 16 MiB; the store of vm1 is on t/bm.

# shellcheck source=backup-lib.sh
. "$(dirname "$0")/backup-lib.sh"
require_command vgcreate lvcreate

readonly V=/dev/t/vm1

# make_volumes - with a new store.
make_volumes()
{
	local l
	pv=$(make_loop 80) || bail "disk"
	vgcreate -q -s 1M t "$pv" > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
	on_exit vgremove -q -f t
	for l in vm1:16 vm2:16 bm:4; do
		lvcreate -q -y -W n -L "${l#*:}M" -n "${l%:*}" t > lvm.log 2>&1 ||
			bail "LVM: $(cat lvm.log)"
	done
	on_exit detach_all
	random_raw paint 16
	dd if=paint of=$V bs=1M oflag=direct status=none
	format
}

detach_all()
{
	local l
	for l in vm1 vm2; do
		dmlive detach "t/$l" --force > /dev/null 2>&1
	done
	true
}

format()
{
	dmlive meta format /dev/t/bm --track --bitmap B --size 16M --force \
		> /dev/null || bail "meta format"
}

# The store may be in use by vm1.
deactivate()
{
	{ lvchange -q -an t/vm1 && vgchange -q -an t; } > /dev/null || bail "vgchange"
}

# reactivate - the volumes get other device nodes.
reactivate()
{
	deactivate
	vgchange -q -ay t > /dev/null || bail "vgchange"
}

# restart - also reload the modules, as a restart of the machine would.
restart()
{
	local m
	deactivate
	for m in dm_cbw dm_alloctrack dm_live; do
		rmmod $m || bail "rmmod $m"
	done
	for m in dm-live dm-alloctrack dm-cbw; do
		insmod /run/vm/$m.ko || bail "insmod $m"
	done
	vgchange -q -ay t > /dev/null || bail "vgchange"
}

# attach [OPTION...] - attach vm1, with its store.
attach()
{
	run 0 "$label: attach" dmlive attach t/vm1 --meta /dev/t/bm --json "$@"
}

detach()
{
	run 0 "$label: detach" dmlive detach t/vm1
}

# dirty DEVICE [KIB] - write in the middle of it, where no digest covers it.
dirty()
{
	dd if=/dev/urandom of="$1" bs=4k count=4 seek=$((${2:-4800} / 4)) oflag=direct \
		conv=notrunc status=none || bail "write to $1"
}

# backup [OPTION...] - based on the previous one; it must have the volume's content.
nr=0 last=''
backup()
{
	nr=$((nr + 1))
	run 0 "$label: backup" dmlive backup $V $nr.qcow2 --bitmap B --json \
		${last:+--base "$last"} "$@"
	check "$label: it is what the volume holds" \
		qemu-img compare -q -f qcow2 -F raw $nr.qcow2 $V
	last=$nr.qcow2
}

of_backup()
{
	tail -n 1 "$out" | jq -r ".devices[0].$1"
}

# is_increment - the next backup is an increment. The volume must be attached.
is_increment()
{
	is "$label: no gap is found" "$(jq -c .gap "$out")" null
	dirty $V 9000
	backup --no-full
	is "$label: an increment" "$(of_backup increment)" true
	is "$label: there is no reason for a full one" "$(of_backup full_reason)" null
}

# is_gap REASON - attach has reported the gap, and the next backup is full.
is_gap()
{
	like "$label: attach warns" "$(cat "$err")" "changes were not tracked (from 2.* to|until) 2.*$1"
	like "$label: also in the JSON" "$(jq -r .gap.reason "$out")" "$1"
	backup
	is "$label: not an increment" "$(of_backup increment)" false
	like "$label: the reason" "$(of_backup full_reason)" "changes were not tracked.*$1"
	like "$label: with its times" "$(of_backup gap.to)" "^[0-9]+$"
	like "$label: and on the terminal" "$(cat "$err")" "full backup.*not tracked.*$1"
}
