# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the programs that compare rates. In each round the devices are measured one right
# after the other, and the rate of each is divided by that of its peer in the same round, so
# that a temporary slowdown of the machine affects both. The result is the median of the
# rounds' ratios. The rates themselves are not comparable with those of another machine.

. "$(dirname "$0")/../lib/common.sh"
require_command fio jq

json='' seconds=2 rounds=5 only=.

# parse_options OPTION... - set these variables.
parse_options()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--json)		json=1; shift ;;
		--seconds)	seconds=$2; shift 2 ;;
		--rounds)	rounds=$2; shift 2 ;;
		--only)		only=$2; shift 2 ;;
		*)		echo "${0##*/}: $1: unknown option" >&2; exit 2 ;;
		esac
	done
}

# slow_disk MIB - a disk with the latency of real storage.
slow_disk()
{
	make_disk "$1" 4096 irqmode=2 completion_nsec=50000
}

# fill DISK... - with other data than zeros, which are cheaper; and so that no device has to
# allocate the disk's memory.
fill()
{
	local disk
	for disk; do
		dd if=/dev/urandom of="$disk" bs=1M count=$(($(sectors "$disk") / 2048)) \
			oflag=direct status=none || return
	done
}

# fio_rate PATH RW BYTES MIB - bytes per second, over $seconds at most. No place is visited
# twice. Not with io_uring: it submits to a target without DM_TARGET_NOWAIT, such as
# dm-snapshot, from other threads than to a target with it, which alone can be a factor of
# ten with large writes.
fio_rate()
{
	local result
	result=$(fio --name=bench --filename="$1" --rw="$2" --bs="$3" --size="$4M" --direct=1 \
		--ioengine=libaio --iodepth=32 --iodepth_batch_submit=16 \
		--iodepth_batch_complete_min=1 --runtime="$seconds" --output-format=json) ||
		return
	jq '.jobs[0] | .read.bw_bytes + .write.bw_bytes' <<< "$result"
}

# sample WORKLOAD DEVICE ROUND RATE - record it for the report.
sample()
{
	samples+=("{\"workload\":\"$1\",\"device\":\"$2\",\"round\":$3,\"rate\":${4:-0}}")
	[ -n "$json" ] || echo "# $1 $2: $4" >&2
}
samples=()

# report UNIT DIVISOR DEVICE/PEER... - print for each workload the median rate of each
# device and the median of the ratios; with --json the samples. A device that is missing in
# this kernel has no samples.
report()
{
	local all
	all=$(printf '%s\n' "${samples[@]}" | jq -s .)
	tap_finished=yes	# this is no test, so it has no plan
	if [ -n "$json" ]; then
		echo "$all"
		return
	fi
	jq -r --arg unit "$1" --argjson divisor "$2" --arg pairs "${*:3}" '
		def median: if length == 0 then null else sort | .[length / 2 | floor] end;
		def digits($n): if . == null then "-" else . * $n | round / $n end;
		def of(d): map(select(.device == d));
		def rate(d): of(d) | map(.rate) | median;
		def ratios(d; p): . as $all | [of(d)[] | . as $s | $all | of(p)[] |
			select(.round == $s.round and .rate > 0) | $s.rate / .rate];
		def distinct: reduce .[] as $x ([]; if index($x) then . else . + [$x] end);
		(map(.device) | distinct) as $devices | ($pairs | split(" ")) as $pairs |
		(map(.workload) | distinct) as $workloads | . as $all |
		([$unit] + $devices),
		($workloads[] as $w | $all | map(select(.workload == $w)) | . as $rows |
		 [$w] + [$devices[] as $d | $rows | rate($d) |
			if . == null then "-" else . / $divisor |
			digits(if . < 10 then 100 else 1 end) end]),
		["."], (["median ratio (lowest, highest)"] + $pairs),
		($workloads[] as $w | $all | map(select(.workload == $w)) | . as $rows |
		 [$w] + [$pairs[] | split("/") as $p | $rows | ratios($p[0]; $p[1]) |
			if length == 0 then "-" else
			"\(median | digits(100)) (\(min | digits(100)), \(max | digits(100)))" end]) |
		@tsv' <<< "$all" | column -t -s $'\t'
}
