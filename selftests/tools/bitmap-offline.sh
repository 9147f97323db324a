#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# `dmlive bitmap` has the same effect on an image as qemu-img bitmap on a copy of it: the
# same bitmaps, the same bits, and no errors found by qemu-img check. When it refuses, it
# leaves the image as it was.

# shellcheck source=bitmap-lib.sh
. "$(dirname "$(realpath "$0")")/bitmap-lib.sh"

# same NAME BITMAP... - ours.qcow2 and qemu.qcow2 have the same bitmaps with the same bits.
same()
{
	local b status
	is "$1: the bitmaps" "$(bitmaps ours.qcow2)" "$(bitmaps qemu.qcow2)"
	for b in "${@:2}"; do
		bits qemu.qcow2 "$b" > wanted.bits
		dumped ours.qcow2 "$b" > got.bits
		check "$1: bits of $b" cmp got.bits wanted.bits
	done
	qemu-img check -q ours.qcow2 > check.log 2>&1
	status=$?
	[ $status = 0 ] || diag "$(cat check.log)"
	is "$1: qemu-img check" $status 0
}

# both_do NAME VERB BITMAP [OURS -- [QEMU]] - the same step on both.
both_do()
{
	local name=$1 verb=$2 bitmap=$3 ours=() source=()
	shift 3
	while [ $# -gt 0 ] && [ "$1" != -- ]; do ours+=("$1"); shift; done
	[ $# -eq 0 ] || shift
	[ "$verb" != merge ] || source=("${ours[0]}")
	check "$name" dmlive bitmap "$verb" ours.qcow2 "$bitmap" "${ours[@]}"
	qemu-img bitmap "--$verb" "${source[@]}" "$@" qemu.qcow2 "$bitmap" > qemu-img.log 2>&1 ||
		bail "qemu-img bitmap --$verb: $(cat qemu-img.log)"
	local changed=("$bitmap")
	[ "$verb" != remove ] || changed=()
	same "$name" "${changed[@]}"
}

# All operations, on an image with guest data.
session()
{
	local label=$1
	shift
	image_create "$@" qemu.qcow2 $(((1 << 30) - 512))
	image_io qemu.qcow2 "write -P 1 3M 1M"
	cp qemu.qcow2 ours.qcow2
	both_do "$label: add the first" add first
	both_do "$label: remove the only one" remove first
	both_do "$label: add one again" add first --granularity 512 -- -g 512
	both_do "$label: add another" add other --granularity 1M -- -g 1M
	cp ours.qcow2 qemu.qcow2
	image_io qemu.qcow2 "write -P 2 5M 300k" "write -P 3 1022M 512" \
		"write -P 4 $(((1 << 30) - 1024)) 512"
	cp qemu.qcow2 ours.qcow2
	same "$label: as QEMU left it" first other
	both_do "$label: disable" disable first
	both_do "$label: add a third" add third --disabled -- --disable
	both_do "$label: merge into larger bits" merge third first --
	both_do "$label: clear" clear first
	both_do "$label: merge into smaller bits" merge first other --
	both_do "$label: merge itself" merge other other --
	both_do "$label: enable" enable first
	both_do "$label: remove one in between" remove other
	both_do "$label: merge from another image" merge first third --source-file other.qcow2 \
		-- -b other.qcow2 -F qcow2
	bits ours.qcow2 first > got.bits
	bits qemu.qcow2 first > wanted.bits
	check "$label: the bits as QEMU sees them" cmp got.bits wanted.bits
	both_do "$label: remove" remove first
	check "$label: the data" qemu-img compare ours.qcow2 qemu.qcow2
	check "$label: becomes a store" dmlive meta prepare ours.qcow2
	both_do "$label: clear in a store" clear third
	both_do "$label: remove the last" remove third
}

image_create other.qcow2 $(((1 << 30) - 512))
qemu-img bitmap --add -g 4K other.qcow2 third || bail "qemu-img bitmap"
image_io other.qcow2 "write -P 5 100M 2M" "write -P 6 800M 4k"
for cluster in 512 64k 2M; do
	session "clusters of $cluster" -o cluster_size=$cluster
done
session "refcounts of 1 bit" -o cluster_size=4k,refcount_bits=1
image_create base.qcow2 $(((1 << 30) - 512))
session "a backing file" -b "$TMP/base.qcow2" -F qcow2

# So many bitmaps that the directory needs another cluster, and then more clusters.
image_create -o cluster_size=512 ours.qcow2 64M
cp ours.qcow2 qemu.qcow2
for n in {1..40}; do
	dmlive bitmap add ours.qcow2 "b$n" --granularity 64K ||
		not_ok "add the bitmap $n"
	qemu-img bitmap --add -g 64K qemu.qcow2 "b$n"
done
is "forty bitmaps" "$(bitmaps ours.qcow2)" "$(bitmaps qemu.qcow2)"
check "forty bitmaps: qemu-img check" qemu-img check -q ours.qcow2
for n in {1..39}; do
	dmlive bitmap remove ours.qcow2 "b$n" || not_ok "remove the bitmap $n"
done
is "one is left" "$(bitmaps ours.qcow2)" "b40 65536 auto"
check "one is left: qemu-img check" qemu-img check -q ours.qcow2
dmlive bitmap add --granularity 64K ours.qcow2 $'na\tme with \xc3\xa9' || not_ok "a name with blanks"
is "a name with blanks" "$(bitmaps ours.qcow2)" $'b40 65536 auto, na\tme with \xc3\xa9 65536 auto'
is "its control characters" "$(dmlive bitmap list ours.qcow2 | tail -n 1)" \
	$'bitmap na?me with \xc3\xa9: granularity 64.0 KiB, auto, 0 B set (0.0 %)'

# JSON.
is "list --json" "$(dmlive bitmap list --json ours.qcow2 | jq -c '.[0]')" \
	'{"name":"b40","granularity":65536,"in-use":false,"auto":true,"set-bytes":0,"generation":0,"seal":null}'
is "add --json" "$(dmlive bitmap add --json ours.qcow2 j | jq -c .)" \
	'{"store":"ours.qcow2","bitmap":"j","action":"add"}'
cp qemu.qcow2 other.qcow2
image_io other.qcow2 "write 1M 128k"
is "merge --json" "$(dmlive bitmap merge --json --source-file other.qcow2 ours.qcow2 j b7 | jq -c .)" \
	'{"store":"ours.qcow2","bitmap":"j","action":"merge","added-bytes":131072}'

# With standard error closed, messages are not written to a file that is opened.
cp ours.qcow2 before.qcow2
dmlive bitmap add ours.qcow2 b40 2>&-
is "standard error is closed: refused" $? 3
check "standard error is closed: the image is as it was" cmp ours.qcow2 before.qcow2
check_fails "standard output is closed: an error" eval "dmlive bitmap list ours.qcow2 >&-"

# Names are any bytes; JSON is UTF-8.
bad=$'bad\xff\xc3(\xed\xa0\x80'
cp ours.qcow2 "$bad"
check "a name that is not UTF-8" dmlive bitmap add "$bad" "$bad"
is "list --json: invalid UTF-8 is replaced" \
	"$(dmlive bitmap list --json "$bad" | grep -o 'bad[^"]*')" $'bad\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd'
image_io other.qcow2 "write 4M 64k"
cp other.qcow2 "map-$bad"
for args in "bitmap list" "image info" "image check" "image map"; do
	image=$bad
	[ "$args" != "image map" ] || image=map-$bad
	read -ra words <<< "$args"
	dmlive "${words[@]}" --json "$image" > out.json || not_ok "$args --json"
	check "$args --json is UTF-8" eval 'iconv -f UTF-8 -t UTF-16 < out.json > /dev/null'
	check "$args --json is JSON" jq empty out.json
done

# Many ranges, with little memory.
image_create -o cluster_size=64k ranges.qcow2 4G
dmlive bitmap add ranges.qcow2 b --granularity 512 || not_ok "add"
table=$(peek ranges.qcow2 "$(directory ranges.qcow2)")
yes U 2> /dev/null | tr -d '\n' | head -c 1048576 |
	dd of=ranges.qcow2 bs=64K conv=notrunc seek="$(peek ranges.qcow2 "$table")" \
		oflag=seek_bytes iflag=fullblock status=none
check "bits are in one piece" [ "$(dmlive bitmap list --json ranges.qcow2 | jq '.[0]."set-bytes"')" = $((4194304 * 512)) ]
is "four million ranges in little memory" "$(ulimit -v 262144
	dmlive bitmap dump --json ranges.qcow2 b | grep -c '"start"')" 4194304
