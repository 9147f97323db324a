#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `dmlive image chain` shows the images that an image is based on and which backup each
# of them is, and detects an increment on a backup other than the one it was made for.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"
require_command jq

readonly UUID=11111111-2222-3333-4444-555555555555

# record IMAGE JSON - write the record, over QEMU's feature name table.
record()
{
	local at
	at=$(grep -obUaP '\x68\x03\xf8\x57\x00\x00\x01\x80' "$1" | head -n 1 | cut -d: -f1)
	[ -n "$at" ] || bail "$1 has no names of features"
	poke "$1" "$at" 646d6c62
	printf '%-384s' "$2" | dd of="$1" bs=1 seek=$((at + 8)) conv=notrunc status=none
}

# backup STORE BITMAP GENERATION [BASE_GENERATION]
backup()
{
	echo "{\"store\":\"$1\",\"bitmap\":\"$2\",\"generation\":$3${4:+,\"base-generation\":$4},\"time\":86400}"
}

# chain DESCRIPTION STATUS FILTER WANTED - the chain of new.qcow2.
chain()
{
	local output status
	output=$(dmlive image chain --json new.qcow2 2> error.log)
	status=$?
	is "$1: status" $status "$2"
	is "$1" "$(jq -c "$3" <<< "$output")" "$4"
}

image_create full.qcow2 64M
image_create -b full.qcow2 -F qcow2 middle.qcow2 64M
image_create -b middle.qcow2 -F qcow2 new.qcow2 64M
chain "images that are not backups" 0 '[.[] | [.filename, ."virtual-size", .bitmap]]' \
	'[["new.qcow2",67108864,null],["middle.qcow2",67108864,null],["full.qcow2",67108864,null]]'
record full.qcow2 "$(backup $UUID b 5)"
record middle.qcow2 "$(backup $UUID b 6 5)"
record new.qcow2 "$(backup $UUID b 18446744073709551615 6)"
chain "a chain" 0 '[.[] | [.bitmap, ."base-is-right", .store, .time]] | unique' \
	"[[\"b\",null,\"$UUID\",86400],[\"b\",true,\"$UUID\",86400]]"
check "generations have 64 bits" eval \
	'dmlive image chain --json new.qcow2 | grep -q "\"generation\": *18446744073709551615"'
like "a chain, for people" "$(TZ=UTC dmlive image chain new.qcow2 | tr '\n' ' ')" \
	"^new.qcow2: qcow2, disk 64.0 MiB, file .*increment of bitmap 'b', generation 18446744073709551615 after 6, store $UUID, of 1970-01-02 00:00:00 .*full.qcow2: .*full backup of bitmap 'b', generation 5,"
check "QEMU's tools accept it" qemu-img check -q new.qcow2

# wrong DESCRIPTION RECORD [REGEX] - with this record in the middle image.
wrong()
{
	cp middle.qcow2 kept
	image_create -b full.qcow2 -F qcow2 middle.qcow2 64M
	[ -z "$2" ] || record middle.qcow2 "$2"
	chain "$1" 3 '.[0]."base-is-right"' false
	like "$1: says why" "$(< error.log)" "new.qcow2: it is an increment of .*generation 6 of bitmap 'b', and its backing file is another one"
	mv kept middle.qcow2
}
wrong "an older backup" "$(backup $UUID b 4)"
wrong "another bitmap's" "$(backup $UUID c 6 5)"
wrong "another store's" "$(backup ${UUID/1/2} b 6 5)"
wrong "no backup" ""
wrong "no valid record" '{"store":"x","bitmap":"b","generation":6}'
wrong "no JSON" 'frob'
qemu-img rebase -u -f qcow2 -b "" new.qcow2 || bail "rebase"
record new.qcow2 "$(backup $UUID b 7 6)" 2>/dev/null
chain "no backing file" 3 'length' 1
rm full.qcow2
qemu-img rebase -u -f qcow2 -b middle.qcow2 -F qcow2 new.qcow2 || bail "rebase"
output=$(dmlive image chain new.qcow2 2>&1)
is "a file that is missing: status" $? 1
like "a file that is missing" "$output" "full.qcow2"
finish
