#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml-udev
#
# udev's handler of volumes that are attached persistently: what people say with attach and
# detach holds; wrong files stop only their own volume; many events at once, events during a
# backup, and handlers that are killed leave the volume running, and attached in the end.

. "$(dirname "$0")/persist-lib.sh"

# event [NAME]: what udev calls.
event()
{
	dmlive attach --event "/dev/mapper/${1:-t-vm1}"
}

# take_table: lvm2 gives the volume its own table, and nobody notices.
take_table()
{
	mv /run/udev/rules.d/93-dmlive.rules aside && udevadm control --reload
	lvchange --refresh t/vm1 || bail "refresh"
	udevadm settle
	mv aside /run/udev/rules.d/93-dmlive.rules && udevadm control --reload
}

is_cbw()
{
	[ "$(dm_target t-vm1)" = cbw ]
}

make_volumes
install_rule

label="not persistent"
attach
lvm "$label: refreshed" lvchange --refresh t/vm1
not_attached
run 0 "$label: attached" dmlive attach t/vm1 --meta "$M"
label="made persistent while attached"
run 0 "$label" dmlive attach t/vm1 --meta "$M" --persistent
run 0 "$label: once more" dmlive attach t/vm1 --meta "$M" --persistent --json
check "$label: JSON" jq -e .inserted "$out"
backup
lvm "$label: refreshed" lvchange --refresh t/vm1
attached; increments
like "$label: one line in the log" "$(dmesg | grep 'dmlive: ' | tail -n 1)" \
	"dmlive: t-vm1 is attached again, with /dev/"

# Detached on purpose: until it is activated again.
label="detached"
detach
not_attached
lvm "detached, refreshed" lvchange --refresh t/vm1
not_attached
lvm "detached, activated again" sh -c 'vgchange -q -an t && vgchange -q -ay t'
attached; increments
label="detaching was killed"
: > "/run/dmlive-attach/$(uuid t-vm1).detached"
cat "/sys/block/$(basename "$(realpath $V)")/diskseq" > "/run/dmlive-attach/$(uuid t-vm1).detached"
event
is "$label: no mark" "$(ls -A /run/dmlive-attach)" ""
label="detached and attached"
detach
run 0 "$label" dmlive attach t/vm1 --meta "$M"
lvm "$label, refreshed" lvchange --refresh t/vm1
attached; increments
label="detached for good"
run 0 "$label" dmlive detach t/vm1 --persistent
is "$label: no file" "$(ls -A $folder)" ""
is "$label: no mark" "$(ls -A /run/dmlive-attach)" ""
lvm "$label: refreshed" lvchange --refresh t/vm1
not_attached
run 3 "$label: there is nothing more" dmlive detach t/vm1 --persistent

# What it is attached with is kept, unless the command says otherwise.
label="made persistent with its settings"
run 0 "$label: attach" dmlive attach t/vm1 --meta "$M" --on-meta-error break_tracking \
	--block-size 1M
run 0 "$label" dmlive attach t/vm1 --meta "$M" --persistent
is "$label: the file" "$(tail -n +5 "$folder/$(uuid t-vm1).conf")" "OnMetaError=break_tracking
BlockSize=1048576"
run 0 "$label: others" dmlive attach t/vm1 --meta "$M" --persistent \
	--on-meta-error break_guest_write --block-size 128K
is "$label: others: the file" "$(tail -n +5 "$folder/$(uuid t-vm1).conf")" "BlockSize=131072"
run 0 "$label: detach" dmlive detach t/vm1 --persistent
label="a UUID by which it cannot be found again"
odd=$(make_disk 4) && dm_create odd "0 8192 linear $odd 0" --uuid "a b" || bail "odd"
run 3 "$label" dmlive attach t/vm1 --meta /dev/mapper/odd --persistent
says "$label: the reason" "odd: its device-mapper UUID is .*cannot be found again"
not_attached
dm_remove odd

# Files that people write.
mkdir -p $folder
write()
{
	printf '%s\n' "${@:2}" > "$folder/$1.conf"
}
mine=("VolumeUUID = $(uuid t-vm1)" "MetadataUUID=$(uuid t-bm)")
label="by hand"
write a "# a comment" "; another" "" "[Attach]" "${mine[@]}" "BlockSize=128K" \
	"OnMetaError = break_tracking"