is "no range" "$(dmlive bitmap dump --json ours.qcow2 b40 | jq -c .)" "[]"

# A store that is made for tracking.
dmlive meta format store --size 10G --track --bitmap daily --bitmap hourly:4K ||
	bail "dmlive meta format"
is "store: the bitmaps" "$(bitmaps store)" "daily 65536 auto, dmlive-intent 16777216 , \
dmlive-spare-1 65536 , dmlive-spare-2 65536 , hourly 4096 auto"
check "store: qemu-img check" qemu-img check -q store
check "store: dmlive meta check" dmlive meta check store
like "store: it has a UUID" "$(dmlive meta dump --json store | jq -r .uuid)" \
	'^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
is "store: its size" "$(dmlive meta size --size 10G --track --bitmap daily --bitmap hourly:4K)" \
	$(($(stat -c %s store) + 65536))
seal='[."has-seal",.sealed,."seal-time",.digest,.trusted,.volume,.gap]'
is "store: its seal" "$(dmlive bitmap list store --json | jq -c "map(.seal|$seal)|unique")" \
	"[$(dmlive meta dump store --json | jq -c "$seal")]"
is "store: that is an object" "$(dmlive bitmap list store --json | jq -c '.[0].seal."has-seal"')" true
is "store: no spares" "$(dmlive meta format --force --size 1G --track --spare 0 none && bitmaps none)" \
	"dmlive-intent 16777216 "
