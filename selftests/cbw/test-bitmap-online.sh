#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `dmlive bitmap` on a device in use, under writes: enable, disable, clear and merge are
# done by the target, add and remove in a short suspend. The bitmaps have the writes of
# before and after. Refusals give the reason.

. "$(dirname "$0")/track.sh"

readonly SIZE=$((64 * 2048))
origin=$(make_painted 64) || bail "origin"
meta=$(make_disk 8) || bail "meta"
dmlive meta format "$meta" --size $((SIZE * 512)) --track --bitmap fine:4K \
	--bitmap coarse:1M || bail "dmlive meta format"
dm_create t "$(track_table $SIZE "$origin" "$meta" 128)" || bail "t"

check "a write" dd_write $T 0 65536
check "disable" dmlive bitmap disable t fine
is "disable: it does not record" "$(tracking fine)" "disabled 16"
check "another write" dd_write $T 1048576 65536
check "enable" dmlive bitmap enable t fine
is "enable: it records" "$(tracking fine)" "recording 16"
check "merge" dmlive bitmap merge t fine coarse
is "merge: two MiB are set" "$(tracking fine)" "recording 512"
check "clear" dmlive bitmap clear $T coarse
is "clear: nothing is set" "$(tracking coarse)" "recording 0"
is "clear --json" "$(dmlive bitmap clear t coarse --json | jq -c .)" \
	'{"store":"t","bitmap":"coarse","action":"clear"}'
bitmap_refused "enable what is enabled" "'fine': enable was refused: it is so already" enable t fine
bitmap_refused "a bitmap that is not there" "'nope': clear was refused: there is no such bitmap" clear t nope
bitmap_refused "a source that is not there" "no such source bitmap" merge t fine nope
bitmap_refused "a source of another image" "only while t is not active" merge t fine x --source-file "$TMP/x"
bitmap_refused "a name with blanks" "with spaces" clear t "a b"

# Under writes, none of which may be missed.
writer()
{
	local n
	for n in {0..31}; do
		dd_write $T $(((16 + n) * 1048576)) 4096 || return
		echo "$n" > "$TMP/written"
	done
}
echo -1 > "$TMP/written"
writer 2> "$TMP/writer.log" &
pid=$!
check "add" dmlive bitmap add t added --granularity 64K
check "add another" dmlive bitmap add t other
check "remove it" dmlive bitmap remove t other
wait $pid
is "the writer" $? 0
is "it records, the other is gone" "$(dmlive bitmap list t --json | jq -r '[.[].name] | join(" ")')" \
	"fine coarse added"
check "a write after that" dd_write $T 0 4096
like "it has it" "$(tracking added)" "^recording [1-9]"
is "all are in the old one" "$(tracking coarse)" "recording 33"
bitmap_refused "add what is there" "already a bitmap|'added' already" add t added
is "and it is resumed" "$(dmsetup info -c --noheadings -o suspended t)" "Active"
bitmap_refused "remove what is not there" "no bitmap 'nope'" remove t nope
bitmap_refused "remove dmlive's own" "dmlive's own" remove t dmlive-intent
is "and it is not suspended" "$(dmsetup info -c --noheadings -o suspended t)" "Active"
dmsetup suspend t
bitmap_refused "add while it is suspended" "is suspended: resume it first" add t more
dmsetup resume t

# During a backup.
target=$(make_disk 64) || bail "target"
dm_reload t "$(track_table $SIZE "$origin" "$meta" 128 target "$target" bitmap fine)" || bail "session"
bitmap_refused "add during a session" "backup is being made" add t more
bitmap_refused "clear during a session" "a session is on it" clear t fine
like "list during a session" "$(dmlive bitmap list t)" "bitmap fine: .*recording"
dm_reload t "$(track_table $SIZE "$origin" - 128)" || bail "no metadata"
bitmap_refused "no metadata device" "has no metadata device" list t
dm_remove t
read_meta "$meta"
is_sane "closed"
like "a file of that name" "$(cd "$TMP" && cp meta t && dmlive bitmap list t)" "bitmap added: .*auto"
finish
