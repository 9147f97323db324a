#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# restore --vm restores all disks of the newest complete backup of a virtual machine in place,
# onto volumes that it makes, or that are there, and defines the machine with them. Where one
# disk fails, it says what has begun.

. "$(dirname "$0")/vm-lib.sh"
require_command lvcreate

make_guest a 8
make_guest b 4
mkdir d
set_domain "$(disk_xml vda /dev/mapper/a)" "$(disk_xml vdb /dev/mapper/b)" \
	"$(disk_xml sda /x.iso cdrom file)"
: > "$VIRSH/calls"
uuid=11111111-2222-3333-4444-555555555555

pv=$(make_loop 96) || bail "disk"
vgcreate -q -s 1M t "$pv" > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f t

run 1 "no backup" dmlive restore --vm d
says "it says so" "d: no complete backup of a virtual machine is here"
run 0 "the first backup" dmlive backup --vm "my vm" d
sleep 1.1
dd if=/dev/urandom of=/dev/mapper/a bs=1M count=1 oflag=direct conv=notrunc status=none
content a a.ref
content b b.ref
run 0 "the second one" dmlive backup --vm "my vm" d
records=(d/*.json)
echo '{"format": "dmlive-vm-backup", "uuid": "x' > d/zzz.json
echo '[1]' > d/zz.json

# volumes - names of the logical volumes that are not dmlive's metadata.
volumes()
{
	lvs --noheadings -o lv_name t 2> /dev/null | grep -v dmlive | xargs
}

# is_whole VOLUME FILE
is_whole()
{
	wait_until -t 60 eval '[ "$(dm_target t-'"${1//-/--}"')" = linear ]' || bail "$1 is not restored"
	check "$1 has the content" cmp "/dev/t/$1" "$2"
}

run 0 "onto new volumes" dmlive restore --vm d --vg t --create --define
check "the result" grep -q "my vm: all disks are usable, it is defined" "$out"
says "what stays as it is" "the disk sda is not in the backup, and stays /x.iso"
check "its content at once" cmp -n 1048576 a.ref /dev/t/my_vm-vda
is_whole my_vm-vda a.ref
is_whole my_vm-vdb b.ref
is "the definition" "$(grep -o "dev='*\"*/dev[^'\"]*" "$VIRSH/defined.xml" | grep -o '/.*' | xargs)" \
	"/dev/t/my_vm-vda /dev/t/my_vm-vdb"
is "size" "$(blockdev --getsize64 /dev/t/my_vm-vdb)" $((4 << 20))

run 3 "volumes that are there" dmlive restore --vm d --vg t --create
says "the way out" "t/my_vm-vda, for the disk vda, exists already; leave out --create"
run 0 "the first backup, onto them" dmlive restore --vm "${records[0]}" --vg t --force --xml my.xml --json
is "the event" "$(tail -n 1 "$out" | jq -c '[.event, .domain, .disks[1], .defined]')" \
	'["vm","my vm",{"target":"vdb","device":"/dev/t/my_vm-vdb"},false]'
is "the definition is private" "$(stat -c %a my.xml)" 600
check "the definition" grep -q /dev/t/my_vm-vdb my.xml
wait_until -t 60 eval '[ "$(dm_target t-my_vm--vda)" = linear ]'
check_fails "another content" cmp -s a.ref /dev/t/my_vm-vda
is_whole my_vm-vdb b.ref

# What is refused changes nothing.
before=$(volumes)
# refuses STATUS REASON OPTION...
refuses()
{
	local status=$1 reason=$2
	shift 2
	run "$status" "refused: $reason" dmlive restore --vm "$@"
	says "the reason" "$reason"
	is "no volume was made" "$(volumes)" "$before"
}
new=(d --vg t --create --map vda=t/x --map vdb=t/y)
echo "$uuid" > "$VIRSH/list--uuid"
refuses 3 "my vm, which has the same UUID, runs; shut it down" "${new[@]}" --define
cp "$VIRSH/kept.xml" "$VIRSH/live.xml"
refuses 3 "defined already, and its disk vda is /dev/mapper/a, not /dev/t/x" "${new[@]}" --define
: > "$VIRSH/list--uuid"
echo "my vm" > "$VIRSH/list--name"
refuses 3 "another virtual machine is called my vm" "${new[@]}" --define
echo "$uuid" > "$VIRSH/list--with-managed-save"
refuses 3 "my vm has a managed save image.*virsh managedsave-remove $uuid" "${new[@]}"
rm "$VIRSH/list--with-managed-save"
refuses 3 "my.xml: it exists already" "${new[@]}" --xml my.xml
refuses 2 "the backup has no disk vdq" "${new[@]}" --map vdq=t/z
refuses 2 "would both be restored to /dev/t/x" "${new[@]}" --map vdb=t/x
refuses 2 "must be DISK=DEVICE" d --map vda
refuses 2 "name a logical volume: --map vda=VG/LV" d --create
refuses 1 "nothere" d --map vda=t/nothere
refuses 3 "none/y, for the disk vdb, cannot be made" "${new[@]}" --map vdb=none/y
truncate -s 0 empty.json
refuses 1 "is not the record" empty.json
jq '.disks[0].image = "../../etc/passwd"' "${records[0]}" > d/evil.json
refuses 1 "not described wholly" d/evil.json
jq '.uuid = "00000000-2222-3333-4444-555555555555"' "${records[0]}" > d/evil.json
refuses 1 "the definition is that of another machine" d/evil.json
refuses 1 "different virtual machines; name the one" d
rm d/evil.json

# Of volumes that are there, each is checked before the first is restored.
lvcreate -q -y -L 8M -n p t > lvm.log 2>&1 && lvcreate -q -y -L 2M -n q t >> lvm.log 2>&1 &&
	lvcreate -q -y -L 4M -n r t >> lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
before=$(volumes)
old=(d --map vda=t/p)
refuses 2 "both be restored to" "${old[@]}" --map "vdb=$(readlink -f /dev/t/p)"
refuses 3 "t/q, for the disk vdb, is too small" "${old[@]}" --map vdb=t/q
mkfs.ext4 -q /dev/t/r || bail "mkfs"
refuses 3 "t/r, for the disk vdb, holds a .*--force" "${old[@]}" --map vdb=t/r
exec 7< /dev/t/r
refuses 3 "in use" "${old[@]}" --map vdb=t/r --force
exec 7<&-
is "vda is not touched" "$(dm_target t-p)" linear
lvremove -q -y t/p t/q t/r > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
before=$(volumes)

# The second disk fails: the first one goes on, and the volume of the second is removed.
mv d/my_vm-vdb-*.qcow2 "$TMP"
refuses 1 "the image of vdb" "${new[@]}"
for f in my_vm-vdb-*.qcow2; do
	head -c 65536 /dev/zero > "d/$f"
	printf 'QFI\373\0\0\0\3' | dd of="d/$f" conv=notrunc status=none
done
run 1 "a broken image" dmlive restore --vm "${new[@]}" --speed 1M
says "what failed" "the disk vdb cannot be restored to /dev/t/y"
says "what has begun" "the restore of the disk vda has begun and goes on; to give it up: dmlive detach /dev/t/x --force"
is "its volume is removed" "$(volumes)" "$before x"
run 0 "given up as it says" dmlive detach /dev/t/x --force
mv my_vm-vdb-*.qcow2 d/
lvremove -q -y t/x > lvm.log 2>&1

: > "$VIRSH/list--name"
: > "$VIRSH/refuse"
run 1 "libvirt refuses the definition" dmlive restore --vm "${new[@]}" --define
says "the reason and the way out" "its disks are usable, but its definition .* is in the backup: my_vm-"
is_whole x a.ref
is_whole y b.ref

# libvirt itself: its test driver.
rm "$TMP/bin/virsh"
if hash -r && command -v virsh > virsh.log; then
	{ echo "<node>" && sed "s/type='kvm'/type='test'/; s:<devices>:<memory>65536</memory><os><type>hvm</type></os>&:" \
		"$VIRSH/kept.xml" && echo "</node>"; } > node.xml
	run 3 "libvirt itself: it runs" dmlive restore --vm d --vg t --force --define \
		--connect "test://$TMP/node.xml"
	says "libvirt itself: it says so" "runs; shut it down first"
	sed "s/$uuid/99${uuid:2}/" node.xml > other.xml
	run 3 "libvirt itself: its name is taken" dmlive restore --vm d --vg t --force --define \
		--connect "test://$TMP/other.xml"
	says "libvirt itself: it says so" "another virtual machine is called"
fi
finish
