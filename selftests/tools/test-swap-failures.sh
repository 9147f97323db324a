#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml uml-udev
#
# A table that can be loaded but not resumed leaves the device suspended. The command puts
# the old table back before it prints anything, since its output may go to that device;
# if the command is killed before, its guard does so. Where such a failure can be foreseen
# the command refuses.

. "$(dirname "$0")/increment-lib.sh"
require_command strace
require_target flakey

is_active()
{
	[ "$(dmsetup info -c --noheadings -o suspended "$1")" = Active ]
}

# put_back DEVICE TABLE DESCRIPTION
put_back()
{
	wait_until -t 60 is_active "$1"
	result $? "$3: it is not suspended"
	is "$3: the table from before" "$(dmsetup table "$1")" "$2"
	check "$3: it can be written" timeout 30 dd if=/dev/urandom of="/dev/mapper/$1" bs=4096 \
		seek=2000 count=1 oflag=direct conv=notrunc status=none
}

# stopped_at CALL COMMAND... - stop it at that system call. At "rename" of its record
# everything is checked and no table is loaded; at "socketpair" with its guard all tables
# are loaded. Sets $pid to its process and $tracer to that of strace.
stopped_at()
{
	rm -f "$TMP/strace"
	strace -qq -o "$TMP/strace" -e "trace=$1" -e "inject=$1:signal=STOP:when=1" \
		"${@:2}" < /dev/null &
	tracer=$!
	on_exit stop_process $tracer
	wait_until is_stopped || bail "not stopped at $1"
}

go_on()
{
	kill -CONT "$pid"
	wait_until -t 60 has_ended $tracer
	result $? "$1: the command ends" || kill -KILL "$pid"
	wait $tracer
}

# The metadata device fails when the new table is resumed. Messages go to a file on the
# same device, with synchronous writes.
failing_attach()
{
	local plain step metadata
	disk=$(make_disk 16) && metadata=$(make_disk 4) && make_linear l "$disk" > /dev/null ||
		bail "disks"
	plain=$(dmsetup table l)
	dmlive meta format "$metadata" --size 16M --track --bitmap B:64K > /dev/null ||
		bail "meta"
	dm_create m "0 $(sectors "$metadata") flakey $metadata 0 0 1000 1 error_writes" || bail "m"
	mkfs.ext4 -q /dev/mapper/l 7M || bail "mkfs"
	mount /dev/mapper/l "$TMP/mnt" || bail "mount"
	touch "$TMP/mnt/log" && chattr +S "$TMP/mnt/log" || bail "log"
	timeout -s KILL 60 dmlive attach l --meta /dev/mapper/m >> "$TMP/mnt/log" 2>&1 < /dev/null
	is "attach: it fails" $? 1
	put_back l "$plain" "attach"
	check "attach: it says why" grep -q "cannot swap its table" "$TMP/mnt/log"
	# Each attach takes long where udev has to look at it.
	pgrep -f systemd-udevd > /dev/null && step=80 || step=1
	for (( ; step < 80; step++)); do
		(strace -qq -o "$TMP/strace" -e trace=ioctl,write \
			-e inject=ioctl,write:signal=KILL:when=$step \
			dmlive attach l --meta /dev/mapper/m > "$out" 2> "$err" < /dev/null
		exit $?) 2> /dev/null
		[ $? -gt 128 ] || break
		put_back l "$plain" "attach, killed before call $step"
		# Well behind the swap.
		! grep -q "cannot swap" "$err" || break
	done
	check "attach: it was killed in its midst" [ $step -gt 15 ]
	umount "$TMP/mnt"
	dmlive detach l > /dev/null 2>&1
	dm_remove l
	dm_remove m
}

# Another session takes the fleece device when both tables are loaded.
failing_session()
{
	fleece=$(make_disk 32) || bail "fleece"
	make_guest b 8
	session="0 $(sectors "$disk") cbw $disk - 128 2 fleece $fleece"
	make_guest a 16
	mkfs.ext4 -q /dev/mapper/a 7M || bail "mkfs"
	mount /dev/mapper/a "$TMP/mnt" || bail "mount"
	: > "$TMP/mnt/log"
	stopped_at socketpair dmlive backup a a.qcow2 --fleece "$fleece" > "$TMP/mnt/log" 2>&1
	dm_reload b "$session" || bail "session"
	go_on "session"
	put_back a "${before[a]}" "session"
	like "session: it says why" "$(cat "$TMP/mnt/log")" "cannot resume"
	dm_reload b "${before[b]}" || bail "b"
	umount "$TMP/mnt"
	is_idle a "session"
}

# The same with another device on top of the one that cannot be resumed: programs that
# read it, as udev does, wait for the lower one.
failing_below()
{
	local other
	other=$(make_disk 32) && make_linear low /dev/mapper/a > /dev/null || bail "low"
	dm_create top "0 $(sectors /dev/mapper/low) cbw /dev/mapper/low - 128" || bail "top"
	before[top]=$(dmsetup table top)
	stopped_at socketpair dmlive backup a a.qcow2 top top.qcow2 --fleece "$fleece" \
		--fleece "$other" > log 2>&1
	dm_reload b "$session" || bail "session"
	go_on "below another"
	put_back a "${before[a]}" "below another"
	put_back top "${before[top]}" "on top of it"
	dm_reload b "${before[b]}" || bail "b"
	is_idle top "on top of it"
	dm_remove top
	dm_remove low
}

one_store_for_two()
{
	run 2 "one fleece device for two" dmlive backup a a.qcow2 b b.qcow2 --fleece "$fleece" \
		--fleece "$fleece"
	says "one fleece device for two: the reason" "a fleece device of its own"
	run 2 "an output that is a fleece device" dmlive backup a "$fleece" b b.qcow2 \
		--fleece none --fleece "$fleece" --force
	is "no table was loaded" "$(dmsetup table a; dmsetup table b)" \
		"${before[a]}
${before[b]}"
}

