#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-udev
#
# Rounds of attach, backup and detach, while udev handles one event of the volume and all that
# is made over it after the other: nothing is ever busy, and nothing is left. ROUNDS=200 for a
# long run: selftests/vm/run --env ROUNDS=200.

# shellcheck source=persist-lib.sh
. "$(dirname "$0")/persist-lib.sh"
make_volumes
install_rule
table=$(dmsetup table t-vm1)
udevadm settle

{
	while [ ! -e stop ]; do
		udevadm trigger --settle --sysname-match='dm-*' --action=change
		udevadm trigger --settle --sysname-match='dm-*' --action=add
		echo again
	done
} > trigger.log 2>&1 & trigger=$!
on_exit touch "$TMP/stop"

# round - each command once; a message of libdevmapper or the kernel would be on stderr.
round()
{
	dmlive attach t/vm1 && dmlive backup t/vm1 image.qcow2 --force && dmlive detach t/vm1
}

declare -i done=0
while [ $done -lt "${ROUNDS:-20}" ] && round > round.log 2>&1; do
	done+=1
done
is "rounds" $done "${ROUNDS:-20}" || diag "$(cat round.log)"
touch stop
diag "udevadm trigger: $(grep -c again trigger.log) times"
wait $trigger
udevadm settle
is "the volume has its own table" "$(dmsetup table t-vm1)" "$table"
is "only the volumes are left" "$(dmsetup ls | cut -f 1 | sort | xargs)" "t-bm t-vm1 t-vm2"
is "not suspended, nothing loaded" \
	"$(dmsetup info -c --noheadings -o suspended,tables_loaded t-vm1)" "Active:Live"
is "nothing in /run" "$(ls -A /run/dmlive 2> /dev/null)" ""
is "nobody has it open" "$(dmsetup info -c --noheadings -o open t-vm1)" 0
check "the backup" qemu-img compare -q -f qcow2 -F raw image.qcow2 $V
check_fails "no word of a busy device" sh -c 'dmesg | grep -i "busy"'
finish
