#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# Only the backup that the bitmap belongs to is accepted as a base. With any other one, and
# after the bitmap was changed by hand or by QEMU, a full backup is made, with a message
# that says why.

. "$(dirname "$0")/increment-lib.sh"

make_tracked g 8
run 0 "full" dmlive backup g 0.qcow2 --bitmap B
change g 100 8
run 0 "an increment" dmlive backup g 1.qcow2 --bitmap B --base 0.qcow2 --no-full
change g 5000 8
content g ref

# is_refused BASE REGEX LABEL - it is not accepted as a base, and nothing is changed.
is_refused()
{
	local generation
	generation=$(bitmap_of g generation)
	run 3 "$3: refused" dmlive backup g x.qcow2 --bitmap B --base "$1" --no-full
	says "$3: the reason" "$2"
	check "$3: no output" [ ! -e x.qcow2 ]
	is "$3: the bitmap is as it was" "$(bitmap_of g generation)" "$generation"
}

is_refused 0.qcow2 "an older backup" "an older base"
mv 1.qcow2 kept.qcow2
cp 0.qcow2 1.qcow2
is_refused 1.qcow2 "an older backup" "a swapped base"
mv kept.qcow2 1.qcow2
qemu-img create -q -f qcow2 plain.qcow2 8M
is_refused plain.qcow2 "does not say which backup it is" "no backup"
is_refused none.qcow2 "No such file" "no file"
is_refused none "not named" "no base"
cp 1.qcow2 broken.qcow2
qemu-img rebase -u -F qcow2 -b plain.qcow2 broken.qcow2
is_refused broken.qcow2 "it was written to after the backup" "a rebased one"
set_bit broken.qcow2
is_refused broken.qcow2 "plain.qcow2 does not say" "a broken chain"
qemu-img rebase -u -b "" broken.qcow2
set_bit broken.qcow2
is_refused broken.qcow2 "does not end with a full backup" "no chain"
make_tracked h 8
run 0 "another device" dmlive backup h h.qcow2 --bitmap B
is_refused h.qcow2 "another bitmap store" "a foreign base"
check "another bitmap" dmlive bitmap add g C
run 0 "full, of that" dmlive backup g c.qcow2 --bitmap C
is_refused c.qcow2 "another bitmap, 'C'" "that of another bitmap"
run 0 "a bitmap that does not exist" dmlive backup g d.qcow2 --bitmap D
is_full d.qcow2 "a bitmap that does not exist"
check "is added" sh -c "dmlive bitmap list g | grep -q '^bitmap D.*recording'"
run 3 "the output is in the chain" dmlive backup g 0.qcow2 --bitmap B --base 1.qcow2 --force
says "the reason" "0.qcow2 is the backing file of .*1.qcow2"
run 3 "the output is the base" dmlive backup g 1.qcow2 --bitmap B --base 1.qcow2 --force
cp 1.qcow2 x.qcow2.partial
run 1 "the base looks like a leftover" dmlive backup g x.qcow2 --bitmap B \
	--base x.qcow2.partial --force --no-full
check "the base looks like a leftover: it stays" cmp 1.qcow2 x.qcow2.partial
rm x.qcow2.partial
same_image d.qcow2 ref

# A write to the base, or to the base of the base.
cp -p 0.qcow2 kept0.qcow2
cp -p 1.qcow2 kept1.qcow2
qemu-img check -q 1.qcow2
qemu-io -r -c "read 0 64k" 1.qcow2 > /dev/null
is "read: not written to" "$(record 1.qcow2 written-to)" false
qemu-io -c "write -P 1 0 64k" 1.qcow2 > /dev/null
is_refused 1.qcow2 "it was written to after the backup" "a base that was written to"
cp -p kept1.qcow2 1.qcow2
qemu-img create -q -f qcow2 -b 1.qcow2 -F qcow2 overlay.qcow2
qemu-io -c "write -P 1 0 64k" overlay.qcow2 > /dev/null
qemu-img commit -q overlay.qcow2
is_refused 1.qcow2 "it was written to after the backup" "a base that was committed to"
rm overlay.qcow2
cp -p kept1.qcow2 1.qcow2
qemu-io -c quit 0.qcow2 > /dev/null
is_refused 1.qcow2 "0.qcow2 was written to after the backup" "the base of the base"