cp store before
check "store: add" dmlive bitmap add store weekly
check "store: remove" dmlive bitmap remove store hourly
check "store: is still one" eval 'dmlive meta dump --json store | jq -e ".prepared and .uuid"'
check "store: qemu-img check after that" qemu-img check -q store
check "store: dmlive meta check after that" dmlive meta check store

# The backup that each bitmap belongs to: all operations that remove bits end that.
cp before store
give_generations store daily hourly
cp store generations
is "generations" "$(generations store)" "daily=1 hourly=2"
like "generations: list for people" "$(dmlive bitmap list store)" "bitmap hourly: .*generation 2"
# keeps VERB ARGUMENT..., drops VERB ARGUMENT...
keeps()
{
	cp generations store
	check "$*" dmlive bitmap "$1" store "${@:2}"
	is "$1: the generations stay" "$(generations store)" "daily=1 hourly=2"
}
drops()
{
	cp generations store
	check "$*" dmlive bitmap "$1" store "${@:2}"
	is "$1: the generation goes" "$(generations store)" "hourly=2"
	check "$1: dmlive meta check" dmlive meta check store
}
keeps enable daily
keeps merge daily hourly
keeps add weekly
drops clear daily
drops disable daily
drops remove daily
check "add it again" dmlive bitmap add store daily
is "it has no generation" "$(generations store)" "hourly=2"
cp generations store
poke store 560 00
is "a damaged sector: no generations" "$(generations store)" ""
check "a damaged sector: clear" dmlive bitmap clear store daily
cp generations store
image_io store "write 1M 64k"
is "written by QEMU: no generations" "$(generations store)" ""

# A crash: the target was not deactivated. The intent bitmap is merged into the bitmap,
# which closes it.
intent_flags()
{
	flags_at store 2
}

