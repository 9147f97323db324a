#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The records in backups decide whether a chain is read, and whether an image is still a
# backup. Conversions keep the record if they have the same point in time.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"
require_command jq

readonly UUID=11111111-2222-3333-4444-555555555555 SET=281474976710656

# make_backup IMAGE GENERATION [BASE BASE_GENERATION] - in the form of an earlier version,
# which sets no autoclear bit. The record is written over QEMU's feature name table.
make_backup()
{
	local at
	image_create ${3:+-b "$3" -F qcow2} "$1" 1M
	image_io "$1" "write -P $2 $(($2 % 8))00k 100k"
	at=$(grep -obUaP '\x68\x03\xf8\x57\x00\x00\x01\x80' "$1" | head -n 1 | cut -d: -f1)
	poke "$1" "$at" 646d6c62
	printf '%-384s' "{\"store\":\"$UUID\",\"bitmap\":\"${BITMAP:-b}\",\"generation\":$2${4:+,\"base-generation\":$4}}" |
		dd of="$1" bs=1 seek=$((at + 8)) conv=notrunc status=none
}

# field IMAGE FILTER - a field of the output of `image chain`.
field()
{
	dmlive image chain --json "$1" 2> /dev/null | jq -c ".[0] | $2"
}

convert()
{
	dmlive image convert --quiet "$@" > dmlive.log 2>&1
}

to_qcow2()
{
	convert --target-format qcow2 "$@"
}

# broken NAME IMAGE REGEX - it is read only by force, and then not reported as a backup.
broken()
{
	rm -f out
	convert "$2" out
	is "$1: status" $? 3
	like "$1: why" "$(cat dmlive.log)" "$3"
	check "$1: nothing is written" [ ! -e out ]
	check "$1: --force" convert --force "$2" out
	qemu-img convert -O raw "$2" wanted.raw
	check "$1: --force: the content" cmp out wanted.raw
	check "$1: --force, to qcow2" to_qcow2 --force "$2" forced.qcow2
	is "$1: --force: no record" "$(field forced.qcow2 .generation)" null
	rm forced.qcow2
}

make_backup old-full.qcow2 5
make_backup old-inc.qcow2 6 old-full.qcow2 5

# Conversions.
is "an earlier backup is one as it is" "$(field old-inc.qcow2 '[."base-is-right", ."written-to"]')" \
	"[true,false]"
check "flatten" to_qcow2 old-inc.qcow2 flat.qcow2
is "an increment becomes a full backup" \
	"$(field flat.qcow2 '[.generation, ."base-generation", ."written-to", .store]')" \
	"[6,null,false,\"$UUID\"]"
check "its content" qemu-img compare -q old-inc.qcow2 flat.qcow2
check "qemu-img check" qemu-img check -q flat.qcow2
is "the bit is set" "$(peek flat.qcow2 88)" $SET
like "and named" "$(strings flat.qcow2 | head -n 20)" "unchanged backup of dmlive"
check "a full backup" to_qcow2 --compression zstd old-full.qcow2 full.qcow2
is "stays one" "$(field full.qcow2 '[.generation, ."base-generation"]')" "[5,null]"
make_backup inc.qcow2 6 full.qcow2 5
check "--keep-backing" to_qcow2 --keep-backing inc.qcow2 kept.qcow2
is "keeps the record" "$(field kept.qcow2 '[.generation, ."base-generation", ."base-is-right"]')" \
	"[6,5,true]"
check "and the record is right" convert kept.qcow2 out
cp kept.qcow2 inc.qcow2
BITMAP=$(printf 'b%.0s' {1..200}) make_backup long.qcow2 5
check "a header without room" to_qcow2 --cluster-size 512 long.qcow2 small.qcow2
like "it is reported" "$(cat dmlive.log)" "no room .*so it does not say which backup it is"
qemu-img snapshot -c s old-full.qcow2
check "a snapshot" to_qcow2 --snapshot s old-full.qcow2 out.qcow2
is "it is not accepted as the backup" "$(field out.qcow2 .generation)" null
like "it is reported" "$(cat dmlive.log)" "out.qcow2 does not say which backup"
cp flat.qcow2 corrupt.qcow2
poke corrupt.qcow2 72 0000000000000002
check "one that is marked corrupt, forced" to_qcow2 --force corrupt.qcow2 out.qcow2
is "it need not be the backup" "$(field out.qcow2 .generation)" null

