#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# also on: uml-udev stock
#
# cbw is inserted into a mapped device and taken out again, many times, under verified
# I/O, and nothing is lost. On a device that is not in use a new mapped device is made.

. "$(dirname "$0")/attach-lib.sh"

disk=$(make_disk 32 512) || bail "disk"
: > "$TMP/fio-rounds"
make_a

run 0 "attach" dmlive attach a
like "the result is printed" "$(cat "$out")" "a-dmlive"
is_attached "attached"
run 0 "status" dmlive status a
like "status shows it" "$(cat "$out")" "a: cbw over /dev/mapper/a-dmlive, attached while in use"
is "status in JSON" "$(dmlive status a --json | jq -c '[.kind, .inserted, .session, .block_bytes]')" \
	'["cbw",true,"none",65536]'
is "status of all" "$(dmlive status --json | jq -r '.[].name')" a
run 0 "detach" dmlive detach a
is_plain "detached"

start_verify $A
for ((i = 0; i < 20; i++)); do
	dmlive attach $A --block-size 4K > "$out" 2> "$err" || break
	[ "$(dm_target a)" = cbw ] || break
	[ $((i % 5)) -ne 0 ] || next_round || break
	dmlive detach $A > "$out" 2> "$err" || break
	[ $((i % 5)) -ne 0 ] || next_round || break
done
is "inserted and taken out under I/O, times" $i 20 || diag "$(cat "$out" "$err")"
stop_verify
result $? "the guest reads what it wrote" || diag "$(tail -n 20 "$TMP/fio")"
is_plain "under I/O"

run 0 "the name as NAME, and the answer in JSON" dmlive attach $A --name a --json
is "the new device" "$(jq -c '[.name, .device, .inserted, .inner]' "$out")" \
	'["a","/dev/mapper/a",true,"a-dmlive"]'
run 0 "detach in JSON" dmlive detach a --json
is "the removal" "$(jq -c '[.name, .removed]' "$out")" '["a",false]'
dm_remove a

meta=$(make_disk 8 512) || bail "disk"
run 0 "metadata" dmlive meta format "$meta" --size $(($(sectors "$disk") * 512)) --track --force
make_a
run 2 "no such policy" dmlive attach a --meta "$meta" --on-meta-error ignore
run 0 "attach with metadata" dmlive attach a --meta "$meta" --on-meta-error break_tracking
like "the policy" "$(dmsetup table a)" "on_meta_error break_tracking"
is "the metadata device is used" "$(dmlive status a --json | jq -r .meta_device)" "$meta"
run 3 "another device cannot use them" dmlive attach "$disk" --name n --meta "$meta"
run 0 "detach with metadata" dmlive detach a
is_plain "metadata"
dm_remove a

make_a --readonly
run 0 "a read-only device" dmlive attach a
is "stays read-only" "$(blockdev --getro $A) $(blockdev --getro $A-dmlive)" "1 1"
run 0 "taken out" dmlive detach a
is "and so" "$(blockdev --getro $A)" 1
is_plain "read-only"
dm_remove a

soil "$disk"
run 0 "a new device" dmlive attach "$disk" --name n --block-size 1M
on_exit dm_remove n
is "its table" "$(dmsetup table n)" "0 $(sectors "$disk") cbw $(cat "/sys/block/${disk#/dev/}/dev") - 2048 0"
same "its content" /dev/mapper/n dirt
run 0 "it is removed" dmlive detach n
check_fails "it is gone" dmsetup info n
same "the volume's content" "$disk" dirt
finish
