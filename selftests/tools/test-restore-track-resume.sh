#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# A restore with --track that is interrupted at any point continues with its tracking:
# after a crash the bitmap has all writes, and when a server dies no bit is lost.

. "$(dirname "$0")/track-lib.sh"
make_image image.qcow2 16
target=$(make_disk 16 512) || bail "disk"
record=$(make_disk 2 512) || bail "disk"
track=$(make_disk 4 512) || bail "disk"

# lose NAME - kill the server.
lose()
{
	local pid
	pid=$(server_of "$1-dmlive")
	kill -KILL "$pid" && wait_until is_gone "$pid"
}

# begin - a new restore.
begin()
{
	soil "$target"
	cp image.qcow2.raw expected.raw
	run 0 "restore --track" start_tracked image.qcow2 "$target" g --speed 16K \
		--meta "$record" --track-meta "$track" --force
	guest_writes g 4000 100
}

# lacks_nothing NAME LABEL - all writes are in the bitmap, which may have more.
lacks_nothing()
{
	is "$2: nothing is missing" "$(comm -13 <(bits_of "$1" | sort) <(to_bits < written | sort))" ""
}

begin
run 3 "resume while it is served" dmlive resume g
says "the reason" "is being served by process"
lose g
like "status tells that no server is there" "$(dmlive status g)" "no server process: reads wait"
run 0 "resume by its name" dmlive resume g --background
lose g
run 0 "resume by the inner name" dmlive resume g-dmlive --background
lose g
run 0 "resume by the metadata device" dmlive resume "$record" --background
exactly g "servers died"
lose g
dmsetup rename g h
run 0 "resume by another name" dmlive resume h --background
check_fails "and there is no other" dmsetup info g
lose g
run 0 "and once more" dmlive resume h --background
dmsetup rename h g
lose g
rm -rf /run/dmlive
cp image.qcow2 other.qcow2
run 3 "resume without a record, with another image" dmlive resume g other.qcow2
says "the reason" "is not the image that bitmap 'B'"
run 0 "and with the right one" dmlive resume g image.qcow2 --background
exactly g "without a record"

# As if it had been killed when only one of the two devices was there.
lose g
dmsetup remove g
run 0 "resume without the upper device" dmlive resume g --background
is "it is there again" "$(dm_target g)" cbw
lose g
uuid=$(dmsetup info -c --noheadings -o uuid g)
dmsetup remove g
dmsetup create g --notable
run 3 "resume with a foreign device of that name" dmlive resume g
says "the reason" "a mapped device g already"
dmsetup remove g
dmsetup create g --notable --uuid "$uuid"
run 0 "resume with an empty upper device" dmlive resume g --background
is "it is there again" "$(dm_target g)" cbw
exactly g "made again"
touch -d yesterday image.qcow2
lose g
run 3 "resume with an image that has changed" dmlive resume g
run 3 "and with --force" dmlive resume g --force
says "the way out" "bitmap 'B'.*dmlive bitmap clear g B"
check "the way out" dmlive bitmap clear g B
run 0 "then it can be forced" dmlive resume g --force --background
dmlive stream g speed 0
check "linear below in the end" wait_until is_through g
same "content" /dev/mapper/g expected.raw
run 3 "no increment on a cleared bitmap" dmlive backup g x.qcow2 --bitmap B \
	--base image.qcow2 --no-full
says "the reason" "belongs to no backup"
end_tracked g