crash()
{
	cp before store
	poke store 124 00000006			# TRACKING, USED
	poke store "$(flags_at store 0)" 00000003	# daily: AUTO, IN_USE
	poke store $(($(flags_at store 0) + 32)) 00000003
	poke store "$(intent_flags)" 00000001
	# Regions 1 and 2, and the last one, of 640.
	local table
	table=$(peek store $(($(intent_flags) - 12)))
	poke store "$(peek store "$table")" 06
	poke store $(($(peek store "$table") + 79)) 80
	# daily has the first 128 KiB set.
	table=$(peek store "$(directory store)")
	poke store "$(peek store "$table")" 03
}
crash
is "crash: the intent" "$(dumped store dmlive-intent --force | tr '\n' ' ')" \
	"16777216 33554432 10720641024 16777216 "
is "crash: QEMU does not trust it" "$(bitmaps store | cut -d, -f1)" "daily 65536 in-use auto"
is "crash: merge" "$(dmlive bitmap merge --json store daily dmlive-intent | jq '."added-bytes"')" 50331648
is "crash: the bits" "$(dumped store daily | tr '\n' ' ')" \
	"0 131072 16777216 33554432 10720641024 16777216 "
is "crash: the bitmap is closed" "$(bitmaps store | cut -d, -f1)" "daily 65536 auto"
check "crash: the other one is not" eval "bitmaps store | grep -q 'hourly 4096 in-use auto'"
check "crash: the other one" dmlive bitmap merge store hourly dmlive-intent
is "crash: its bits" "$(dumped store hourly | tr '\n' ' ')" \
	"16777216 33554432 10720641024 16777216 "
check "crash: all is closed" eval "! bitmaps store | grep -q in-use"
check "crash: it can be added to again" dmlive bitmap add store more
check "crash: qemu-img check" qemu-img check -q store

# refused NAME REGEX STATUS FILE ARGUMENT... - and the file is as before.
refused()
{
	local output status
	cp "$4" unchanged
	output=$(dmlive bitmap "${@:5}" 2>&1)
	status=$?
	is "$1: status" $status "$3"
	like "$1: says why" "$output" "$2"
	check "$1: and changes nothing" cmp "$4" unchanged
}

cp before store
refused "a name that exists" "already.*'daily'|'daily' already" 3 store add store daily
refused "a name that does not exist" "no bitmap 'nope'.*bitmap list" 3 store remove store nope
refused "no such source" "no bitmap 'nope'" 3 store merge store daily nope
refused "dump of a bitmap that does not exist" "no bitmap 'nope'" 3 store dump store nope
refused "an empty name" "1 to 1023 bytes" 3 store add store ""
refused "a granularity that is not a power of two" "power of two" 3 store add store x --granularity 3000
refused "a granularity that is too small" "power of two" 3 store add store x --granularity 256
refused "a reserved name" "reserved" 3 store add store dmlive-x
for verb in remove enable disable clear; do
	refused "$verb of dmlive's own" "dmlive's own" 3 store $verb store dmlive-intent
done
refused "merge into dmlive's own" "dmlive's own" 3 store merge store dmlive-intent daily
dmlive meta format restore --size 1G --granularity 64K || bail "dmlive meta format"
for verb in remove enable disable clear; do
	refused "$verb of a restore's bitmap" "they are lost; --force" 3 restore $verb restore alloctrack
done
check "--force" dmlive bitmap clear --force restore alloctrack
image_create other.qcow2 2G
dmlive bitmap add other.qcow2 b || not_ok "add"
refused "a source of another size" "of one size" 3 store merge store daily b --source-file other.qcow2
refused "a source that is not an image" "not.*(qcow2|store)" 1 store merge store daily b --source-file pattern-a
refused "no image" "not a qcow2" 1 pattern-a add pattern-a b
refused "a file that does not exist" "nope" 1 store add nope b
image_create huge.qcow2 10T
refused "too small a granularity for the size" "larger than 512 MiB" 3 huge.qcow2 \
	add huge.qcow2 x --granularity 512