# Writes to a backup are noticed; reads have no effect.
cp -p full.qcow2 saved.qcow2
image_create -b full.qcow2 -F qcow2 overlay.qcow2
qemu-img convert -O raw full.qcow2 out
qemu-img check -q full.qcow2
qemu-io -r -c 'read 0 1M' full.qcow2 > /dev/null
is "read by QEMU" "$(field full.qcow2 '."written-to"')" false
cp full.qcow2 copy.qcow2
is "copied" "$(field copy.qcow2 '."written-to"')" false
qemu-io -c quit copy.qcow2
is "opened for writing" "$(field copy.qcow2 '."written-to"')" true
check "a conversion of it" to_qcow2 copy.qcow2 out.qcow2
is "is no backup" "$(field out.qcow2 .generation)" null
like "it is reported" "$(cat dmlive.log)" "copy.qcow2 was written to after the backup"
cp full.qcow2 copy.qcow2
dmlive bitmap add copy.qcow2 x > /dev/null || bail "bitmap"
is "its bitmaps changed" "$(field copy.qcow2 '."written-to"')" true

# qemu-img commit reopens the base for writing, and keeps the bit.
image_io overlay.qcow2 "write -P 9 0 64k"
qemu-img commit -q overlay.qcow2 || bail "commit"
is "qemu-img commit keeps the bit" "$(peek full.qcow2 88)" $SET
if stat -c %W full.qcow2 | grep -q '^[1-9]'; then
	is "committed to" "$(field full.qcow2 '."written-to"')" true
	broken "an increment of it" inc.qcow2 \
		"inc.qcow2: its backing file full.qcow2 was written to after that backup"
else
	skip "committed to" "no time of birth here"
fi
cp -p saved.qcow2 full.qcow2
check "the base as it was" convert inc.qcow2 out

# Broken chains.
qemu-io -c 'write -P 3 0 4k' full.qcow2 > /dev/null
broken "a base that was written to" inc.qcow2 "backing file full.qcow2 was written to"
make_backup full.qcow2 7
broken "a base that was replaced" inc.qcow2 \
	"inc.qcow2: .*generation 5 of bitmap 'b', and its backing file is another one, full.qcow2"
image_create -b inc.qcow2 -F qcow2 overlay.qcow2
broken "under an overlay too" overlay.qcow2 "inc.qcow2: .*another one, full.qcow2"
qemu-img rebase -u -b "" inc.qcow2
broken "no base" inc.qcow2 "generation 5 of bitmap 'b', and it has no backing file"
cp flat.qcow2 x.qcow2
qemu-img rebase -u -b full.qcow2 -F qcow2 x.qcow2
broken "a full backup with a base" x.qcow2 "full backup, and somebody gave it a backing file"

# A chain that QEMU has changed in a valid way is read only by force.
make_backup a.qcow2 5
make_backup b.qcow2 6 a.qcow2 5
make_backup c.qcow2 7 b.qcow2 6
qemu-img convert -O raw c.qcow2 before.raw
qemu-img commit -q b.qcow2 && qemu-img rebase -u -b a.qcow2 -F qcow2 c.qcow2 || bail "commit"
broken "commit and rebase -u" c.qcow2 "another one, a.qcow2.*qemu-img commit, rebase.*--force"
check "the content was right" cmp out before.raw

# An image that is the base of others.
rm c.qcow2
make_backup a.qcow2 5
make_backup b.qcow2 6 a.qcow2 5
mkfifo fifo
cp a.qcow2 before
to_qcow2 flat.qcow2 a.qcow2
is "it is not replaced" $? 1
like "the other image is named" "$(cat dmlive.log)" "a.qcow2 is the backing file of .*/b.qcow2, which"
check "nor changed" cmp a.qcow2 before
check "with --force it is" to_qcow2 --force flat.qcow2 a.qcow2

# Bitmaps that cannot be read.
for hex in 0000000000000000 0000000100000001; do
	make_backup old.qcow2 5
	qemu-img convert -O raw old.qcow2 wanted.raw
	qemu-img bitmap --add old.qcow2 x
	at=$(grep -obUaP '\x23\x85\x28\x75\x00\x00\x00\x18' old.qcow2 | head -n 1 | cut -d: -f1)
	poke old.qcow2 $((at + 8)) $hex
	check "bad bitmaps: the data" convert old.qcow2 out
	like "bad bitmaps: it is reported" "$(cat dmlive.log)" "warning: .*its bitmaps cannot be read"
	check "bad bitmaps: the data is right" cmp out wanted.raw
	like "bad bitmaps: info" "$(dmlive image info old.qcow2)" "bitmaps: none can be read"
	dmlive image check --quiet old.qcow2 > dmlive.log 2>&1
	is "bad bitmaps: check" $? 2
done
finish