# A crash: the devices are gone, the store was not closed.
begin
check "a write that is flushed" dd if=/dev/urandom of=guest.data bs=64K count=3 status=none
dd if=guest.data of=/dev/mapper/g bs=64K seek=100 oflag=direct conv=fsync,notrunc status=none
dd if=guest.data of=expected.raw bs=64K seek=100 conv=notrunc status=none
echo "12800 384" >> written
dd if="$track" of=crashed bs=64K iflag=direct status=none
lose g
dmsetup remove g
dmsetup remove g-dmlive
rm -rf /run/dmlive
dd if=crashed of="$track" bs=64K oflag=direct status=none
mv image.qcow2 moved.qcow2
run 1 "the image is not there" dmlive resume "$record"
check_fails "nothing is half set up" dmsetup info g
check_fails "nothing is half set up" dmsetup info g-dmlive
dd if=/dev/zero of="$track" bs=64K count=1 oflag=direct status=none
run 1 "the store is not there" dmlive resume "$record" moved.qcow2
other=$(make_disk 4 512) || bail "disk"
dmlive meta format "$other" --size 16M --track --bitmap B > /dev/null
dd if="$other" of="$track" bs=64K iflag=direct oflag=direct status=none
run 3 "another store is there" dmlive resume "$record" moved.qcow2 --force
says "the reason" "is not the metadata device that changes of g were recorded on"
check_fails "nothing is half set up" dmsetup info g-dmlive
dd if=crashed of="$track" bs=64K oflag=direct status=none
run 0 "resume" dmlive resume "$record" moved.qcow2 --force --background
is "the guest's device is cbw" "$(dm_target g)" cbw
lacks_nothing g "after a crash"
guest_writes g 31000 10
dmlive stream g speed 0
check "linear below in the end" wait_until is_through g
same "content" /dev/mapper/g expected.raw
lacks_nothing g "in the end"
run 0 "an increment of the image that was moved" dmlive backup g 1.qcow2 --bitmap B \
	--base moved.qcow2 --no-full
same_image 1.qcow2 expected.raw
end_tracked g
mv moved.qcow2 image.qcow2

# A clean shutdown: writes to the target meanwhile cannot be known.
begin
lose g
dmsetup remove g
dmsetup remove g-dmlive
rm -rf /run/dmlive
run 0 "resume after a clean end" dmlive resume "$record" --background --json
says "the reason" "changes were not tracked.*the next backup is a full one"
is "the same in JSON" "$(jq -r 'select(.event == "gap") | .gap.reason | length > 0' "$out")" true
is "the store has it" "$(dmlive meta dump "$track" --json | jq -c .gap)" \
	"$(jq -c 'select(.event == "gap") | .gap' "$out")"
lacks_nothing g "after a clean end"
run 3 "no increment" dmlive backup g 2.qcow2 --bitmap B --base image.qcow2 --no-full
dmlive stream g speed 0
check "linear below in the end" wait_until is_through g
same "content" /dev/mapper/g expected.raw
end_tracked g

# Finished by hand.
begin
lose g
run 0 "resume" dmlive resume g --background --no-finish
dmlive stream g speed 0
is_complete_below()
{
	[ "$(state_below g)" = complete ]
}
check "complete" wait_until is_complete_below
run 0 "finish by its name" dmlive finish g
check "linear below" is_linear g-dmlive
exactly g "finished by hand"
same "content" /dev/mapper/g expected.raw
end_tracked g

# Killed at random times; the restore can always be continued.
kill_at_random()
{
	local pid child delay=$((RANDOM % 300))
	dmlive restore image.qcow2 "$target" --name g --background --speed 16K --meta "$record" \
		--track B --track-meta "$track" > "$out" 2> "$err" &
	pid=$!
	read -r -t "0.$(printf '%03d' $delay)" <> <(:)
	kill -STOP $pid 2> /dev/null
	child=$(ps -o pid= --ppid $pid)
	# shellcheck disable=SC2046
	kill -KILL $pid $child $(server_of g-dmlive) 2> /dev/null
	wait $pid 2> /dev/null
	[ -z "$child" ] || wait_until is_gone $child
}

begun=0 resumed=0
for ((i = 0; i < 8; i++)); do
	dd if=/dev/zero of="$track" bs=64K oflag=direct status=none 2> /dev/null
	dd if=/dev/zero of="$record" bs=64K oflag=direct status=none 2> /dev/null
	kill_at_random
	: > written
	cp image.qcow2.raw expected.raw
	if dmsetup table g-dmlive 2> /dev/null | grep -q alloctrack; then
		dmlive resume g --background > "$out" 2> "$err" || break
		resumed=$((resumed + 1))
	else
		# Nothing had been written to the target.
		! dmsetup info g-dmlive > /dev/null 2>&1 || dmsetup remove g-dmlive
		start_tracked image.qcow2 "$target" g --meta "$record" --track-meta "$track" || break
		begun=$((begun + 1))
	fi
	# Without udev the tool makes the node, and may be killed before that.
	dmsetup mknodes
	[ "$(dm_target g)" = cbw ] || break
	guest_writes g 500 20
	exactly g "round $i" || break
	end_tracked g
done
is "killed at random times" $i 8 || diag "$(cat "$err"; dmsetup table)"
diag "begun again: $begun, resumed: $resumed"
finish
