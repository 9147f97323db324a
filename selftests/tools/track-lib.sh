# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For tests of `dmlive restore --track`. expected.raw has the expected content, and written
# has the guest's writes since the restore began, as lines of "OFFSET LENGTH" in sectors.

# shellcheck source=increment-lib.sh
. "$(dirname "$0")/increment-lib.sh"

# start_tracked IMAGE DEVICE NAME [OPTION...] - as start_restore, with bitmap B.
start_tracked()
{
	on_exit end_tracked "$3"
	: > written
	dmlive restore "$1" "$2" --name "$3" --background --track B "${@:4}" \
		> "$out" 2> "$err"
}

# end_tracked NAME - remove all that is left of it.
end_tracked()
{
	local pid
	pid=$(server_of "$1-dmlive")
	dm_remove "$1"
	dm_remove "$1-dmlive" || dmsetup remove --force "$1-dmlive"
	[ -z "$pid" ] || wait_until is_gone "$pid" || kill -KILL "$pid"
	rm -f "/run/dmlive/$1"*
}

# guest_writes NAME OFFSET LENGTH - write random data; in sectors.
guest_writes()
{
	head -c $(($3 * 512)) /dev/urandom > guest.data
	dd if=guest.data of="/dev/mapper/$1" bs=512 seek="$2" oflag=direct conv=notrunc \
		status=none || bail "guest_writes $*"
	dd if=guest.data of=expected.raw bs=512 seek="$2" conv=notrunc status=none
	echo "$2 $3" >> written
}

# guest_zeroes NAME OFFSET LENGTH - the same with write-zeroes.
guest_zeroes()
{
	blkdiscard -z -o $(($2 * 512)) -l $(($3 * 512)) "/dev/mapper/$1" ||
		bail "guest_zeroes $*"
	dd if=/dev/zero of=expected.raw bs=512 seek="$2" count="$3" conv=notrunc status=none
	echo "$2 $3" >> written
}

# to_bits [GRANULARITY] - convert "OFFSET LENGTH" in sectors to bit numbers, one per line.
to_bits()
{
	awk -v g=$((${1:-65536} / 512)) '{
		for (i = int($1 / g); i <= int(($1 + $2 - 1) / g); i++)
			print i
	}' | sort -nu
}

# bits_of NAME [GRANULARITY] - the bits of the device's bitmap B in its store.
bits_of()
{
	local store
	store=$(dmlive status "$1" --json | jq -r .meta_device)
	dmsetup suspend "$1"
	dd if="$store" of=store.copy bs=64K iflag=direct status=none
	dmsetup resume "$1"
	dmlive meta dump store.copy --bits B --json |
		jq -r '.[] | "\(.start / 512) \(.length / 512)"' | to_bits "${2:-}"
}

# exactly NAME LABEL [GRANULARITY] - bitmap B has the writes and nothing else.
exactly()
{
	is "$2: the bitmap has exactly the writes" \
		"$(bits_of "$1" "${3:-}" | tr '\n' ' ')" "$(to_bits "${3:-}" < written | tr '\n' ' ')"
}

# data_bits IMAGE [GRANULARITY] - the amount of its own data, in bits.
data_bits()
{
	qemu-img map --output json "$1" |
		jq -r '.[] | select(.depth == 0) | "\(.start / 512) \(.length / 512)"' |
		to_bits "${2:-}" | wc -l
}

# state_below NAME - the state of the restore below it.
state_below()
{
	dmlive status "$1" --json | jq -r '.restore.state // "none"'
}

is_through()
{
	is_linear "$1-dmlive" && [ ! -e "/run/dmlive/$1-dmlive.lock" ]
}

# ends_tracked NAME LABEL - the restore completes, the cbw device stays, and the content is
# as expected.
ends_tracked()
{
	dmlive stream "$1" speed 0 2> /dev/null
	check "$2: linear below in the end" wait_until is_through "$1"
	is "$2: cbw stays on top" "$(dm_target "$1")" cbw
	same "$2: content" "/dev/mapper/$1" expected.raw
}
