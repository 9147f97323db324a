#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml-udev
#
# backup --fleece VG keeps old data on a logical volume that it makes, and removes it in
# every case: at the end, after a failure and a signal, and, if it is killed, by the next
# command. It never removes that of a backup that runs, and never runs lvm2 while a device
# is suspended.

. "$(dirname "$0")/backup-lib.sh"
require_command lvcreate

pv=$(make_loop 120) || bail "disk"
{ vgcreate -q tvg "$pv" && lvcreate -q -y -W n -L 32M -n vol tvg; } > lvm.log 2>&1 ||
	bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f tvg
make_guest g 32
# All of it needs slots.
dd if=/dev/urandom of=/dev/mapper/g bs=1M oflag=direct count=32 status=none
random_raw vol.raw 32
dd if=vol.raw of=/dev/tvg/vol bs=1M oflag=direct status=none
dmlive attach tvg/vol > "$out" 2>&1 || bail "attach: $(cat "$out")"
on_exit dmlive detach tvg/vol --force
before[tvg-vol]=$(dmsetup table tvg-vol)
content g g.raw

# lvm2's commands note when a device is suspended. SLOW: they start later; KILL: their
# caller is killed after them; AT_REMOVE: what happens just before lvremove.
mkdir fake
for command in lvcreate lvremove lvs; do
	cat > fake/$command <<FAKE
#!/bin/sh
dmsetup info -c --noheadings -o suspended | grep -qi '^suspended' && echo $command >> $TMP/bad
[ $command != lvremove ] || eval "\${AT_REMOVE:-}"
[ $command != lvcreate ] || { touch $TMP/is-called; sleep \${SLOW:-0}; }
$(command -v $command) "\$@"
status=\$?
[ $command != "\${KILL:-}" ] || kill -KILL \$PPID
exit \$status
FAKE
	chmod +x fake/$command
done
PATH=$TMP/fake:$PATH

lvm_quietly()
{
	"$@" > lvm.log 2>&1 || bail "$*: $(cat lvm.log)"
}

fleeces()
{
	lvs --noheadings -o lv_name @dmlive.role=fleece 2> /dev/null | tr -d ' '
}

# none_left DESCRIPTION
none_left()
{
	is "$1: no volume is left" "$(fleeces)" ""
	is "$1: nothing in /run" "$(ls -A /run/dmlive 2> /dev/null)" ""
}

# has_column COLUMN: of lvs, for the only fleece volume.
has_column()
{
	lvs --noheadings --nosuffix --units k -o "$1" @dmlive.role=fleece | tr -d ' '
}

for place in tvg:0% tvg:101% tvg:5 tvg:1G tvg: tvg:5%x; do
	run 2 "$place" dmlive backup g a.qcow2 --fleece $place
	says "$place: the reason" "--fleece $place: .*1% to 100%: tvg:20%"
done
run 1 "no such group" dmlive backup g a.qcow2 --fleece absent
says "the reason" '--fleece absent: No such file or directory, and no volume group: .*"absent" not found'
mkdir tvg
run 0 "a folder of that name counts" dmlive backup g a.qcow2 --fleece tvg
rmdir tvg
check_fails "lvm2 was not called" [ -e is-called ]
none_left "refused"

label="the default"
SPEED=6M start_backup g a.qcow2 --force --fleece tvg
is "$label: its size" "$(has_column lv_size)" 16384.00
like "$label: its tags" ",$(has_column lv_tags)," \
	',dmlive,(.*,)?dmlive.by=[0-9a-f]{32}:[0-9a-f]{8}:[0-9]+:[0-9]+,(.*,)?dmlive.of=g,(.*,)?dmlive.role=fleece,'
check "$label: the guest writes" dd_write /dev/mapper/g $((25 << 20)) $((2 << 20))
# A backup of another device at the same time leaves it alone.
first=$backup first_volume=$(fleeces)
run 0 "$label: two at a time" dmlive backup tvg/vol v.qcow2 --fleece tvg:50%
is "$label: the other one has its own" "$(fleeces)" "$first_volume"
same_image v.qcow2 vol.raw
wait "$first"
is "$label: ends" $? 0
same_image a.qcow2 g.raw
none_left "$label"

label="the group is full"
lvm_quietly lvcreate -q -y -W n -l 100%FREE -n rest tvg
run 3 "$label" dmlive backup g a.qcow2 --force --fleece tvg
says "$label: the reason" "insufficient free space.*--fleece tvg:SIZE%"
none_left "$label"
lvm_quietly lvremove -q -y tvg/rest