# The file can grow by no cluster, by one, and so on up to one too few: no leaks.
image_create -o cluster_size=4k full.qcow2 1G
dmlive bitmap add full.qcow2 one || not_ok "add"
before=$(stat -c %s full.qcow2)
cp full.qcow2 roomy.qcow2
dmlive bitmap add roomy.qcow2 two --granularity 8K || not_ok "add"
for ((kib = before / 1024; kib < $(stat -c %s roomy.qcow2) / 1024; kib += 4)); do
	cp full.qcow2 limited.qcow2
	(
		trap '' XFSZ
		ulimit -f $kib
		exec dmlive bitmap add limited.qcow2 two --granularity 8K
	) > limited.log 2>&1
	is "no room after $kib KiB: status" $? 3
	check "no room after $kib KiB: nothing is leaked" qemu-img check -q limited.qcow2
	is "no room after $kib KiB: the bitmaps are as before" "$(bitmaps limited.qcow2)" "$(bitmaps full.qcow2)"
done
image_create nothing.qcow2 0
refused "an image of size 0" "size of 0" 3 nothing.qcow2 add nothing.qcow2 x

# entries IMAGE N - print N directory entries, which all have the first one's table.
entries()
{
	local n fixed digits
	fixed=$(od -An -v -tx1 -j "$(directory "$1")" -N 24 "$1" | tr -d ' \n')
	for ((n = 0; n < $2; n++)); do
		printf -v digits %04d $n
		printf '%s' "${fixed:0:36}0004${fixed:40}3${digits:0:1}3${digits:1:1}" \
			"3${digits:2:1}3${digits:3:1}00000000"
	done
}

# many SIZE N - make many.qcow2 with N bitmaps and the directory at the end.
many()
{
	local at extension
	set -- many.qcow2 "$2" "$1"
	image_create -o cluster_size=512 "$1" "$3"
	qemu-img bitmap --add -g 512 "$1" first || bail "qemu-img bitmap"
	truncate -s %512 "$1"
	at=$(stat -c %s "$1")
	extension=$(grep -obUaP '\x23\x85\x28\x75' "$1" | head -n 1 | cut -d: -f1)
	# shellcheck disable=SC2059 # the text is the format
	printf "$(entries "$1" "$2" | sed 's/../\\x&/g')" >> "$1"
	truncate -s %512 "$1"
	poke "$1" $((extension + 8)) "$(printf '%08x' "$2")"
	poke "$1" $((extension + 16)) "$(hex64 $((32 * $2)))$(hex64 "$at")"
}
many 1G 2
refused "two bitmaps with one table" "overlap" 1 many.qcow2 list many.qcow2
many 1G 1024
output=$(ulimit -v 262144; dmlive bitmap list many.qcow2 2>&1)
is "tables larger than the file: status" $? 1
like "tables larger than the file: says why" "$output" "the tables of the bitmaps overlap"
many 65G 1024
truncate -s 1G many.qcow2
output=$(ulimit -v 262144; dmlive bitmap list many.qcow2 2>&1)
is "tables larger than what is supported: status" $? 1
like "tables larger than what is supported: says why" "$output" "too large together"
many 1G 1025
refused "more bitmaps than a store has" "more than 1024 bitmaps" 1 many.qcow2 list many.qcow2
# Up to the last byte of the first cluster, and beyond it.
name=$(printf 'B%.0s' {1..1000}) text=$(printf 'A%.0s' {1..65360})
for bytes in 64200 64400 65300 {65344..65360}; do
	cp store kept
	output=$(dmlive meta format --force --size 1G --granularity 64K \
		--target "${text:0:bytes}" --backing "$name" kept 2>&1)
	status=$?
	if [ "$bytes" = 64200 ]; then
		is "a description of $bytes bytes fits" $status 0
		check "and can be read" dmlive meta check kept
		continue
	fi
	is "one of $bytes bytes does not: status" $status 1
	like "one of $bytes bytes does not: says why" "$output" "description of the restore is too long"
	check "and changes nothing" cmp store kept