# A chain that is broken is not restored.
disk=$(make_disk 8)
cp h.qcow2 0.qcow2
run 3 "restore of a broken chain" dmlive restore 1.qcow2 "$disk" --name r
says "the reason" "1.qcow2: it is an increment of .*its backing file is another one, .*0.qcow2,.*--force"
check "nothing is written" cmp -n 8M "$disk" /dev/zero
check_fails "there is no device" dmsetup info r
run 0 "forced" dmlive restore 1.qcow2 "$disk" --name r --force
says "with a warning" "1.qcow2: it is an increment of .*another one"
dm_remove r
cp -p kept0.qcow2 0.qcow2
run 0 "the chain as it was" dmlive restore 1.qcow2 "$disk" --name r --force
check_fails "no warning" grep "1.qcow2: it is" "$err"
dm_remove r

# A conversion of the base can also be the base.
check "recompressed" dmlive image convert --quiet --target-format qcow2 --keep-backing \
	--compression zstd 1.qcow2 packed.qcow2
run 0 "a recompressed base" dmlive backup g i1.qcow2 --bitmap B --base packed.qcow2 --no-full
is_increment i1.qcow2 packed.qcow2 "a recompressed base"
same_image i1.qcow2 ref
check "flattened" dmlive image convert --quiet --target-format qcow2 i1.qcow2 flat.qcow2
is_full flat.qcow2 "flattened"
rm i1.qcow2
run 0 "a flattened base" dmlive backup g i2.qcow2 --bitmap B --base flat.qcow2 --no-full
is_increment i2.qcow2 flat.qcow2 "a flattened base"
same_image i2.qcow2 ref

# Without the option to fail, a full backup is made.
run 0 "an older base: full" dmlive backup g 2.qcow2 --bitmap B --base 0.qcow2
says "the reason" "a full backup is made: 0.qcow2: .*older"
is_full 2.qcow2 "an older base"
same_image 2.qcow2 ref
is_committed g 2.qcow2 "an older base"

# The bitmap is changed by hand.
last=2.qcow2
for change in "clear g B" "disable g B"; do
	label="bitmap ${change%% *}"
	change g 7000 16
	content g ref
	check "$label" dmlive bitmap $change
	if [ "$label" = "bitmap disable" ]; then
		run 3 "$label: refused" dmlive backup g x.qcow2 --bitmap B --base $last
		says "$label: the reason" "is disabled.*bitmap enable"
		check "enable" dmlive bitmap enable g B
	fi
	is_refused $last "belongs to no backup" "$label"
	run 0 "$label: full" dmlive backup g 3.qcow2 --bitmap B --base $last --force
	says "$label: the reason" "belongs to no backup"
	is_full 3.qcow2 "$label"
	same_image 3.qcow2 ref
	is_committed g 3.qcow2 "$label"
	mv 3.qcow2 "$last"
done

# Offline, by qemu-img. The store must be prepared for the kernel after that.
change g 9000 8
content g ref
table=$(dmsetup table g)
dm_remove g
dd if="${meta[g]}" of=m bs=64K iflag=direct status=none
check "qemu-img bitmap --clear" qemu-img bitmap --clear m B
check "dmlive meta prepare" dmlive meta prepare m
meta[g]=$(make_disk $((($(stat -c %s m) + 2097151) >> 20)))
dd if=m of="${meta[g]}" bs=64K oflag=direct status=none
read -ra words <<< "$table"
words[4]=${meta[g]}
dm_create g "${words[*]}" || bail "g"
before[g]=$(dmsetup table g)
run 3 "cleared by qemu-img: refused" dmlive backup g x.qcow2 --bitmap B --base 2.qcow2 --no-full
like "the reason" "$(cat "$err")" "no backup|no place for generations"
check "no output" [ ! -e x.qcow2 ]
is_idle g "in the end"
finish
