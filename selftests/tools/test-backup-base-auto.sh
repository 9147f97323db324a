#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# backup --base auto finds the backup that the bitmap belongs to in the folder of the
# output, among others and copies, and says why where there is none.

. "$(dirname "$0")/increment-lib.sh"

make_tracked g 8
make_tracked h 8
mkdir chain && cd chain || exit 1
auto=(--bitmap B --base auto)

run 2 "auto and another" dmlive backup g 0.qcow2 h h0.qcow2 --bitmap B --base x
run 3 "none yet: refused" dmlive backup g 0.qcow2 "${auto[@]}" --no-full
says "none yet: the reason" "no increment is possible: the bitmap 'B' belongs to no backup"
run 0 "none yet" dmlive backup g 0.qcow2 h h0.qcow2 "${auto[@]}" --json
is "none yet: full" "$(tail -n 1 "$out" | jq -c '[.devices[].increment]')" "[false,false]"
says "none yet: the reason" "g: a full backup is made: the bitmap 'B' belongs to no backup"

change g 100 8
change h 200 8
run 0 "two devices" dmlive backup g 1.qcow2 h h1.qcow2 "${auto[@]}" --no-full
check "it says which" grep -q "g: the increment is complete: 1.qcow2, based on 0.qcow2" "$out"
is_increment 1.qcow2 0.qcow2 "two devices"
is_increment h1.qcow2 h0.qcow2 "two devices"

# Others that do not fit, and copies of the one that does.
cp 0.qcow2 2-old.qcow2
cp 1.qcow2 0-copy.qcow2
ln -s 1.qcow2 00-link.qcow2
mkfifo 000-fifo
mkdir 01.qcow2
echo QFI > 02.qcow2
change g 5000 8
content g ref
run 0 "one of many" dmlive backup g 2.qcow2 "${auto[@]}" --no-full
is_increment 2.qcow2 1.qcow2 "one of many"
same_image 2.qcow2 ref
is_committed g 2.qcow2 "one of many"

mkdir ../away && mv 2.qcow2 ../away
run 3 "not in this folder: refused" dmlive backup g 3.qcow2 "${auto[@]}" --no-full
says "the reason" "no image in .*/chain is the backup that bitmap 'B' records the changes since .generation [0-9]+"
mv ../away/2.qcow2 .
run 3 "a broken chain" sh -c "mv 1.qcow2 0-copy.qcow2 ../away &&
	dmlive backup g 3.qcow2 --bitmap B --base auto --no-full"
says "the reason" "/chain/2.qcow2: .*1.qcow2"
mv ../away/* .
target=$(make_disk 8) || bail "disk"
run 0 "onto a block device: full" dmlive backup g "$target" "${auto[@]}" --format qcow2 --fleece .
says "the reason" "is a block device, so there is no folder"
check "cleared" dmlive bitmap clear g B
run 0 "cleared: full" dmlive backup g 3.qcow2 "${auto[@]}"
says "the reason" "a full backup is made: the bitmap 'B' belongs to no backup"
is_full 3.qcow2 "cleared"

# A device that was restored: the image is its base, wherever it is.
disk=$(make_disk 8) store=$(make_disk 8) || bail "disk"
run 0 "restored" dmlive restore 1.qcow2 "$disk" --name r --track B --track-meta "$store"
on_exit dm_remove r
change r 700 8
run 0 "restored: its first backup" dmlive backup r r.qcow2 "${auto[@]}" --no-full
is "restored: its base" "$(backing r.qcow2)" 1.qcow2
check "detach" dmlive detach r
finish
