#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# FILL and ZERO accept ranges of any length and in any order, fill the unallocated part
# and report its size, and refuse unaligned ranges.

. "$(dirname "$0")/alloctrack.sh"
. "$(dirname "$0")/user-server.sh"
require_command fio

# refused COMMAND... - invalid ranges are refused.
refused()
{
	local length
	for length in 0 512 $((bytes - 512)) $((bytes + 512)) $(((64 << 20) + bytes)); do
		asks "$1 of $length bytes" "EINVAL 0" a "$1" 0 $length
	done
	asks "$1 at a sector" "EINVAL 0" a "$1" 512 "$bytes"
	asks "$1 over the end" "EINVAL 0" a "$1" "$last" $((last_bytes + bytes))
	asks "$1 short of the end" "EINVAL 0" a "$1" "$last" $((last_bytes - lbs))
	asks "$1 past the end" "EINVAL 0" a "$1" $((last + bytes)) "$bytes"
	asks "$1 at the largest number" "EINVAL 0" a "$1" \
		$((-bytes & ~(1 << 63)))  "$bytes"
	is_so "$1: nothing is allocated" "$(at_allocated t)" 0
}

fills()
{
	local nr=$(((size * 512 + bytes - 1) / bytes))
	local last=$(((nr - 1) * bytes))
	local last_bytes=$((size * 512 - last))

	at_create t "$size" "$file" user "$block"
	attached a "$backing"
	refused fill
	refused zero
	asks "fill from an address that is not aligned" "EINVAL 0" a fill 0 "$bytes" 512

	asks "the last, short block first" "ok $last_bytes" a fill "$last" "$last_bytes"
	asks "a block" "ok $bytes" a fill "$bytes" "$bytes"
	asks "again" "ok 0" a fill "$bytes" "$bytes"
	asks "with a neighbour before it" "ok $bytes" a fill 0 $((2 * bytes))
	guest_writes $((3 * bytes))
	asks "all up to the end" "ok $((size * 512 - 3 * bytes - last_bytes))" \
		a fill 0 $((size * 512))
	asks "again" "ok 0" a zero 0 $((size * 512))
	now_reads "reads" "read:0:$((3 * bytes)) backing" \
		"read:$((3 * bytes)):$bytes written" \
		"read:$((4 * bytes)):$((size * 512 - 4 * bytes)) backing"
	at_remove t
	zeros
	kill_hand a
}

# guest_writes OFFSET - write one block. If it is larger than a request, the server is
# needed.
guest_writes()
{
	[ "$bytes" -le 65536 ] || ask a fill "$1" "$bytes"
	start_io write:"$1":"$bytes"
	io_gives "the guest writes" "write:$1:$bytes done"
}

zeros()
{
	paint stale "$file" $((size * 512))
	at_create t "$size" "$file" user "$block"
	attached a "$backing"
	guest_writes "$bytes"
	asks "zero: the last, short block" "ok $last_bytes" a zero "$last" "$last_bytes"
	asks "zero: over what the guest wrote" "ok $bytes" a zero 0 $((2 * bytes))
	asks "zero: all" "ok $((size * 512 - 2 * bytes - last_bytes))" \
		a zero 0 $((size * 512))
	now_reads "zeros" "read:0:$bytes zeros" "read:$bytes:$bytes written" \
		"read:$((2 * bytes)):$((size * 512 - 2 * bytes)) zeros"
	kill_hand a
	at_remove t
}

# A read can be served in parts, in any order, and with more than it asked for. It does
# not end before the last part is there.
parts()
{
	local label=''
	paint stale "$file"
	at_create t 16384 "$file" user 128
	attached a "$backing"
	start_io read:262144:196608 read:4096:512 read:1048064:2048
	wait_until has_faults a 3
	asks "a range larger than was asked for" "ok 262144" a fill 0 262144
	io_gives "ends the read in it" "read:4096:512 backing"
	asks "the last part" "ok 65536" a fill 393216 65536
	asks "the first" "ok 65536" a zero 262144 65536
	asks "a half of another one" "ok 65536" a fill 1048576 65536
	check "both wait on" io_waits 2
	asks "the rest of both" "ok 655360" a fill 327680 720896
	io_gives "now they end" "read:4096:512 backing" "read:262144:196608 mixed" \
		"read:1048064:2048 backing"
	now_reads "reads" "read:262144:65536 zeros" "read:327680:131072 backing"
	kill_hand a
	at_remove t
}

# Answers in odd parts, twice, by many threads, while the server streams and the guest
# works.
threads()
{
	local label="blocks of $(($1 / 2)) KiB, threads"
	paint stale "$file"
	at_create t 16384 "$file" user "$1" stream
	start_server "$backing" --odd --threads 8 --stream --delay-ms 1
	start_fio 1 --size=4m
	fio_is_good "fio verifies what it wrote"
	check "$label: completes" wait_until state_is t complete
	check "$label: the other half is the backing's" \
		cmp -i 4194304:4194304 -n 4194304 "$T" "$backing"
	shows_nothing_stale
	is_so "the server has had no error" "$(grep -c answer "$server_log")" 0
	stop_process "$server"
	at_remove t
}

# When the file fails, waiting reads still get the data.
file_fails()
{
	local label='the file fails' linear
	paint stale "$file"
	linear=$(make_linear linear "$file")
	at_create t 16384 "$linear" user 128
	attached a "$backing"
	break_device linear "$file" 128 128
	start_io read:65536:4096 write:69632:512
	wait_until has_faults a 2
	asks "FILL" "EIO 0" a fill 65536 65536
	io_gives "the read gets its data, the write the error" \
		"read:65536:4096 backing" "write:69632:512 EIO"
	asks "it is counted" "ok faults=0 allocated=0 write_errors=1" a info
	is_so "in the status too" "$(at_status t 6 7)" "0 1"
	repair_device linear "$file"
	asks "FILL again" "ok 65536" a fill 65536 65536
	now_reads "reads" "read:65536:65536 backing"
	kill_hand a
	at_remove t
	dm_remove linear
}

each_volume fills
file=$(make_painted stale 8) && backing=$(make_painted backing 8) || bail "disks"
parts
threads 8
threads 128
threads 4096
file_fails
finish