write b "[Attach]" "VolumeUUID=$(uuid t-vm2)" "MetadataUUID=none" "nonsense"
lvm "$label: refreshed" lvchange --refresh t/vm1
attached
like "$label: its settings" "$(dmsetup table t-vm1)" " 256 1 on_meta_error break_tracking|256 2 on_meta_error break_tracking"
run 0 "$label: detach" dmlive detach t/vm1 --persistent
is "$label: only its file is removed" "$(ls $folder)" b.conf
# wrong NAME REGEX LINE...
wrong()
{
	write a "${@:3}"
	event > "$out" 2> "$err"
	is "$1: status" $? 1
	like "$1: the reason" "$(cat "$err")" "$2"
	not_attached
}
label="wrong files"
wrong "a bad value" "a.conf:4: BlockSize=5: must be a power of two" "[Attach]" "${mine[@]}" BlockSize=5
wrong "an unknown setting" "a.conf:4: there is no setting 'Blocksize'" "[Attach]" "${mine[@]}" Blocksize=64K
wrong "no value" "a.conf:4: must be KEY=VALUE: 'BlockSize'" "[Attach]" "${mine[@]}" BlockSize
wrong "no section" "a.conf:1: the section .Attach. must come first" "${mine[@]}"
wrong "another section" "a.conf:1: there is no section '.Unit.'" "[Unit]" "${mine[@]}"
wrong "no volume" "a.conf:2: VolumeUUID=a/b: is not a device-mapper UUID" "[Attach]" VolumeUUID=a/b
wrong "a path" "a.conf:3: Metadata=bm: must be an absolute path" "[Attach]" "${mine[0]}" Metadata=bm
wrong "a setting twice" "a.conf:4: VolumeUUID= is given twice" "[Attach]" "${mine[@]}" "${mine[0]}"
wrong "itself" "a.conf: VolumeUUID= and MetadataUUID= are the same" "[Attach]" "${mine[0]}" \
	"MetadataUUID=$(uuid t-vm1)"
wrong "no metadata device" "a.conf: MetadataUUID= is missing" "[Attach]" "${mine[0]}"
write a "[Attach]" "${mine[@]}"
mkfifo "$folder/d.conf"
timeout 10 "$(command -v dmlive)" attach --event $V > "$out" 2> "$err"
is "a FIFO: status" $? 1
like "a FIFO: the reason" "$(cat "$err")" "d.conf: is not a regular file"
rm "$folder/d.conf"
label="a FIFO"
attached
take_table
write c "[Attach]" "${mine[@]}"
event > "$out" 2> "$err"
is "two files: status" $? 1
like "two files: the second is ignored" "$(cat "$err")" "c.conf: is ignored, as .*/a.conf is about the same"
label="two files"
attached
rm $folder/[bc].conf
take_table
dirty $V
label="by path"
write a "[Attach]" "${mine[0]}" "Metadata=$M"
check "$label: of the metadata device" event t-bm
attached
full "written to without tracking"

# Not a mapped device. It appears after the volume.
label="a disk"
rm "$folder/a.conf"
take_table
truncate -s 4M disk.img && disk=$(losetup --find --show disk.img) || bail "disk"
on_exit sh -c "losetup -d $disk 2> /dev/null || true"
dmlive meta format "$disk" --track --bitmap B --size 16M > /dev/null || bail "meta format"
losetup -d "$disk" && udevadm settle
write a "[Attach]" "${mine[0]}" "Metadata=$disk"
lvm "$label: not there" lvchange --refresh t/vm1
not_attached
losetup "$disk" disk.img || bail "losetup"
label="a disk appears"
wait_until -t 30 is_cbw
attached
run 0 "$label: detach" dmlive detach t/vm1 --persistent
losetup -d "$disk"
write a "[Attach]" "${mine[@]}"
event
attached
dirty $V
backup

# Many events.
for ((i = 0; i < 3; i++)); do
	label="many events, $i"
	take_table
	pids=()
	for ((j = 0; j < 8; j++)); do
		event "$([ $((j % 2)) = 0 ] && echo t-vm1 || echo t-bm)" > events.log 2>&1 & pids+=($!)
	done
	wait "${pids[@]}"
	attached
done
increments

is_active()
{
	[ "$(dmsetup info -c --noheadings -o suspended t-vm1)" = Active ]
}

# A handler that is killed, wherever.
label="killed"
for ((i = 0; i < 8; i++)); do
	take_table
	event > events.log 2>&1 & pid=$!
	sleep 0.0$((RANDOM % 10))
	kill -KILL $pid 2> /dev/null
	wait $pid
	check "$label: the volume answers" timeout 30 dd if=$V of=/dev/null bs=4k count=1 iflag=direct
	# The guard puts back what was suspended; the rule skips that event.
	wait_until -t 30 is_active
	result $? "$label: it is not suspended"
	udevadm settle
done
# Another handler that is at work on it, because a guard has resumed it, attaches it as well.
event
wait_until -t 30 is_cbw
attached; increments

