#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# only on: uml
#
# backup --job: increments by themselves, a new chain when one is due, old chains removed,
# hooks around the point in time, two runs at once, and what a killed run has left.

. "$(dirname "$0")/increment-lib.sh"

make_tracked g 8
make_tracked h 8
images=$TMP/images job=$TMP/nightly.conf
mkdir "$images"

# write_job LINE... - the file of the job, behind what it always has.
write_job()
{
	printf '%s\n' "[Backup]" Volume=g Volume=/dev/mapper/h "Folder=$images" "$@" > "$job"
}

# Once a second at most: the time is in the names of images.
run_job()
{
	while compgen -G "$images/nightly.*.$(date -u +%Y%m%dT%H%M%SZ).qcow2" > /dev/null; do
		sleep 0.1
	done
	run "$1" "$2" dmlive backup --job "$job" "${@:3}"
}

# newest NAME
newest()
{
	find "$images" -name "nightly.$1.*.qcow2" | sort | tail -n 1
}

count()
{
	find "$images" -name "nightly.$1.*.qcow2" | wc -l
}

write_job
run_job 0 "the first run"
says "the first run: full" "a full backup is made"
check "one line about it" grep -q "^job nightly: complete, 2 full and 0 incremental" "$out"
check "named by job, volume and time" grep -qE "/nightly.g.[0-9]{8}T[0-9]{6}Z.qcow2$" <<< "$(newest g)"
first=$(newest g)
check "a bitmap of the job's name" eval "dmlive bitmap list g --json | jq -e '.[] | select(.name == \"nightly\")'"
change g 100 8
content g ref
run_job 0 "the second run"
check "increments" grep -q "^job nightly: complete, 0 full and 2 incremental" "$out"
is "increments: of the first one" "$(backing "$(newest g)")" "${first##*/}"
same_image "$(newest g)" ref
run_job 0 "--full and --json" --full --json
is "--full and --json" "$(tail -n 1 "$out" | jq -c '[.event, .devices[].increment]')" \
	'["finished",false,false]'

# Chains so far: 2 images, 1 image.
write_job FullEvery=2 KeepChains=2 "MetricsFile=$TMP/m.prom"
run_job 0 "an increment, up to FullEvery"
is "all are kept so far" "$(count g)" 4
cp "$first" "$images/nightly.other.qcow2"
run_job 0 "a full one is due"
check "the oldest chains are removed" grep -q "2 full and 0 incremental images; 4 old ones" "$out"
is "what is left" "$(count g) $(count h)" "3 3"
check "a file that the job has not made stays" test -e "$images/nightly.other.qcow2"
check "metrics" grep -q '^dmlive_backup_status{device="g"} 0$' "$TMP/m.prom"
is "and no other file" "$(echo "$TMP"/*m.prom*)" "$TMP/m.prom"

# What something else lies on stays, and what was written to.
write_job KeepChains=1
oldest=$(find "$images" -name "nightly.g.*.qcow2" | sort | sed -n 2p)
qemu-img create -q -f qcow2 -b "$oldest" -F qcow2 "$images/overlay.qcow2"
written=$(find "$images" -name "nightly.h.*.qcow2" | sort | sed -n 2p)
qemu-io -c "write 0 512" "$written" > /dev/null
run_job 0 "with an overlay"
says "the overlay is named" "stays, and what it is based on, because overlay.qcow2 lies on it"
check "its base stays" test -e "$oldest"
check "as does what was written to" test -e "$written"
is "the chain in use is whole" "$(count g)" 4
rm "$images/overlay.qcow2"
run_job 0 "without it"
check "its chain is removed" [ ! -e "$oldest" ]
check "image chain" dmlive image chain "$(newest g)"

# A part of the chain in use is elsewhere, behind a link; files that are not understood.
run_job 0 "a chain" --full
for i in 1 2; do
	change g $((i * 100)) 8
	run_job 0 "increment $i of it"