label="it is too small"
start_backup g b.qcow2 --fleece tvg:1%
check "$label: the guest writes" dd_write /dev/mapper/g $((8 << 20)) $((24 << 20))
ends 4 "$label: fails"
says "$label: the way out" "is full .*larger share, --fleece tvg:SIZE%"
none_left "$label"
content g g.raw

for signal in INT TERM; do
	label="SIG$signal while it copies"
	start_backup g b.qcow2 --fleece tvg
	kill -$signal "$backup"
	ends 4 "$label"
	none_left "$label"
done

label="Ctrl-C while lvcreate runs"
rm -f is-called
set -m
SLOW=1 dmlive backup g b.qcow2 --fleece tvg > "$out" 2> "$err" < /dev/null &
backup=$!
set +m
check "$label" wait_until [ -e is-called ]
kill -INT -- -$backup
ends 4 "$label: interrupted"
none_left "$label"

label="killed while it copies"
start_backup g b.qcow2 --fleece tvg
kill -KILL "$backup"
wait "$backup" 2> /dev/null
run 0 "$label: a backup of another device" dmlive backup tvg/vol v.qcow2 --force --fleece tvg
is "$label: its session still has it" "$(fleeces | wc -l)" 1
run 0 "$label: the next backup" dmlive backup g b.raw --fleece .
says "$label: it says so" "was interrupted; its session has been ended"
none_left "$label"
same_image b.raw g.raw

label="killed while it copies, and detached"
start_backup tvg/vol b.qcow2 --fleece tvg
kill -KILL "$backup"
wait "$backup" 2> /dev/null
run 0 "$label" dmlive detach tvg/vol
is "$label: no volume is left" "$(fleeces)" ""
dmlive attach tvg/vol > "$out" 2>&1 || bail "attach: $(cat "$out")"

label="killed after lvcreate"
KILL=lvcreate dmlive backup g b.qcow2 --fleece tvg > "$out" 2> "$err"
is "$label: there is one" "$(fleeces | wc -l)" 1
run 0 "$label: a backup of another device removes it" dmlive backup tvg/vol v.qcow2 --force \
	--fleece tvg
says "$label: it says so" "tvg/dmlive_fleece_[^ ]* was left by a backup that was killed, and is removed"
is "$label: no volume is left" "$(fleeces)" ""
run 0 "$label: the next backup" dmlive backup g b.qcow2 --fleece tvg
none_left "$label"

label="killed after lvcreate, and the device is in use by others"
KILL=lvcreate dmlive backup g e.qcow2 --fleece tvg > "$out" 2> "$err"
like "$label: status" "$(dmlive status g --json | jq -r '.leftovers[]|tostring')" \
	"before its session began .* it has left tvg/$(fleeces), a logical volume"
touch e.qcow2.partial
dmsetup suspend g
run 3 "$label: the next backup is refused" timeout 60 dmlive backup g b.raw --force --fleece .
is "$label: the device stays suspended" "$(dmsetup info -c --noheadings -o suspended g)" Suspended
dmsetup resume g
check "$label: the output of another program stays" rm e.qcow2.partial
says "$label: it says so" "$(fleeces).* is not removed, as g is suspended"
run 0 "$label: when it is resumed" dmlive backup g b.qcow2 --force --fleece tvg
none_left "$label"

# lose_tag LABEL: a volume that is on record is not removed.
lose_tag()
{
	local volume
	volume=tvg/$(fleeces)
	run 0 "$1: the next backup" dmlive backup g b.raw --force --fleece .
	says "$1: the way out" "$volume, which held old data .* is left alone: .*: lvremove $volume"
	is "$1: the volume stays" "tvg/$(fleeces)" "$volume"
	lvm_quietly lvremove -q -y "$volume"
	none_left "$1"
}
label="killed after lvcreate, and the volume is another one"
KILL=lvcreate dmlive backup g b.qcow2 --force --fleece tvg > "$out" 2> "$err"
lvm_quietly lvchange -q --deltag "$(has_column lv_tags | grep -o 'dmlive.by=[^,]*')" \
	--addtag dmlive.by=a:b:1:1 "tvg/$(fleeces)"
lose_tag "$label"
label="killed after lvcreate, and no tag is on record"
KILL=lvcreate dmlive backup g b.qcow2 --force --fleece tvg > "$out" 2> "$err"
jq 'del(.fleece_tag)' /run/dmlive/g.backup > record && cp record /run/dmlive/g.backup
lose_tag "$label"