# Device mapper takes all tables for one holder, so two commands must not get that far.
two_commands()
{
	local metadata
	stopped_at rename dmlive backup a a.qcow2 --fleece "$fleece" > log 2>&1
	run 3 "a fleece device of another command" dmlive backup b b.qcow2 --fleece "$fleece"
	says "a fleece device of another command: the reason" "by another process"
	go_on "a fleece device of another command"
	check "its backup is good" qemu-img check -q a.qcow2
	metadata=$(make_disk 4) && make_linear l "$(make_disk 8)" > /dev/null &&
		make_linear k "$(make_disk 8)" > /dev/null || bail "disks"
	dmlive meta format "$metadata" --size 8M --track --bitmap B:64K > /dev/null ||
		bail "meta"
	stopped_at socketpair dmlive attach l --meta "$metadata" > log 2>&1
	run 3 "a metadata device of another command" dmlive attach k --meta "$metadata"
	says "a metadata device of another command: the reason" "by another process"
	go_on "a metadata device of another command"
	is "that one has it" "$(dm_target l)" cbw
	run 0 "detach" dmlive detach l
	dm_remove l
	dm_remove k
}

# A backup has examined the device, and is about to load its table.
bitmap_meanwhile()
{
	make_tracked k 8 128 --bitmap B:64K --spare 12
	stopped_at rename dmlive backup k k.qcow2 > "$TMP/log" 2>&1
	run 3 "a bitmap while a backup begins" dmlive bitmap add k C
	says "a bitmap while a backup begins: the reason" "being backed up"
	go_on "a bitmap while a backup begins"
	check "the backup is good" qemu-img check -q k.qcow2
	run 0 "a bitmap after that" dmlive bitmap add k C
	dm_remove k
	check "the metadata is good" dmlive meta check "${meta[k]}"
}

# The seal is written while the volume is suspended. If that takes too long, the volume is
# resumed as it was, and later writes to it are noticed, so no increment lacks them.
held_too_long()
{
	local plain writer
	make_linear l "$(make_disk 8)" > /dev/null && metadata=$(make_disk 4) || bail "disks"
	plain=$(dmsetup table l)
	dmlive meta format "$metadata" --size 8M --track --bitmap B:64K > /dev/null ||
		bail "meta"
	run 0 "attach" dmlive attach l --meta "$metadata"
	run 0 "the first backup" dmlive backup l l1.qcow2 --bitmap B
	run 0 "detach" dmlive detach l
	stopped_at pwrite64 dmlive attach l --meta "$metadata" > "$TMP/log" 2>&1
	check_fails "held: it is suspended" is_active l
	dd if=/dev/urandom of=/dev/mapper/l bs=64k seek=9 count=1 oflag=direct conv=notrunc \
		status=none &
	writer=$!
	put_back l "$plain" "held"
	wait $writer
	result $? "held: waiting I/O continues"
	kill -CONT "$pid"
	wait $tracer
	is "held: the attach fails" $? 1
	like "held: the reason is printed" "$(cat "$TMP/log")" "l could not be suspended.*within"
	put_back l "$plain" "held, at the end"
	is "held: no inner device" "$(dmsetup ls | grep -c dmlive)" 0
	run 0 "attach after that" dmlive attach l --meta "$metadata"
	run 0 "an increment, or not" dmlive backup l l2.qcow2 --bitmap B --base l1.qcow2
	qemu-img convert -O raw l2.qcow2 l2.raw
	check "it has all" cmp l2.raw /dev/mapper/l
	run 0 "detach in the end" dmlive detach l
	dm_remove l
}

# Another program loads a table while the volume is suspended. It goes live only when that
# program resumes the volume.
loaded_meanwhile()
{
	local plain other
	make_linear l "$(make_disk 8)" > /dev/null && metadata=$(make_disk 4) &&
		other=$(make_disk 8) || bail "disks"
	plain=$(dmsetup table l)
	dmlive meta format "$metadata" --size 8M --track --bitmap B:64K > /dev/null ||
		bail "meta"
	run 0 "loaded meanwhile: attach" dmlive attach l --meta "$metadata"
	run 0 "loaded meanwhile: detach" dmlive detach l
	stopped_at pwrite64 dmlive attach l --meta "$metadata" > "$TMP/log" 2>&1
	check_fails "loaded meanwhile: it is suspended" is_active l
	check "loaded meanwhile: another table" \
		dmsetup load l --table "0 $(sectors "$other") linear $other 0"
	kill -CONT "$pid"
	wait $tracer
	is "loaded meanwhile: the attach fails" $? 1
	like "loaded meanwhile: the reason is printed" "$(cat "$TMP/log")" "has got another table"
	put_back l "$plain" "loaded meanwhile"
	like "loaded meanwhile: the other table is loaded" "$(dmsetup table --inactive l)" \
		"linear $(lsblk -nrdo MAJ:MIN "$other") 0"
	is "loaded meanwhile: no inner device" "$(dmsetup ls | grep -c dmlive)" 0
	dmsetup clear l
	run 0 "attach after that" dmlive attach l --meta "$metadata"
	run 0 "detach after that" dmlive detach l
	dm_remove l
}

mkdir "$TMP/mnt"
on_exit sh -c "! mountpoint -q $TMP/mnt || umount $TMP/mnt"
failing_attach
failing_session
failing_below
one_store_for_two
two_commands
bitmap_meanwhile
held_too_long
loaded_meanwhile
finish
