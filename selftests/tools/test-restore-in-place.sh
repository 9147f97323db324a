#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# A volume that is restored in place has the image's content at once, under its own name, and
# its own table in the end. After a restart its own table never shows what is restored so
# far, and the restore goes on.

. "$(dirname "$0")/in-place-lib.sh"
make_volumes

run 0 "in place" in_place --speed 64K --background
like "it says that it is usable" "$(cat "$out")" "t-vm1 .* is usable"
is "the volume itself has alloctrack" "$(dm_target $MAP)" alloctrack
is "its own table is on the inner device" "$(dmsetup table $INNER)" "$plain_table"
like "the record" "$(cat "$record")" "MetadataUUID=LVM-"
check "the image's content at once" has_content 6
is "status" "$(dmlive status t/vm1 --json | jq -c '[.in_place,.state,.leftovers]')" '[true,"running",[]]'
head -c 65536 /dev/zero | tr '\0' '\251' > guest.data
dd if=guest.data of=$V bs=512 seek=$((5 * 2048 + 3)) oflag=direct conv=fsync status=none
result $? "the guest writes"
dd if=guest.data of=expected.raw bs=512 seek=$((5 * 2048 + 3)) conv=notrunc status=none

run 3 "attach is refused" dmlive attach t/vm1
says "with the reason" "being restored"
run 3 "so is detach" dmlive detach t/vm1
says "with both ways out" "dmlive resume.*dmlive detach .* --force"
run 3 "and a second restore" in_place

lose_server
check "without a server it stays" [ "$(dm_target $MAP)" = alloctrack ]
run 0 "resume by the volume" dmlive resume t/vm1 --background
check "it has a server" [ -n "$(server_of $MAP)" ]

restart
label="restarted"
check "$label: the bare volume has another content" [ "$(dm_target $MAP)" = linear ]
run 0 "$label: the handler" dmlive attach --event /dev/mapper/$MAP
is_fenced "$label"
run 0 "$label: status" dmlive status
like "$label: shows it" "$(cat "$out")" "t-vm1: .*not finished.*dmlive resume t-vm1"
run 3 "$label: attach is refused" dmlive attach t/vm1
run 3 "$label: so is a restore over it" dmlive restore image.qcow2 t/vm1 --name r --force
says "$label: with the ways out" "dmlive resume t-vm1.*dmlive detach t-vm1 --force"
mv image.qcow2 away.qcow2
run 1 "$label: the image is away" dmlive resume t/vm1
is_fenced "$label: the image is away"
mv away.qcow2 image.qcow2
run 0 "$label: resume" dmlive resume t/vm1 --background
check "$label: content at once" has_content 5

label="a table of lvm2"
check "$label: refresh" lvchange -q --refresh t/vm1
run 0 "$label: the handler" dmlive attach --event /dev/mapper/$MAP
is_fenced "$label"
check "$label: the server has ended" wait_until [ ! -e /run/dmlive/$MAP.lock ]
exec 8< /dev/mapper/$MAP
run 3 "$label: resume while it is in use" dmlive resume t/vm1
exec 8<&-
is_fenced "$label: resume while it is in use"
dmsetup load $MAP <<< "$plain_table"
run 3 "$label: resume while it is loaded" dmlive resume t/vm1
says "$label: the reason" "has an inactive table"
is "$label: it stays loaded" "$(dmsetup table --inactive $MAP)" "$plain_table"
dmsetup clear $MAP
lvcreate -q -y -L 1M -n x t > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
metadata_uuid=$(dmsetup info -c --noheadings -o uuid t-m)
other_uuid=$(dmsetup info -c --noheadings -o uuid t-x)
sed -i "s/$metadata_uuid/$other_uuid/" "$record"
run 3 "$label: other metadata on record" dmlive resume t/vm1
says "$label: the reason" "x does not hold the metadata.*detach t-vm1 --force"
run 3 "$label: metadata that are not on record" dmlive resume /dev/t/m
says "$label: the reason" "and not with .*--force"
sed -i "s/$other_uuid/$metadata_uuid/" "$record"
lvremove -q -y t/x > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
cp "$record" record && rm "$record"
run 3 "$label: no resume without a record" dmlive resume /dev/t/m --background
says "$label: the reason, and the way out" "no record.*newer data.*--force"
check "$label: lvm2's table stays" lvchange -q --refresh t/vm1
check "$label: it is bare" has_own_table
exec 8< /dev/mapper/$MAP
run 3 "$label: no fence while it is in use" dmlive resume /dev/t/m --background --force
exec 8<&-
check "$label: it is bare still" has_own_table
run 0 "$label: resume by its metadata device" dmlive resume /dev/t/m --background --force
is "$label: the record is there again" "$(tail -n +2 "$record")" "$(tail -n +2 record)"
dmlive stream $MAP speed 0
ends_well "$label"
is "$label: the metadata" "$(dmlive meta dump /dev/t/m --json | jq -r .restore | jq .finished)" 1
run 1 "nothing is left to resume" dmlive resume t/vm1

