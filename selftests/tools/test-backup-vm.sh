#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# backup --vm copies all disks of a virtual machine, and keeps its definition and a record of
# what belongs together. Its agent freezes it, and it is thawed in every case: after a
# failure, a signal, SIGKILL, and a freeze or a suspend that hangs. Disks that cannot be
# backed up are refused.

. "$(dirname "$0")/vm-lib.sh"

make_tracked a 8
make_tracked b 4
mkdir d
both=("$(disk_xml vda /dev/mapper/a)" "$(disk_xml vdb /dev/mapper/b)")

# forget - what virsh was called with, and the backups.
forget()
{
	rm -rf d/* "$VIRSH"/{calls,slow,hang,kill,frozen,none,expires}
	: > "$VIRSH/calls"
}

# the_record FIELD - of the only record.
the_record()
{
	jq -cr "$1" d/*.json
}

is_thawed()
{
	wait_until -t 30 eval '[ "$(called domfsthaw)" -ge 1 ] && [ ! -e "$VIRSH/frozen" ]'
	result $? "$1: thawed"
}

set_domain "${both[@]}" "$(disk_xml sda '' cdrom file '<readonly/>')"
: > "$VIRSH/agent"
: > "$VIRSH/calls"
content a a.ref
content b b.ref
run 0 "a machine" dmlive backup --vm "my vm" d --bitmap B
check "what is left out" grep -q "^my vm: sda is left out: cdrom" "$out"
check "the result" grep -q "recorded in .*my_vm-.*json .frozen by its agent" "$out"
is "once frozen, while nothing is suspended" "$(grep -E 'domfs' "$VIRSH/calls" | xargs)" \
	"C domfsfreeze 11111111-2222-3333-4444-555555555555 Active C domfsthaw 11111111-2222-3333-4444-555555555555 Active"
is "its record" "$(the_record '[.format, .domain, .consistency, (.disks | map(.target)), .disks[0].source, .disks[0].size_bytes, .left_out[0].target]')" \
	'["dmlive-vm-backup","my vm","agent",["vda","vdb"],"/dev/mapper/a",8388608,"sda"]'
vda=d/$(the_record '.disks[0].image')
same_image "$vda" a.ref
same_image "d/$(the_record '.disks[1].image')" b.ref
check "the definition is kept" cmp "d/$(the_record .xml)" "$VIRSH/kept.xml"
is "passwords are for root alone" "$(stat -c %a d/*.xml d/*.json | xargs)" "600 600"

change a 100 8
sleep 1.1
run 0 "increments by themselves" dmlive backup --vm "my vm" d --bitmap B --no-full --json
is "the base" "$(tail -n 1 "$out" | jq -r '.devices[0].backing')" "$(basename "$vda")"
is "the event" "$(jq -rs 'map(select(.event == "vm"))[0].domain' "$out")" "my vm"

forget
rm "$VIRSH/agent"
run 0 "no agent" dmlive backup --vm "my vm" d
says "the reason" "after a power cut, because the guest agent does not answer: QEMU guest agent is not connected"
is "no agent: nothing to thaw" "$(called domfs.*)" 0
is "no agent: on record" "$(the_record .consistency)" crash
: > "$VIRSH/agent"
forget
run 0 "--no-agent" dmlive backup --vm "my vm" d --no-agent
is "--no-agent: not asked" "$(called '(domfs|qemu).*')" 0


# crash FLAG REASON
crash()
{
	forget
	: > "$VIRSH/$1"
	run 0 "$1" dmlive backup --vm "my vm" d
	says "the reason" "$2.*after a power cut"
	is "$1: on record" "$(the_record .consistency)" crash
}

crash none "froze no file system"
crash expires "thawed too early"
crash frozen "somebody else has frozen its file systems"
is "frozen by somebody else: it stays so" "$(called 'domfs.*') $(ls "$VIRSH/frozen")" "0 $VIRSH/frozen"
forget
domain_xml "${both[@]}" > "$VIRSH/live.xml"
echo 11111111-2222-3333-4444-555555555555 > "$VIRSH/list--with-managed-save"
run 0 "a managed save" dmlive backup --vm "my vm" d
says "the warning" "my vm: .* has a managed save image: .* as after a power cut, without its memory"
is "a managed save: on record" "$(the_record .consistency)" crash
rm "$VIRSH/list--with-managed-save"
forget
run 0 "shut off" dmlive backup --vm "my vm" d
is "shut off: on record" "$(the_record .consistency)" off
set_domain "${both[@]}"

forget
: > "$VIRSH/hang"
run 0 "a freeze that hangs" dmlive backup --vm "my vm" d --freeze-timeout 6
says "the reason" "could not be frozen, and the backup is as after a power cut: no answer of libvirt within 3 s"
says "its way out" "thaw.* tried for 10 more minutes.*virsh domfsthaw 11111111-2222-3333-4444-555555555555"
is "a freeze that hangs: on record" "$(the_record .consistency)" crash
: > "$VIRSH/frozen"
rm "$VIRSH/hang"
is_thawed "a freeze that hangs, when the agent answers again"

forget
: > "$VIRSH/kill"
(dmlive backup --vm "my vm" d > "$out" 2> "$err") 2> /dev/null
is_thawed "killed when it is frozen"
check "no record of it" [ -z "$(ls d/*.json 2> /dev/null)" ]

forget
: > "$VIRSH/slow"
set -m
dmlive backup --vm "my vm" d > "$out" 2> "$err" &
backup=$!
set +m
wait_until eval '[ "$(called domfsfreeze)" = 1 ]' || bail "not frozen: $(cat "$err")"
kill -KILL $backup
wait $backup 2> /dev/null
is_thawed "killed while it is being frozen"
wait_until -t 20 eval '[ "$(called domfsthaw)" -ge 2 ]'
result $? "killed while it is being frozen: thawed again, in case it was late"

for signal in TERM KILL; do
	forget
	start_backup --vm "my vm" d --speed 1M
	is_thawed "SIG$signal: at the point in time"
	kill -$signal $backup
	wait $backup 2> /dev/null
	check "SIG$signal: no record" [ -z "$(ls d/*.json 2> /dev/null)" ]
	[ $signal = KILL ] || check "SIG$signal: nothing is left" [ -z "$(ls -A d)" ]
done

# I/O hangs on a device, so it cannot be suspended.
forget
run 0 "the next one" dmlive backup --vm "my vm" d
forget
lower=$(make_disk 4) && make_linear low "$lower" > /dev/null || bail "low"
dm_create c "0 $(sectors "$lower") cbw /dev/mapper/low - 128" || bail "c"
dmsetup suspend low
dd if=/dev/zero of=/dev/mapper/c bs=4096 count=1 oflag=direct conv=notrunc status=none &
hanging=$!
is_under_way()
{
	awk '{ exit $9 == 0 }' "/sys/dev/block/$(dmsetup info -c --noheadings \
		-o major,minor --separator : c)/stat"
}
wait_until is_under_way || bail "no I/O is in flight"
set_domain "${both[@]}" "$(disk_xml vdc /dev/mapper/c)"
run 1 "a suspend that hangs" timeout -s KILL 60 dmlive backup --vm "my vm" d --freeze-timeout 2
says "the reason" "freeze-timeout"
is_thawed "a suspend that hangs"
check "nothing is left" [ -z "$(ls -A d)" ]
dmsetup resume low
wait $hanging

# refuses TARGET REASON DISK... - beside vda.
refuses()
{
	local target=$1 reason=$2
	shift 2
	set_domain "$(disk_xml vda /dev/mapper/a)" "$@"
	run 3 "refused: $reason" dmlive backup --vm "my vm" d
	says "the disk, reason and way out" "disk $target cannot be backed up: .*$reason.*--exclude-disk $target"
	check "nothing is left" [ -z "$(ls -A d)" ]
}

forget
refuses vdb "not a block device.*/x.img" "$(disk_xml vdb /x.img disk file)"
refuses vdb "format is 'qcow2'" "$(disk_xml vdb /dev/mapper/b disk block "<driver type='qcow2'/>")"
refuses vdb "not a path" "$(disk_xml vdb b)"
run 0 "left out by name" dmlive backup --vm "my vm" d --exclude-disk vdb
is "left out by name: on record" "$(the_record '[.left_out[0].target, (.disks | length)]')" '["vdb",1]'
forget
set_domain "${both[@]}"
domain_xml "${both[0]}" > "$VIRSH/kept.xml"
run 3 "only now" dmlive backup --vm "my vm" d
says "the reason" "vdb .*the persistent definition has no such disk"
domain_xml "${both[@]}" "$(disk_xml vdx /dev/mapper/c)" > "$VIRSH/kept.xml"
run 3 "not now" dmlive backup --vm "my vm" d
says "the reason" "vdx .*the guest does not have it now"

set_domain "$(disk_xml vda /dev/mapper/low)"
run 3 "not attached" dmlive backup --vm "my vm" d
says "the way out" "dmlive attach low"
check "nothing is left" [ -z "$(ls -A d)" ]
set_domain "$(disk_xml sda '' cdrom)"
run 3 "no disk" dmlive backup --vm "my vm" d
set_domain "${both[@]}"
echo 5 > "$VIRSH/list--name"
run 3 "an ID that is also a name" dmlive backup --vm 5 d
says "the way out" "the ID of my vm .UUID 1.*give the UUID"
rm "$VIRSH/list--name"
echo "<domain><name>x</name>" > "$VIRSH/live.xml"
run 1 "bad XML" dmlive backup --vm "my vm" d
says "it says so" "is not the XML of a libvirt domain"
run 1 "no such machine" dmlive backup --vm missing d
says "what virsh says" "missing: libvirt does not give its definition: failed to get domain 'missing'"
echo qemu+ssh://other/system > "$VIRSH/uri"
run 3 "another machine" dmlive backup --vm "my vm" d
says "the way out" "qemu.ssh://other/system is the libvirt of another machine.*run dmlive there"
rm "$VIRSH/uri"
PATH=$CHECKOUT/build/tools run 1 "no virsh" dmlive backup --vm "my vm" d
says "the way out" "is libvirt-clients installed"
for wrong in "--vm x" "--vm x d d" "--vm -x d" "--vm x d --format raw" "--vm x d --bitmap B --base y" \
	"a a.raw --no-agent" "a a.raw --connect x" "--vm x d --full"; do
	# shellcheck disable=SC2086
	run 2 "$wrong" dmlive backup $wrong
done
set_domain "${both[@]}"
run 2 "no such disk" dmlive backup --vm "my vm" d --exclude-disk vdq
run 1 "no such folder" dmlive backup --vm "my vm" e
is_idle a "at the end"
is_idle b "at the end"

# The real virsh, with libvirt's own test driver.
virsh=$(PATH=${PATH#*:} command -v virsh) || finish
rm "$TMP/bin/virsh"
{ echo "<node>" && ID='' domain_xml "<disk type='block'><source dev='/dev/mapper/a'/><target dev='vda'/></disk>" |
	sed "s/type='kvm'/type='test'/; s:<devices>:<memory>65536</memory><os><type>hvm</type></os>&:" &&
	echo "</node>"; } > node.xml
run 0 "libvirt itself" dmlive backup --vm "my vm" d --connect "test://$TMP/node.xml"
is "libvirt itself: the disk" "$(the_record .disks[0].source)" /dev/mapper/a
check "libvirt itself: the definition" "$virsh" -c "test://$TMP/node.xml" define "d/$(the_record .xml)"
finish
