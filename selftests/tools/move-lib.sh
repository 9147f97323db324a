# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of `dmlive attach` to volumes whose tables have a state of their own. The
# volume is the mapped device $volume; $plain is its table.

# shellcheck source=attach-lib.sh
. "$(dirname "$0")/attach-lib.sh"
require_command mkfs.ext4 fsck.ext4 strace
require_target flakey

# take_volume NAME: it is the volume from now on.
take_volume()
{
	volume=$1
	node=/dev/mapper/$1
	plain=$(dmsetup table --showkeys "$1")
	inner=$1-dmlive
	on_exit forget "$1"
}

# forget NAME: whatever was inserted is taken out, before the volume is removed.
forget()
{
	! dmsetup info "$1" > /dev/null 2>&1 || dmlive detach "$1" --force > /dev/null 2>&1
	true
}

# has_plain DESCRIPTION: the volume has its own table, runs, and there is no inner device.
has_plain()
{
	is "$1: its own table" "$(dmsetup table --showkeys "$volume")" "$plain"
	like "$1: it is active, and nothing is loaded" \
		"$(dmsetup info -c --noheadings -o suspended,tables_loaded "$volume")" \
		"Active.*Live"
	check_fails "$1: no inner device" dmsetup info "$inner"
	check "$1: it answers" timeout 60 dd if="$node" of=/dev/null bs=4096 count=1 iflag=direct
}

# has_cbw DESCRIPTION: over the inner device, which has the table and runs.
has_cbw()
{
	is "$1: cbw" "$(dm_target "$volume")" cbw
	is "$1: the inner device has the table" "$(dmsetup table --showkeys "$inner")" "$plain"
	is "$1: the inner device is active" \
		"$(dmsetup info -c --noheadings -o suspended "$inner")" Active
	check "$1: the inner device has a node" [ -b "/dev/mapper/$inner" ]
	check "$1: it answers" timeout 60 dd if="$node" of=/dev/null bs=4096 count=1 iflag=direct
}

# mount_volume: with a file system that is written to and verified all the time.
mount_volume()
{
	mkdir -p mnt
	mkfs.ext4 -q -F -E nodiscard "$node" || bail "mkfs"
	mount "$node" mnt || bail "mount"
	on_exit sh -c "! mountpoint -q $TMP/mnt || umount $TMP/mnt"
	: > "$TMP/fio-rounds"
	head -c 1M /dev/urandom > mnt/before
	sha256sum mnt/before > sums
	start_verify mnt/fio --size=8M
	next_round
}

# umount_volume: what was written is there.
umount_volume()
{
	stop_verify
	result $? "the guest reads what it wrote" || diag "$(tail -n 20 "$TMP/fio")"
	check "unmount" umount mnt
	check "the file system is sound" fsck.ext4 -fn "$node"
	mount "$node" mnt || bail "mount"
	check "files" sha256sum --quiet -c sums
	umount mnt
}

# back_and_forth TIMES: under I/O.
back_and_forth()
{
	local i
	for ((i = 0; i < $1; i++)); do
		dmlive attach "$volume" > "$out" 2> "$err" || break
		[ "$i" -gt 0 ] || { next_round && has_cbw "attached"; }
		dmlive detach "$volume" > "$out" 2> "$err" || break
		[ "$i" -gt 0 ] || { next_round && has_plain "detached"; }
	done
	is "inserted and taken out under I/O, times" $i "$1" || diag "$(cat "$out" "$err")"
}

# in_use TIMES [COMMAND]...: with a file system that is in use: back and forth, then the
# commands.
in_use()
{
	local command
	mount_volume
	back_and_forth "$1"
	for command in "${@:2}"; do
		$command
	done
	umount_volume
}

is_running_on()
{
	[ "$(dmsetup info -c --noheadings -o suspended "$volume")" = Active ] &&
		{ [ "$(dm_target "$volume" | head -n 1)" != cbw ] ||
			[ "$(dmsetup info -c --noheadings -o suspended "$inner")" = Active ]; }
}

# killed_at VERB STEP: before its ioctl of that number. False: it has not as many.
killed_at()
{
	(strace -qq -o /dev/null -e trace=ioctl -e inject=ioctl:signal=KILL:when="$2" \
		dmlive "$1" "$volume" > "$out" 2> "$err" < /dev/null
	exit $?) 2> /dev/null
	status=$?
	[ $status -gt 128 ]
}

# goes_when_closed: the inner device, when another program gives the volume a table.
goes_when_closed()
{
	dmsetup info "$inner" | grep -q 'DEFERRED REMOVE'
}