label="with --meta auto"
cp image.qcow2.raw expected.raw && truncate -s 12M expected.raw
run 0 "$label: restore" dmlive restore image.qcow2 t/vm1 --in-place --force --json
is "$label: JSON" "$(tail -n 1 "$out" | jq -r .event)" finished
ends_well "$label"
check_fails "$label: its volume is gone" lvs t/vm1_dmlive

label="given up"
run 0 "$label: restore" in_place --speed 16K --background
exec 8< /dev/mapper/$MAP
run 3 "$label: not while it is in use" dmlive detach t/vm1 --force
exec 8<&-
lvreduce -q -y -f -L 11M t/vm1 > lvm.log 2>&1 && dmlive attach --event /dev/mapper/$MAP 2> "$err"
check "$label: reduced: it is on record" grep -q Reduced=yes "$record"
lvextend -q -L 12M t/vm1 > lvm.log 2>&1 && dmlive attach --event /dev/mapper/$MAP 2> "$err"
is_fenced "$label: reduced, and extended again"
run 3 "$label: and not resumed" dmlive resume t/vm1
says "$label: the reason" "was reduced.*dmlive detach t-vm1 --force"
sed -i "s/$metadata_uuid/LVM-none/" "$record"
run 3 "$label: not without its metadata" dmlive detach t/vm1 --force
says "$label: the ways out" "LVM-none.*activate.*wipe it and remove $record"
is_fenced "$label: still"
sed -i "s/LVM-none/$metadata_uuid/" "$record"
run 0 "$label: detach --force" dmlive detach t/vm1 --force
check "$label: its own table" is_over
is "$label: nothing is reported" "$(dmlive status --json | jq -c .)" "[]"
run 3 "$label: nothing to resume" dmlive resume /dev/t/m
run 0 "$label: restore again" in_place
ends_well "$label"

label="extended while it is resumed"
soil $V
run 0 "$label: restore" in_place --speed 64K --background
restart
dmlive attach --event /dev/mapper/$MAP 2> "$err"
exec 8< /dev/mapper/$MAP
dmlive resume t/vm1 --background > resume.out 2>&1 8<&- &
check "$label: it waits until nobody has it open" wait_until [ -e /run/dmlive/$MAP.lock ]
sleep 1
check "$label: lvextend" lvextend -q -L 13M t/vm1 8<&-
exec 8<&-
wait $!
result $? "$label: resume" || diag "$(cat resume.out)"
is "$label: it writes to the new table" "$(blockdev --getsize64 /dev/mapper/$INNER)" 13631488
dmlive stream $MAP speed 0
plain_table=$(dmsetup table $INNER)
dd if=$V of=expected.raw bs=1M skip=12 seek=12 count=1 iflag=direct status=none
ends_well "$label"

label="complete, but its own table is lost"
truncate -s 12M expected.raw && truncate -s 13M expected.raw
run 0 "$label: restore" in_place --no-finish
for device in $MAP $INNER; do
	dmsetup load $device --table "0 $(blockdev --getsz /dev/mapper/$device) error" &&
		dmsetup resume $device || bail "dmsetup"
done
run 1 "$label: resume" dmlive resume t/vm1
says "$label: the way out" "lvchange --refresh.*dmlive finish t-vm1"
check "$label: it is on record" grep -q State=complete "$record"
run 1 "$label: finish" dmlive finish t-vm1
check "$label: refresh" lvchange -q --refresh t/vm1
run 0 "$label: the handler" dmlive attach --event /dev/mapper/$MAP
check "$label: no fence" has_own_table
run 0 "$label: finish after that" dmlive finish t-vm1
ends_well "$label"
finish
