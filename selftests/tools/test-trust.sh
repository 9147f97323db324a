#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A backup is an increment only if every write since the previous one was tracked. Whatever
# lvm2 and others do to an attached or detached volume, the next backup has the content of
# the volume, and says why it is a full one. If nothing was written it is an increment.

. "$(dirname "$0")/trust-lib.sh"
modprobe -q dm-snapshot
readonly written="written to without tracking"

make_volumes
label="the first time"
attach
is "$label: no gap" "$(jq -c .gap "$out")" null
backup
is "$label: a full one" "$(of_backup increment)" false

# Nothing was missed.
label="detached and attached"
detach; attach; is_increment
label="under a new device over it"
detach
run 0 "$label: attach" dmlive attach t/vm1 --name x --meta /dev/t/bm --json
is "$label: no gap is found" "$(jq -c .gap "$out")" null
run 0 "$label: detach" dmlive detach x
attach; is_increment
label="activated again"
detach; reactivate; attach; is_increment
label="machine restarted"
detach; restart; attach; is_increment

# Writes that were not tracked.
label="written while detached"
detach; dirty $V; attach; is_gap "$written"
label="refreshed"
check "$label" lvchange --refresh t/vm1
dirty $V; attach; is_gap "$written"
label="renamed there and back"
detach
check "$label" lvrename -q t/vm1 t/other
dirty /dev/t/other
check "$label" lvrename -q t/other t/vm1
attach; is_gap "$written"
label="a snapshot came and went"
detach
check "$label" lvcreate -q -y -s -L 4M -n snap t/vm1
dirty $V
check "$label" lvremove -q -y t/snap
attach; is_gap ""
label="activated again and written"
detach; reactivate; dirty $V; attach; is_gap "$written"
label="machine restarted and volume written"
detach; restart; dirty $V; attach; is_gap "$written"
label="machine restarted, written and activated again, at its head"
detach; restart; dirty $V 16; restart; attach; is_gap "$written"
label="machine restarted, not detached"
restart; attach; is_gap "restarted"
label="a table by hand"
inner=$(dmsetup table t-vm1-dmlive)
dmsetup load t-vm1 --table "$inner" && dmsetup suspend t-vm1 && dmsetup resume t-vm1 ||
	bail "table by hand"
dirty $V; attach; is_gap ""
label="an older copy of the store"
detach
dd if=/dev/t/bm of=old bs=1M iflag=direct status=none
attach; is_increment
detach
dd if=old of=/dev/t/bm bs=1M oflag=direct status=none
attach; is_gap "$written"
label="restored onto, and nothing says which store it has"
detach
rm -r /var/lib/dmlive
run 0 "$label: restore" dmlive restore 1.qcow2 $V --name r --force
check "$label: it has completed" wait_until is_linear r
dm_remove r
attach; is_gap "$written"

# The digest matches the image, and the counters of the machine start at 0.
label="restored onto, and restarted"
detach
run 0 "$label: restore" dmlive restore 1.qcow2 $V --name r --force
check "$label: it has completed" wait_until is_linear r
dm_remove r
restart; attach; is_gap "overwritten by dmlive"
label="a device over it without the store, and restarted"
detach
run 0 "$label: attach" dmlive attach t/vm1 --name x
dirty /dev/mapper/x
run 0 "$label: detach" dmlive detach x
restart; attach; is_gap "overwritten by dmlive"

# Writes that bypass cbw while it is attached.
label="the inner device is written to"
dirty /dev/mapper/t-vm1-dmlive
nr=$((nr + 1))
run 3 "$label: no increment" dmlive backup $V x.qcow2 --bitmap B --base "$last" --no-full
says "$label: the reason" "changes were not tracked.*directly"
check_fails "$label: nothing is left" test -e x.qcow2
last=$((nr - 1)).qcow2
dirty /dev/mapper/t-vm1-dmlive 12000
backup
is "$label: not an increment" "$(of_backup increment)" false
like "$label: the reason" "$(of_backup full_reason)" "changes were not tracked.*directly"
label="after that"
dirty $V
backup --no-full
is "$label: an increment" "$(of_backup increment)" true
detach
finish
