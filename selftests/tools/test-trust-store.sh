#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A store is bound to its volume. A store that was not closed is trusted if the volume was
# not used before the store came back. Changes that the user confirms are recorded. A
# store without a seal still works.

. "$(dirname "$0")/trust-lib.sh"

# of_store FIELD - from the metadata device.
of_store()
{
	dmlive meta dump /dev/t/bm --json | jq -r ".$1"
}

make_volumes
label="the first time"
attach
backup
like "$label: the store is bound to the volume" "$(of_store volume)" "^dm:LVM-.{64}$"
is "$label: not sealed, as it is in use" "$(of_store sealed)" false
detach
is "$label: sealed" "$(of_store sealed)" true
is "$label: with a digest" "$(of_store digest)" true

label="another volume"
random_raw paint 16
dd if=paint of=/dev/t/vm2 bs=1M oflag=direct status=none
run 3 "$label: refused" dmlive attach t/vm2 --meta /dev/t/bm
says "$label: both are named" "dm:LVM-.*/dev/mapper/t-vm2 is dm:LVM-.*--force"
is "$label: it is as it was" "$(dm_target t-vm2)" linear
check_fails "$label: and nothing is left" dmsetup info t-vm2-dmlive
run 3 "$label: refused with a new device" dmlive attach t/vm2 --name y --meta /dev/t/bm
check_fails "$label: which is not there" dmsetup info y
attach; is_increment
detach
run 0 "$label: with --force" dmlive attach t/vm2 --meta /dev/t/bm --force --json
like "$label: it is reported" "$(jq -r .gap.reason "$out")" "another volume"
like "$label: bound to it" "$(of_store volume)" "^dm:LVM-.{64}$"
run 0 "$label: backup" dmlive backup /dev/t/vm2 y.qcow2 --bitmap B --base "$last" --json
is "$label: not an increment" "$(of_backup increment)" false
like "$label: the reason" "$(of_backup full_reason)" "another volume"
check "$label: it has the content of the volume" \
	qemu-img compare -q -f qcow2 -F raw y.qcow2 /dev/t/vm2
run 0 "$label: detach" dmlive detach t/vm2

label="trusted by the user"
attach --force
backup
detach; dirty $V
attach --trust-store
is "$label: no gap" "$(jq -c .gap "$out")" null
is "$label: it is in the JSON" "$(jq .trusted "$out")" true
says "$label: and on the terminal" "trusted because of --trust-store"
is "$label: and recorded" "$(of_store trusted)" true
dmlive backup $V trusted.qcow2 --bitmap B --base "$last" --no-full --json > "$out" 2> "$err"
is "$label: an increment" "$(of_backup increment)" true
is "$label: which records it" "$(of_backup trusted)" true
check_fails "$label: and lacks what was written" \
	qemu-img compare -q -f qcow2 -F raw trusted.qcow2 $V
last=''
backup --full
is "$label: --full" "$(of_backup full_reason)" "it was asked for (--full)"

# The store as it was in use.
label="a crash"
dirty $V 2000
dd if=/dev/t/bm of=crashed bs=1M iflag=direct status=none
crash()
{
	detach
	dd if=crashed of=/dev/t/bm bs=1M oflag=direct status=none
	restart
}
crash; attach
is "$label: nothing is missing" "$(jq -c .gap "$out")" null
backup --no-full
label="a crash, and written to before it is attached"
dd if=/dev/t/bm of=crashed bs=1M iflag=direct status=none
crash; dirty $V 12000; attach; is_gap "after a crash"

label="a store without a seal"
dirty $V
detach
dd if=/dev/t/bm of=old bs=1M iflag=direct status=none
LC_ALL=C sed -i '0,/dmls/s/dmls/dmlp/' old
dd if=old of=/dev/t/bm bs=1M oflag=direct conv=notrunc status=none
is "$label: it has none" "$(of_store '"has-seal"')" false
attach; is_gap ""
is "$label: it has one now" "$(of_store '"has-seal"')" true
check "$label: the store is right" dmlive meta check /dev/t/bm
detach
check "$label: also to QEMU" qemu-img check -q /dev/t/bm
attach; is_increment
detach

# The record of a store is removed after its volume, not before.
writes_elsewhere()
{
	run 0 "$label: a volume is overwritten" dmlive image convert --quiet paint /dev/t/vm2
}
on_record()
{
	find /var/lib/dmlive/stores -name '*.json' | wc -l
}
count=$(on_record)
check "there are records" [ "$count" -gt 0 ]
label="an inactive store"
lvchange -q -an t/bm
writes_elsewhere
is "$label: it stays on record" "$(on_record)" "$count"
label="a renamed store"
lvrename -q t/bm t/other > /dev/null
writes_elsewhere
is "$label: it stays on record" "$(on_record)" "$count"
label="a store of a group that is not there"
sed -i 's/LVM-[^"]\{32\}\([^"]*"\)$/LVM-00000000000000000000000000000000\1/' /var/lib/dmlive/stores/*.json
writes_elsewhere
is "$label: it stays on record" "$(on_record)" "$count"
rm /var/lib/dmlive/stores/*
lvrename -q t/other t/bm > /dev/null
lvchange -q -ay t/bm
label="a store that was removed"
attach; detach
is "$label: it is on record" "$(on_record)" 1
lvremove -q -y t/bm > /dev/null
writes_elsewhere
is "$label: no longer" "$(on_record)" 0
finish