done
crash
for verb in enable disable clear; do
	refused "$verb of an open bitmap" "'daily' is in use or was not closed: activate its target, which recovers it, or merge dmlive-intent" \
		3 store $verb store daily
done
refused "dump of an open bitmap" "'daily' was not closed.*activate its target, which recovers it.*--force" \
	3 store dump store daily
is "and prints no range" "$(dmlive bitmap dump --json store daily 2> /dev/null)" ""
is "dump of an open bitmap: --force" "$(dumped store daily --force 2> warning)" "0 131072"
like "and warns" "$(< warning)" "warning.*'daily' was not closed"
is "meta dump of an open bitmap" "$(dmlive meta dump --json --bits daily store 2> warning |
	jq -c .)" '[{"start":0,"length":131072}]'
like "warns" "$(< warning)" "warning.*'daily' is in use or was not closed"
check "meta dump of a closed bitmap prints nothing" [ -z "$(dmlive meta dump --bits dmlive-spare-1 store 2>&1)" ]
refused "add to a store that was not closed" "'daily' is in use or was not closed" 3 store add store x
refused "merge into an open bitmap" "'daily' is in use" 3 store merge store daily dmlive-spare-1
refused "merge from an open bitmap" "'daily' is in use" 3 store merge store dmlive-spare-1 daily --force
poke store 124 00000002
refused "an intent bitmap that was not kept" "'daily' is in use.*activate its target and remove it again" \
	3 store merge store daily dmlive-intent
check "a bitmap that was not closed can be removed" dmlive bitmap remove store daily
check "and the other one" dmlive bitmap remove store hourly
check "which closes the intent bitmap" eval "! bitmaps store | grep -q in-use"
cp restore used
poke used "$(flags_at used 0)" 00000003
refused "a restore's bitmap that is open" "activate its target and remove it" 3 used clear used alloctrack --force
cp qemu.qcow2 used.qcow2
poke used.qcow2 "$(flags_at used.qcow2 0)" 00000003
refused "a bitmap that QEMU left open" "cannot be trusted; remove it" 3 used.qcow2 clear used.qcow2 b1
refused "dump of a bitmap that QEMU left open" "cannot be trusted; remove it" 3 used.qcow2 dump used.qcow2 b1
cp qemu.qcow2 lost.qcow2
poke lost.qcow2 88 "$(hex64 0)"
for verb in add remove list; do
	args=(lost.qcow2)
	[ $verb = list ] || args+=(b1)
	refused "$verb when bitmaps are out of date" "out of date.*qemu-img check" 3 lost.qcow2 $verb "${args[@]}"
done
cp qemu.qcow2 broken.qcow2
poke broken.qcow2 "$(peek broken.qcow2 "$(peek broken.qcow2 48)")" 0000
refused "an image with errors" "has errors.*qemu-img check -r" 3 broken.qcow2 add broken.qcow2 x

refused "no arguments" "Usage" 2 store
refused "an unknown command" "no command 'frob'" 2 store frob store
refused "a missing argument" "needs STORE and BITMAP" 2 store clear store
refused "an argument too many" "needs STORE; see" 2 store list store daily
refused "an unknown option" "unknown option" 2 store list store --frob
refused "an option of another command" "no option --granularity" 2 store clear store daily --granularity 4K
check "help" dmlive help bitmap

# In use by QEMU.
qemu-nbd -f qcow2 -k "$TMP/used.socket" --fork --pid-file="$TMP/used.pid" qemu.qcow2 \
	> nbd.log 2>&1 || bail "qemu-nbd: $(cat nbd.log)"
on_exit stop_process "$(< used.pid)"
for verb in add enable; do
	output=$(dmlive bitmap $verb qemu.qcow2 b1 2>&1)
	is "$verb while QEMU has the image: status" $? 3
	like "$verb while QEMU has the image: says why" "$output" "another process"
done
stop_process "$(< used.pid)"
finish