# killed VERB FIRST-STEP [STRIDE]: at each ioctl from that one on, or each STRIDEth: most steps
# are the same for all targets. The volume goes on, with one table or the other, and the next
# command works.
killed()
{
	local step status='' stride=${3:-1}
	for ((step = $2; step < 90; step += stride)); do
		if [ "$1" = detach ] && [ "$(dm_target "$volume" | head -n 1)" != cbw ]; then
			dmlive attach "$volume" > "$out" 2> "$err" || break
		fi
		killed_at "$1" $step || break
		wait_until -t 30 is_running_on || {
			diag "killed before ioctl $step of $1: $(dmsetup info; dmsetup table)"
			not_ok "$1: killed before ioctl $step: it runs"
			return 1
		}
		timeout 60 dd if="$node" of=/dev/null bs=4096 count=1 iflag=direct status=none || break
		if [ "$1" = attach ]; then
			[ "$(dm_target "$volume" | head -n 1)" != cbw ] || goes_when_closed ||
				break
			dmlive detach "$volume" > "$out" 2> "$err"
			[ "$(dmsetup table --showkeys "$volume")" = "$plain" ] || break
		fi
	done
	is "$1: killed before each ioctl, it completes at last" "$status" 0 ||
		diag "step $step: $(cat "$out" "$err"; dmsetup table)"
	[ $step -gt $(($2 + 5)) ]
	result $? "$1: killed at many steps" || diag "$2 to $step"
	dmlive detach "$volume" > /dev/null 2>&1
	has_plain "$1, after it was killed"
}

# fails_late: the cbw table is loaded, but cannot be resumed, as its metadata device fails.
# By then the inner device has the table, which must come back.
fails_late()
{
	make_store
	dm_create bad "0 $(sectors "$meta") flakey $meta 0 0 1000 1 error_writes" || bail "bad"
	run 1 "cbw cannot be resumed" dmlive attach "$volume" --meta /dev/mapper/bad
	says "it says why" "cannot swap its table"
	has_plain "cbw cannot be resumed"
	next_round
	dm_remove bad
}

# make_store: $meta, for the volume.
make_store()
{
	meta=$(make_disk 4) || bail "disk"
	dmlive meta format "$meta" --size $(($(sectors "$node") * 512)) --track --bitmap B --force \
		> /dev/null || bail "meta format"
	last='' nr=0
	rm -f ./*.qcow2
}

# write_at DEVICE KIB
write_at()
{
	[ -b "$1" ] || bail "$1 is not a block device"
	dd if=/dev/urandom of="$1" bs=4k count=4 seek=$(($2 / 4)) oflag=direct conv=notrunc \
		status=none || bail "write to $1"
}

attach_store()
{
	run 0 "$label: attach" dmlive attach "$volume" --meta "$meta" --json
}

detach_store()
{
	run 0 "$label: detach" dmlive detach "$volume"
}

# backup_is true|false: an increment?
backup_is()
{
	nr=$((nr + 1))
	run 0 "$label: backup" dmlive backup "$volume" $nr.qcow2 --bitmap B --json \
		${last:+--base "$last"}
	is "$label: an increment" "$(tail -n 1 "$out" | jq -r '.devices[0].increment')" "$1"
	check "$label: it is what the volume holds" \
		qemu-img compare -q -f qcow2 -F raw $nr.qcow2 "$node"
	last=$nr.qcow2
}

# tracks [below]: increments are right, nothing is a gap that is none, and writes past tracking
# are noticed: to the volume while it is not attached; with "below", also to the inner
# device while it is.
tracks()
{
	local label
	make_store
	label="the first time"
	attach_store
	write_at "$node" 800
	backup_is false
	write_at "$node" 1600
	backup_is true
	label="again"
	write_at "$node" 2400
	detach_store
	attach_store
	is "$label: no gap" "$(jq -c .gap "$out")" null
	write_at "$node" 4800
	backup_is true
	label="written to while it was detached"
	detach_store
	write_at "$node" 9600
	attach_store
	like "$label: a gap" "$(jq -r .gap.reason "$out")" "was written to"
	backup_is false
	label="discarded while it was detached"
	detach_store
	if [ "$(dm_target "$volume")" = cache ]; then
		skip "$label" "what a cache has where it was discarded may change by itself"
		attach_store
	elif blkdiscard -o 4M -l 1M "$node" 2> "$err"; then
		attach_store
		like "$label: a gap" "$(jq -r .gap.reason "$out")" "was written to"
		backup_is false
	else
		skip "$label" "$(cat "$err")"
		attach_store
		backup_is true
	fi
	label="written to below"
	if [ "${1:-}" = below ]; then
		write_at "/dev/mapper/$inner" 9600
		detach_store
		attach_store
		like "$label: a gap" "$(jq -r .gap.reason "$out")" "written to directly"
		backup_is false
	fi
	detach_store
	has_plain "in the end"
}

# refresh_is_noticed GROUP/VOLUME: lvm2 gives it its own table while it is attached; what is
# written after that is a gap.
refresh_is_noticed()
{
	local label="refreshed by lvm2"
	make_store
	attach_store
	backup_is false
	check "$label: refresh" lvchange --refresh "$1"
	attach_store
	is "$label: not written to, no gap" "$(jq -c .gap "$out")" null
	check "$label: refresh" lvchange --refresh "$1"
	write_at "$node" 4800
	attach_store
	like "$label: a gap" "$(jq -r .gap.reason "$out")" "was written to"
	backup_is false
	detach_store
}
