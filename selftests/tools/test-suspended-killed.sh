#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A command that is killed while it has devices suspended does not leave them suspended:
# before and after each of its steps, with one and with several devices, and while a
# bitmap is added. No recorded bit is lost.

. "$(dirname "$0")/increment-lib.sh"
require_command strace

# With space for clusters that are leaked when adding is interrupted.
make_tracked a 8 128 --bitmap B:64K --spare 12
make_tracked b 8
devices=(a b)

are_active()
{
	local name
	for name in "${devices[@]}"; do
		[ "$(dmsetup info -c --noheadings -o suspended "$name")" = Active ] || return
	done
}

# go_on LABEL - nothing is suspended, and writes work.
go_on()
{
	local name offset=$((RANDOM % 1000 * 8))

	wait_until -t 60 are_active
	result $? "$1: nothing stays suspended" || for name in "${devices[@]}"; do
		dmsetup resume "$name"
	done
	for name in "${devices[@]}"; do
		check "$1: $name can be written" change "$name" $offset 8
	done
}

# killed_at CALL N COMMAND... - kill it before the Nth call of this system call, or before
# an output gets its name. Fails if the command ended before.
killed_at()
{
	local status
	# In a subshell, so that the shell does not print that it was killed.
	(strace -qq -o "$TMP/strace" -e "trace=ioctl,renameat2,$1" \
		-e "inject=$1:signal=KILL:when=$2" -e inject=renameat2:signal=KILL \
		"${@:3}" > "$out" 2> "$err" < /dev/null
	exit $?) 2> /dev/null
	status=$?
	[ $status -gt 128 ]
}

# suspends - the number of the ioctl of the last command that was the first suspend, and
# how many devices were resumed after that; "-" if there was none.
suspends()
{
	awk '/^ioctl/ { nr++ }
		/DM_DEV_SUSPEND/ && /DM_SUSPEND_FLAG/ { if (!first) first = nr; next }
		/DM_DEV_SUSPEND/ && first { resumed++ }
		END { print first ? first : "-", resumed + 0 }' "$TMP/strace"
}

# clean - remove the remains of the killed command, so that the next one makes the same
# calls.
clean()
{
	dmlive backup a none/a.qcow2 b none/b.qcow2 > "$out" 2> "$err"
	[ -z "$(ls -A /run/dmlive)" ] || bail "it is not cleaned up: $(cat "$err")"
}

# sweep LABEL COMMAND... - kill it before each ioctl from the first suspend to the last
# resume.
sweep()
{
	local label=$1 first found resumed step hits=0

	killed_at ioctl 10000 "${@:2}" || bail "$label: it was not killed: $(cat "$err")"
	read -r first resumed <<< "$(suspends)"
	[ "$first" != - ] || bail "$label: no suspend: $(cat "$err" "$TMP/strace")"
	for ((step = 1; step < 40; step++)); do
		clean
		killed_at ioctl $((first + step)) "${@:2}" || bail "$label: it was not killed"
		read -r found resumed <<< "$(suspends)"
		go_on "$label, call $step after the suspend"
		[ "$resumed" -lt ${#devices[@]} ] || break
		[ "$found" = - ] || hits=$((hits + 1))
	done
	check "$label: it was killed with suspended devices, $hits times" [ $hits -ge 3 ]
}

run 0 "full" dmlive backup a a0.qcow2 b b0.qcow2 --bitmap B
sweep "several devices" dmlive backup a a1.qcow2 b b1.qcow2 --bitmap B --base a0.qcow2 \
	--base b0.qcow2 --no-full
content a a.ref
content b b.ref
run 0 "the increments after that" dmlive backup a a2.qcow2 b b2.qcow2 --bitmap B \
	--base a0.qcow2 --base b0.qcow2 --no-full
same_image a2.qcow2 a.ref
same_image b2.qcow2 b.ref

# A bitmap is added while the device is suspended. If this is interrupted, the store is
# still valid.
devices=(a)
generation=$(bitmap_of a generation)
for ((n = 1; n < 40; n++)); do
	killed_at pwrite64 $n dmlive bitmap add a more || break
	go_on "add, write $n"
	is "add, write $n: it records" "$(dm_status a | grep -c ' rw .* B 65536 recording')" 1
	is "add, write $n: of the same backup" "$(bitmap_of a generation)" "$generation"
	! dmlive bitmap list a | grep -q 'bitmap more' || dmlive bitmap remove a more ||
		not_ok "add, write $n: it can be removed"
done
check "add: it was killed $((n - 1)) times" [ $n -gt 4 ]
like "then it is added" "$(dmlive bitmap list a)" "bitmap more: .*recording"
content a a.ref
run 0 "an increment after that" dmlive backup a a3.qcow2 --bitmap B --base a2.qcow2 --no-full
same_image a3.qcow2 a.ref
dm_remove a
dd if="${meta[a]}" of=closed bs=64K iflag=direct status=none
check "the store has no errors but leaks" qemu-img check -q -r leaks closed
check "and none without them" dmlive meta check closed
finish
