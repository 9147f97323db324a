#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# also on: stock
#
# The guest's flushes and FUA writes reach the file as such, and the state becomes
# "complete" only after a flush that followed the last write.

. "$(dirname "$0")/alloctrack.sh"
require_target log-writes flakey

readonly SIZE=$((4 * 2048))
file=$(make_painted stale 4 512 cache_size=4) || bail "file"
backing=$(make_painted backing 4) || bail "backing"
log=$(make_disk 32) || bail "log"

# log_entries LOG - "SECTOR NR FLAGS DATA_BYTES" of each entry of dm-log-writes; flags:
# 1 flush, 2 FUA, 4 discard, 8 mark. The log is a superblock, then entries of one sector,
# each followed by its data.
log_entries()
{
	local at=1 nr entry i
	nr=$(od -A n -t u8 -j 16 -N 8 "$1" | tr -d ' ')
	for ((i = 0; i < nr; i++)); do
		read -r -a entry < <(od -A n -t u8 -w32 -j $((at * 512)) -N 32 "$1")
		echo "${entry[*]}"
		[ $((entry[2] & (4 | 8))) -ne 0 ] || at=$((at + entry[1]))
		at=$((at + 1))
	done
}

# entry DESCRIPTION REGEX - the log has an entry that matches.
entry()
{
	grep -qE "$2" "$TMP/entries"
	result $? "$1" || diag "$(< "$TMP/entries")"
}

# A target on a file with a volatile cache, which logs its requests.
begin()
{
	dm_create f "0 $SIZE log-writes $file $log" || bail "log-writes"
	at_create t $SIZE /dev/mapper/f "$backing" 128
}

end()
{
	at_remove t
	at_remove f
	blockdev --flushbufs "$log"
	log_entries "$log" > "$TMP/entries"
}

guest_flush()
{
	begin
	is "a write cache is advertised" "$(queue_limit write_cache)" "write back"
	is "FUA is advertised" "$(queue_limit fua)" 1
	dd_write "$T" $((1 << 20)) 65536 oflag=dsync		# a whole block
	dd_write "$T" $((2 << 20)) 512 oflag=dsync		# part of one
	dd_write "$T" $(((2 << 20) + 4096)) 512 oflag=dsync	# allocated
	dd_write "$T" $((3 << 20)) 65536 conv=fdatasync
	end
	entry "FUA of a whole block" "^2048 128 2 "
	entry "the fill before a part of one" "^4096 128 0 "
	entry "FUA of the part" "^4096 1 2 "
	entry "FUA of an allocated block" "^4104 1 2 "
	is "the last write is followed by a flush" \
		"$(grep -A 1 '^6144 128 0 ' "$TMP/entries" | tail -n 1 | cut -d ' ' -f 2-3)" "0 1"
}

completion()
{
	begin
	message t stream start
	wait_until state_is t complete
	dmsetup message f 0 mark complete
	end
	is "nothing but a flush is between the last write and complete" \
		"$(awk '$3 == 8 { print last; exit } { last = $2 " " $3 }' "$TMP/entries")" "0 1"
	is "all was written before" \
		"$(awk '$3 == 8 { exit } $3 == 0 { n += $2 } END { print n }' "$TMP/entries")" $SIZE
}

# If the flush fails the device is not complete.
failed_flush()
{
	make_linear f "$file" > /dev/null || bail "linear"
	at_create t $SIZE /dev/mapper/f - 128 target_is_zero on_error stop
	dm_reload f "0 $SIZE flakey $file 0 0 1000 1 error_writes" || bail "flakey"
	message t stream start
	check "a flush that fails stops the job" wait_until state_is t stopped
	is "and is counted" "$(at_status t 6 7)" "0 1"
	check_fails "a flush of the guest fails" \
		dd if=/dev/null of="$T" conv=notrunc,fsync status=none
	repair_device f "$file"
	message t stream resume
	check "resume completes it" wait_until state_is t complete
	at_remove t
	at_remove f
}

flush_of_guest()
{
	dd if=/dev/null of="$T" conv=notrunc,fsync status=none
}

# The volume may have reported lost data to the stream job's flush, and to no other.
unasked_flush()
{
	make_linear f "$file" > /dev/null || bail "linear"
	at_create t $SIZE /dev/mapper/f - 128 target_is_zero on_error stop
	dm_reload f "0 $SIZE flakey $file 0 0 1000 1 error_writes" || bail "flakey"
	message t stream start
	wait_until state_is t stopped
	repair_device f "$file"
	check_fails "the guest's flush after one of the job failed fails" flush_of_guest
	check "once" flush_of_guest
	at_remove t
	at_remove f
}

guest_flush
completion
failed_flush
unasked_flush
finish
