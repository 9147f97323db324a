#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# A logical volume can be given as VG/LV for any device or file. Names that could also be a
# file here, URLs, and names that are too long are refused. The commands that messages
# suggest work.

. "$(dirname "$0")/attach-lib.sh"
require_command lvcreate

pv=$(make_loop 256) || bail "disk"
{
	vgcreate -q t "$pv" && lvcreate -q -y -W n -L 8M -n vm t &&
		for lv in image meta track out next fleece; do
			lvcreate -q -y -W n -L 12M -n $lv t || exit 1
		done
} > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f t
make_image image.qcow2 8

# Only tests that each option and argument finds the volume; its effect is tested elsewhere.
run 0 "image convert: TARGET" dmlive image convert image.qcow2 t/image \
	--target-format qcow2
for verb in info chain map check; do
	run 0 "image $verb: IMAGE" dmlive image $verb t/image
done
run 0 "image convert: IMAGE" dmlive image convert t/image copy.raw
check "image convert: content" cmp copy.raw image.qcow2.raw

start_restore t/image t/vm r --meta t/meta --track b --track-meta t/track --speed 16K \
	--size target
# The server's process is killed.
kill_server()
{
	local server
	server=$(dmlive status r --json | jq .restore.server)
	kill -KILL "$server"
	wait_until is_gone "$server"
}

is "restore: IMAGE, DEVICE, --meta, --track-meta" \
	"$(dmlive status r --json | jq -r .restore.state)" running
kill_server
run 0 "resume: a path of the mapped device" dmlive resume /dev/mapper/r --background
kill_server
dm_remove r
dm_remove r-dmlive
run 0 "resume: META, --target" dmlive resume t/meta --target t/vm --background
dmlive stream r speed 0
check "it ends" wait_until sh -c '! dmlive status r --json | jq -e .restore.server'
dm_remove r
dm_remove r-dmlive

run 0 "attach: DEVICE, --meta" dmlive attach t/vm --meta t/track
run 0 "status" dmlive status t/vm
run 0 "bitmap list: of the device" dmlive bitmap list t/vm
run 0 "backup: NAME, OUT, --fleece" dmlive backup t/vm t/out --bitmap b --fleece t/fleece \
	--format qcow2
run 0 "backup: --base" dmlive backup t/vm t/next --bitmap b \
	--base t/out --no-full --fleece t/fleece --format qcow2
run 3 "stream" dmlive stream t/vm pause
says "stream: the device is found" "t-vm"
run 0 "finish" dmlive finish t/vm
run 0 "detach" dmlive detach t/vm

for verb in "list t/track" "add t/track c" "dump t/track c" "disable t/track c" \
	"merge t/track c b --source-file t/track" "remove t/track c"; do
	run 0 "bitmap ${verb%% *}" dmlive bitmap $verb
done
run 0 "meta format" dmlive meta format t/meta --size 8M --granularity 64K --target t/vm \
	--force
for verb in dump check prepare; do
	run 0 "meta $verb" dmlive meta $verb t/meta
done

# Names that exist both here and in /dev.
mkdir t
run 0 "a folder here, and no such file in it" dmlive image info t/image
run 2 "a new file could be made in it" dmlive image convert t/image t/out
says "both are named" "/dev/t/out: write ./t/out or /dev/t/out"
run 2 "backup: the same" dmlive backup t/vm t/out
cp image.qcow2 t/image
run 2 "a file of that name" dmlive restore t/image t/vm --name r
says "both are named" "write ./t/image or /dev/t/image"
run 0 "./: the file" dmlive image info ./t/image
run 0 "/dev: the volume" dmlive image info /dev/t/image
run 0 "in /dev there is one alone" sh -c "cd /dev && dmlive image info t/image"
rm -r t
run 2 "neither" dmlive image info t/none
says "both are named" "neither a file t/none here nor a logical volume /dev/t/none"

# frees DESCRIPTION NUMBER - the suggested command frees a device in use.
frees()
{
	local way

	run 3 "$1: refused" dmlive restore image.qcow2 "$pv" --name x --force
	says "$1: by name" "in use by the .* t.vm.*; to free it: "
	way=$(sed 's/.*to free it: //' "$err")
	is "$1: the command" "$way" "$2"
	bash -c "$way" > way.log 2>&1 || diag "$(cat way.log)"
	run 3 "$1: now it is not in use" dmlive restore image.qcow2 "$pv" --name x
	says "$1: it says what it holds" "holds a LVM2_member"
	lvchange -ay t/vm
}
for lv in image meta next out fleece; do
	lvchange -an t/$lv
done

# A volume that was resized.
lvextend -q -L 16M t/vm > lvm.log 2>&1 || bail "lvextend: $(cat lvm.log)"
run 3 "a resized volume" dmlive attach t/vm --meta t/track
says "both sizes" "store on .* is for a volume of 8.0 MiB .*, and .* has 16.0 MiB .*: it was resized"
way=$(sed 's/.*make a new store: \(.*\) (its.*/\1/' "$err")
run 0 "the command that makes a new one: $way" $way
run 0 "then it is attached" dmlive attach t/vm --meta t/track
dmlive detach t/vm
lvchange -an t/track
frees "a volume" "lvchange -an t/vm"
dmlive attach t/vm
frees "an attached volume" "dmlive detach t-vm; lvchange -an t/vm"

# Names. The mapped device is t-NAME.
long=$(printf 'x%.0s' {1..121})
lvcreate -q -y -W n -L 8M -n "$long" t > lvm.log 2>&1 || bail "lvcreate: $(cat lvm.log)"
run 3 "attach: a name too long" dmlive attach "t/$long"
says "the limit, the way out" "123 characters.*allows 110.*--name NAME"
run 0 "as it says" dmlive attach "t/$long" --name "$long"
run 0 "and back" dmlive detach "$long"
run 0 "--meta auto: the name is cut" dmlive restore image.qcow2 "t/$long" --name r --meta auto \
	--force
dm_remove r
run 2 "a mapped device" dmlive restore image.qcow2 "t/$long" --name "$long$long"
says "the limit" "1 to 127 characters"
run 3 "restore --track" dmlive restore image.qcow2 "t/$long" --name "$long" --track b
says "the limit" "allows 110"
run 2 "a bitmap" dmlive restore image.qcow2 "t/$long" --name r --track "$long$long$long"
says "the limit" "at most 255 bytes"

# URLs.
for url in http://host/image.qcow2 nbd://host/x ssh://host/a nbd:host:10809 rbd:pool/x; do
	run 2 "restore of $url" dmlive restore "$url" t/vm --name r
	says "$url: named as a URL" "$url is a URL; .* files and block devices only"
done
run 2 "backup to a URL" dmlive backup t/vm ssh://host/a.qcow2
run 2 "a URL with a path" dmlive image info file:///etc/fstab
says "it is named" "give /etc/fstab"
cp image.qcow2 vm-2026-01-31T10:00.qcow2
run 0 "a name with colons is not a URL" dmlive image info vm-2026-01-31T10:00.qcow2
cp image.qcow2 nbd:x
run 0 "nor is that of a file" dmlive image info nbd:x
finish