done
first=$(find "$images" -name "nightly.g.*.qcow2" | sort | head -n 1)
middle=$(find "$images" -name "nightly.g.*.qcow2" | sort | sed -n 2p)
mkdir "$TMP/moved"
mv "$middle" "$TMP/moved/" && ln -s "$TMP/moved/${middle##*/}" "$middle"
run_job 0 "with a link"
check "the first image of the chain stays" test -e "$first"
check "image chain, with a link" dmlive image chain "$(newest g)"
run_job 0 "a new chain, with a link" --full
check "an image that is behind a link stays" test -e "$TMP/moved/${middle##*/}"
check "as does what it lies on" test -e "$first"
rm "$middle"; mv "$TMP/moved/${middle##*/}" "$images/"
head -c 100 "$(newest g)" > "$images/damaged.qcow2"
run_job 1 "with an image that cannot be read" --full
says "the image that cannot be read" "damaged.qcow2: it cannot be found out which image it is based on"
check "nothing is removed" test -e "$first"
rm "$images/damaged.qcow2"
# A backup of another volume of this name, as another machine would write it.
other=$images/nightly.g.20250101T000000Z.qcow2
cp "$first" "$other"
store=$(dmlive image chain "$first" | grep -o 'store [0-9a-f-]*' | head -n 1)
store=${store#store }
sed -i "s/$store/00000000-0000-4000-8000-000000000000/" "$other"
run_job 0 "beside another machine's" --full
check "another machine's image stays" test -e "$other"
check "its own are removed" [ ! -e "$first" ]
rm "$other"

# Hooks.
# shellcheck disable=SC2016 # for the shell of the hook
write_job "Before=echo before >> $TMP/hooks; ls $images/*.partial > $TMP/seen" \
	"After=dmsetup table g | cut -d' ' -f3 >> $TMP/hooks; dmlive status g | grep -q session && echo session >> $TMP/hooks"
run_job 0 "hooks"
is "before, then after with the session" "$(tr '\n' ' ' < "$TMP/hooks")" "before cbw session "
write_job "Before=exit 3" "After=echo thawed > $TMP/thawed"
nr=$(count g)
run_job 1 "the first fails"
says "its status" "--before: 'exit 3' ended with status 3"
check "the other one runs" test -e "$TMP/thawed"
is "there is no backup" "$(count g)" "$nr"
rm "$TMP/thawed"
write_job "Before=sleep 100" "After=echo thawed > $TMP/thawed" HookTimeout=1
run_job 1 "the first hangs"
says "the limit" "did not end within 1 s, and was killed"
check "the other one runs" test -e "$TMP/thawed"
write_job "After=exit 4" KeepChains=9
run_job 1 "the last fails"
check "the backup is complete" [ "$(count g)" -eq $((nr + 1)) ]

# Killed while the first hook runs: it is thawed; two at once; what is left is removed.
rm "$TMP/thawed"
write_job "Before=echo \$\$ > $TMP/hook; touch $TMP/frozen; sleep 3; echo frozen > $TMP/thawed" \
	"After=echo thawed > $TMP/thawed"
dmlive backup --job "$job" > /dev/null 2>&1 &
pid=$!
check "frozen" wait_until -t 20 test -e "$TMP/frozen"
run 3 "two at once" dmlive backup --job "$job"
says "two at once" "job nightly is running already"
check "not thawed before it is killed" [ ! -e "$TMP/thawed" ]
partial=$(echo "$images"/nightly.g.*.partial)
kill -KILL $pid
wait $pid 2> /dev/null
check "it is thawed nevertheless" wait_until -t 20 test -e "$TMP/thawed"
check "it has ended" wait_until -t 20 has_ended "$(< "$TMP/hook")"
is "it does not freeze after that" "$(< "$TMP/thawed")" thawed
check "a partial image is left" test -e "$partial"
write_job
change g 700 8
content g ref
run_job 0 "after it"
check "the partial image is removed" [ ! -e "$partial" ]
same_image "$(newest g)" ref

write_job Volume=mapper/g
run_job 2 "the same name"
says "the same name" "Volume=g and Volume=mapper/g would have images of the same name"
rm -r "$images"
write_job
run_job 1 "no folder"
says "no folder" "Folder=$images: No such file or directory; make it, or mount"
finish