label="killed at lvremove"
AT_REMOVE='ls > at-remove; kill -KILL $PPID; exit 0' dmlive backup g e.qcow2 --fleece tvg \
	> "$out" 2> "$err"
is "$label: the output is complete" "$(grep ^e.qcow2 at-remove)" e.qcow2
same_image e.qcow2 g.raw
run 0 "$label: the next backup" dmlive backup g b.raw --force --fleece .
says "$label: it says so" "was interrupted, before its session began or after it had ended"
same_image e.qcow2 g.raw
none_left "$label"

label="killed, and a reboot"
KILL=lvcreate dmlive backup g b.qcow2 --force --fleece tvg > "$out" 2> "$err"
rm -rf /run/dmlive
volume=tvg/$(fleeces) tag=$(has_column lv_tags | grep -o 'dmlive.by=[^,]*')
IFS=: read -r host boot pid start <<< "$tag"
retag()
{
	lvm_quietly lvchange -q --deltag "$tag" --addtag "$1" "$volume"
	tag=$1
}
for other in "dmlive.by=another:$boot:1:1" "$host:$boot:$$:$(cut -d ' ' -f 22 /proc/$$/stat)"; do
	retag "$other"
	run 0 "$label: $other" dmlive backup tvg/vol v.qcow2 --force --fleece tvg:1%
	is "$label: $other: it stays" "tvg/$(fleeces)" "$volume"
done
retag "$host:00000000:$pid:$start"
run 0 "$label: another boot" dmlive backup g b.qcow2 --force --fleece tvg
says "$label: another boot, or a clone" "$volume is left alone: .*: lvremove $volume"
is "$label: it stays" "tvg/$(fleeces)" "$volume"

# with_uuid UUID COMMAND...: the firmware has that one for the machine.
with_uuid()
{
	unshare -m bash -c 'mkdir -p class && mount --bind /sys/class class &&
		mount -t tmpfs none /sys/class && mkdir -p /sys/class/dmi/id &&
		echo "$1" > /sys/class/dmi/id/product_uuid && for name in $(ls class); do
			mkdir "/sys/class/$name" && mount --bind "class/$name" "/sys/class/$name" ||
				exit 99
		done && shift && exec "$@"' bash "$@"
}
uuid=AAAAAAAA-0000-1111-2222-333333333333
label="killed, a reboot, and a UUID of the machine"
run 0 "$label: it was another machine" with_uuid $uuid dmlive backup tvg/vol v.qcow2 --force \
	--fleece tvg:1%
is "$label: it was another machine: it stays" "tvg/$(fleeces)" "$volume"
lvm_quietly lvremove -q -y "$volume"
KILL=lvcreate with_uuid ${uuid,,} dmlive backup g b.qcow2 --force --fleece tvg > "$out" 2> "$err"
rm -rf /run/dmlive
volume=tvg/$(fleeces) tag=$(has_column lv_tags | grep -o 'dmlive.by=[^,]*')
check_fails "$label: it is in the tag" [ "${tag%%:*}" = "$host" ]
IFS=: read -r host boot pid start <<< "$tag"
retag "$host:00000000:$pid:$start"
run 0 "$label: a clone" with_uuid ${uuid/A/B} dmlive backup tvg/vol v.qcow2 --force --fleece tvg:1%
is "$label: a clone: it stays" "tvg/$(fleeces)" "$volume"
AT_REMOVE='set -- "$@"; [ "${*%$VOLUME}" = "$*" ] ||
	lvchange -q --deltag "$TAG" --addtag dmlive.by=a:b:1:1 $VOLUME > at-remove 2>&1' \
	VOLUME=$volume TAG=$tag run 0 "$label: it changes" with_uuid $uuid dmlive backup tvg/vol \
	v.qcow2 --force --fleece tvg:1%
check "$label: it changes: lvremove was called" [ -e at-remove ]
is "$label: it changes: it stays" "tvg/$(fleeces)" "$volume"
tag=dmlive.by=a:b:1:1
retag "$host:00000000:$pid:$start"
run 0 "$label: the same machine" with_uuid $uuid dmlive backup g b.qcow2 --force --fleece tvg
says "$label: it says so" "$volume was left by a backup that was killed, and is removed"
none_left "$label"

label="two devices"
run 0 "$label" dmlive backup g c.raw tvg/vol d.raw --fleece tvg:10%
same_image c.raw g.raw
same_image d.raw vol.raw
none_left "$label"
is_idle g "in the end"
is "lvm2 never ran while a device was suspended" "$(cat bad 2> /dev/null)" ""
finish