# A table that lvm2 is about to load is not replaced.
label="lvm2 at work"
take_table
exec {lock}>> /run/lock/lvm/V_t
flock -x "$lock" || bail "flock"
event > "$out" 2>&1
not_attached
like "$label: it says so" "$(cat "$out")" "a command of lvm2 is at work"
check "$label: there is a mark" test -e "/run/dmlive-attach/$(uuid t-vm1).missed"
is "$label: nothing is loaded" "$(dmsetup info -c --noheadings -o tables_loaded t-vm1)" Live
DM_COOKIE=6291456 event > "$out" 2>&1
not_attached
# Another program waits, or a command that has another group locked.
other=$(make_disk 4) && make_linear other "$other" > /dev/null || bail "disk"
write a "[Attach]" "${mine[0]}" "Metadata=/dev/mapper/other"
DM_COOKIE=6332402 event other > "$out" 2>&1
not_attached
like "$label on the group, not on that of the event: it says so" "$(cat "$out")" \
	"a command of lvm2 is at work"
write a "[Attach]" "${mine[0]}" "Metadata=$M"
dm_remove other
start=$EPOCHREALTIME
DM_COOKIE=6332402 event t-vm2 > "$out" 2>&1
check "$label: a missed event is not waited for" [ "$(elapsed "$start" | cut -d. -f1)" -lt 1 ]
not_attached
DM_COOKIE=6332402 event > "$out" 2>&1
label="lvm2 at work, and waits"
attached
exec {lock}>&-

# The command waits also while what was missed of the same volume is handled. The event
# itself is in vain.
label="lvm2 waits, and an event was missed"
for name in t-vm1 t-bm; do
	take_table
	exec {lock}>> /run/lock/lvm/V_t
	flock -x "$lock" || bail "flock"
	cat "/sys/block/$(basename "$(realpath $V)")/diskseq" \
		> "/run/dmlive-attach/$(uuid t-vm1).failed"
	: > "/run/dmlive-attach/$(uuid t-vm1).missed"
	SYNTH_UUID=0 DM_COOKIE=6332402 event $name > "$out" 2>&1
	attached
	exec {lock}>&-
done

# The next command handles what was missed before it does anything else.
label="missed, and who handled it was killed"
take_table
: > "/run/dmlive-attach/$(uuid t-vm1).taken"
backup
attached
is "$label: no mark" "$(ls -A /run/dmlive-attach)" ""
label="missed"
take_table
exec {lock}>> /run/lock/lvm/V_t
flock -x "$lock" || bail "flock"
event > "$out" 2>&1
not_attached
exec {lock}>&-
backup
attached
is "$label: no mark" "$(ls -A /run/dmlive-attach)" ""

# udev with one worker, which the handler must not wait for.
udevadm control --children-max=1
lvm "one worker" timeout 60 lvchange --refresh t/vm1
attached
write a "[Attach]" "${mine[@]}"
# lvm2 deactivates what the volume lies on with it, as far as it is in the same group.
lvm "one worker, activated" timeout 60 sh -c 'lvchange -q -an t/vm1 && vgchange -q -ay t'
attached
udevadm control --children-max=8
label="inner device"
udevadm settle
check "$label: its node is udev's link" test -L /dev/mapper/t-vm1-dmlive
is "$label: udev does not look into it" \
	"$(udevadm info /dev/mapper/t-vm1-dmlive | grep -cE 'ID_FS_|by-uuid')" 0

# The volume alone is activated, then its metadata device, as in an initramfs.
label="metadata later"
lvchange -q -an t/vm1 && lvchange -q -ay t/vm1 || bail "lvchange"
lvchange -q -an t/bm
not_attached
like "$label: it says so" "$(dmesg | grep 'dmlive: ' | tail -n 1)" "metadata device .* is not active"
check "$label: its activation" "$contrib/local-top"
attached
label="initramfs"
if [ -e /usr/share/initramfs-tools/hook-functions ]; then
	check "$label: hook" env DESTDIR="$TMP/root" version="$(uname -r)" verbose=n "$contrib/hook"
	is "$label: the file" "$(ls root$folder)" a.conf
	is "$label: the rule" "$(ls root/lib/udev/rules.d)" 93-dmlive.rules
	check "$label: the program" test -x "root$(command -v dmlive)"
else
	skip "$label" "there is no initramfs-tools"
fi

# During a backup: the backup's end attaches it.
label="during a backup"
dmlive backup $V slow.qcow2 --force --speed 1M > slow.log 2>&1 & pid=$!
wait_until grep -q "point in time is now" slow.log || bail "no backup: $(cat slow.log)"
check "$label: refreshed" timeout 60 lvchange --refresh t/vm1
not_attached
like "$label: who attaches it" "$(dmesg | grep 'dmlive: ' | tail -n 1)" "attaches it when it ends"
wait $pid
check "$label: the backup fails" [ $? -ne 0 ]
attached
backup
is "$label: no mark" "$(ls -A /run/dmlive-attach)" ""
finish
