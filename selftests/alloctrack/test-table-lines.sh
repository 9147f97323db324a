#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A malformed table line is refused, the kernel log names the argument and the reason,
# and nothing is left of it: no device, no reference to the disks or to the module.
#
# timeout: 1200

. "$(dirname "$0")/alloctrack.sh"

readonly SIZE=$((4 * 2048)) HUGE=18446744073709551616
readonly REFCNT=/sys/module/dm_alloctrack/refcnt
# Not painted, since nothing is read.
file=$(make_disk 4) && backing=$(make_disk 4) && meta=$(make_disk 4) &&
	small=$(make_disk 3) || bail "disks"

# leftovers [EXPECTED_HOLDERS] - print what holds one of the disks or the module.
leftovers()
{
	local disk used
	for disk in "$file" "$backing" "$meta" "$small"; do
		for used in "/sys/block/${disk##*/}/holders"/*; do
			[ ! -e "$used" ] || echo "$disk is held by ${used##*/}"
		done
	done
	[ ! -e "$REFCNT" ] || [ "$(< "$REFCNT")" = 0 ] ||
		echo "the module has $(< "$REFCNT") users"
	[ -z "$(dmsetup ls | grep '^t[[:space:]]')" ] || echo "there is a device t"
}

# refused DESCRIPTION REGEX TABLE - create fails, the log matches REGEX, no leftovers.
refused()
{
	local log left
	log_mark
	if printf '%s\n' "$3" | dmsetup create t 2> "$TMP/err"; then
		dmsetup remove t
		diag "table: $3"
		not_ok "$1: is refused"
		return
	fi
	log=$(log_since)
	left=$(leftovers)
	if [ -n "$left" ] || ! [[ $log =~ $2 ]]; then
		diag "table: $3"$'\n'"leftovers: $left"$'\n'"wanted: $2"$'\n'"log: $log"
		not_ok "$1"
		return
	fi
	ok "$1"
}

# bad DESCRIPTION REGEX ARGUMENTS - refused, for a table of the usual length.
bad()
{
	refused "$1" "$2" "0 $SIZE alloctrack $3"
}

# named WHAT VALUE REASON - the regex for what the log says about an argument.
named()
{
	echo "$1 '$2' is refused.*$3"
}

missing()
{
	local needs='Needs <file dev> <backing> <meta dev> <block size>'
	bad "no argument" "$needs" ""
	bad "one argument" "$needs" "$file"
	bad "two arguments" "$needs" "$file $backing"
	bad "three arguments" "$needs" "$file $backing -"
}

devices()
{
	local cannot='Cannot open the'
	bad "no such file device" "$(named 'file device' /dev/nowhere "$cannot file")" \
		"/dev/nowhere $backing - 128"
	bad "a file device that is not a block device" "$(named 'file device' /dev/null "$cannot file")" \
		"/dev/null $backing - 128"
	bad "a directory as file device" "$(named 'file device' "$TMP" "$cannot file")" \
		"$TMP $backing - 128"
	bad "no file device" "$(named 'file device' - "$cannot file")" "- $backing - 128"
	bad "no such device number" "$(named 'file device' 259:99999 "$cannot file")" \
		"259:99999 $backing - 128"
	bad "a number without a device" "$(named 'file device' -5 "$cannot file")" \
		"-5 $backing - 128"
	bad "no such backing" "$(named backing /dev/nowhere "$cannot backing")" \
		"$file /dev/nowhere - 128"
	bad "backing: a word" "$(named backing users "$cannot backing")" \
		"$file users - 128"
	bad "no such metadata device" \
		"$(named 'metadata device' /dev/nowhere "$cannot metadata")" \
		"$file $backing /dev/nowhere 128"
	bad "metadata device: a word" "$(named 'metadata device' none "$cannot metadata")" \
		"$file $backing none 128"
	bad "a file device that is too small" \
		"$(named 'file device' "$small" 'smaller than the target')" \
		"$small $backing - 128"
	bad "file and backing are the same" \
		"$(named backing "$file" 'The backing device is the file device')" \
		"$file $file - 128"
	bad "file and metadata are the same" \
		"$(named 'metadata device' "$file" 'is the file or the backing device')" \
		"$file $backing $file 128"
	bad "backing and metadata are the same" \
		"$(named 'metadata device' "$backing" 'is the file or the backing device')" \
		"$file $backing $backing 128"
	bad "an empty metadata device" 'metadata device is refused' \
		"$file $backing $meta 128"
}

# A device that is mounted.
busy()
{
	mkfs.ext4 -q "$file" 4M > /dev/null 2>&1 && mkdir "$TMP/mnt" &&
		mount "$file" "$TMP/mnt" || bail "mount"
	bad "a file device in use" \
		"$(named 'file device' "$file" 'Cannot open the file device .-EBUSY')" \
		"$file - - 128"
	bad "a backing in use" \
		"$(named backing "$file" 'Cannot open the backing device .-EBUSY')" \
		"$backing $file - 128"
	umount "$TMP/mnt"
}

block_sizes()
{
	local size
	for size in 0 1 4 7 8192 65536 12 129 4095 -8 -128 +-128 128k 128,0 0x80 x 1e3 \
		4294967424 $HUGE $((1 << 62)) 99999999999999999999999; do
		bad "block size $size" "$(named 'block size' "${size/+/\\+}" 'power of two from 8 to 4096')" \
			"$file $backing - $size"
	done
}

features()
{
	local count value line="$file $backing - 128"
	local wrong='not that of the words after it'

	for count in x -1 4294967296 4294967297 $HUGE 1x 0x1; do
		bad "$count features" \
			"$(named 'number of features' $count 'is not a number')" \
			"$line $count stream"
	done
	for count in 0 2 33 4294967295; do
		bad "$count features and one word" \
			"$(named 'number of features' $count "$wrong")" \
			"$line $count stream"
	done
	bad "one feature and no word" "$(named 'number of features' 1 "$wrong")" "$line 1"
	bad "no feature and two words" "$(named 'number of features' 0 "$wrong")" \
		"$line 0 stream auto_remove"
	bad "an unknown feature" "$(named feature streams 'Unknown feature')" \
		"$line 1 streams"
	bad "an unknown feature among others" "$(named feature no_stream 'Unknown')" \
		"$line 3 auto_remove no_stream stream"
	bad "a feature in capitals" "$(named feature STREAM 'Unknown feature')" \
		"$line 1 STREAM"
	bad "a feature twice" "$(named feature stream 'given twice')" \
		"$line 2 stream stream"
	bad "a feature with a value twice" "$(named feature stream_speed 'given twice')" \
		"$line 4 stream_speed 1 stream_speed 1"
	for value in stream_speed on_error user_timeout; do
		bad "$value without a value" "$(named feature $value 'value .* is missing')" \
			"$line 2 stream $value"
	done
	for value in -1 x 1M $HUGE 0x10 stream; do
		bad "stream_speed $value" \
			"$(named stream_speed $value 'must be a number of bytes per second')" \
			"$line 2 stream_speed $value"
	done
	for value in -1 x 1s $HUGE 4294967296; do
		bad "user_timeout $value" \
			"$(named user_timeout $value 'must be a number of seconds')" \
			"$file user - 128 2 user_timeout $value"
	done
	for value in reports 0 Report stop,ignore; do
		bad "on_error $value" "$(named on_error $value 'must be report, ignore')" \
			"$line 2 on_error $value"
	done
}

contradictions()
{
	bad "copy_on_read without a backing" 'copy_on_read needs a backing device' \
		"$file - - 128 1 copy_on_read"
	bad "copy_on_read with a server" 'copy_on_read needs a backing device' \
		"$file user - 128 1 copy_on_read"
	bad "user_timeout without a server" 'user_timeout needs the backing user' \
		"$file $backing - 128 2 user_timeout 5"
	log_mark
	check_fails "stream in a read-only table" dm_create t \
		"$(at_table $SIZE "$file" "$backing" 128 stream)" --readonly
	like "stream in a read-only table: the log" "$(log_since)" \
		'stream needs a table that is not read-only'
	is "stream in a read-only table: nothing is left" "$(leftovers)" ""
}

# Checks that device mapper makes with the target's information.
tables()
{
	local wide line
	line="alloctrack $file $backing - 128"

	refused "length 0" 'zero-length target' "0 0 $line"
	refused "two targets" 'must appear alone' \
		"0 4096 $line"$'\n'"4096 4096 $line"
	refused "a linear target after it" 'must appear alone' \
		"0 4096 $line"$'\n'"4096 4096 linear $meta 0"
	refused "a linear target before it" 'must appear alone' \
		"0 4096 linear $meta 0"$'\n'"4096 4096 $line"
	refused "a start that is not 0" '(Gap|gap|start)' "8 4096 $line"

	wide=$(make_disk 4 4096) || bail "disk"
	refused "a length that is not a multiple of the file's sectors" \
		'not aligned to h/w logical block size' \
		"0 $((SIZE - 1)) alloctrack $wide $backing - 128"
	refused "a length that is not a multiple of the backing's sectors" \
		'not aligned to h/w logical block size' \
		"0 $((SIZE - 4)) alloctrack $file $wide - 128"
}

# A logical block larger than a block; few devices have that.
large_sectors()
{
	local wide bytes
	wide=$(make_loop 4 8192 2>/dev/null) || {
		skip "sectors larger than a block" "no such device here"
		return
	}
	bytes=$(blockdev --getss "$wide")
	if [ "$bytes" -le 4096 ]; then
		skip "sectors larger than a block" "they have $bytes bytes"
		return
	fi
	bad "file with sectors larger than a block" \
		"$(named 'block size' 8 'smaller than a logical block of the file device')" \
		"$wide $backing - 8"
	bad "backing with sectors larger than a block" \
		"$(named 'block size' 8 'smaller than a logical block of the backing device')" \
		"$file $wide - 8"
	check "a block as large as a sector" at_create t $SIZE "$file" "$wide" 16
	at_remove t
}

# The same lines, loaded into an existing device.
reload()
{
	at_create t $SIZE "$file" "$backing" 128
	dd_write "$T" 0 65536
	log_mark
	printf '%s\n' "0 $SIZE alloctrack $file $backing - 100" | dmsetup reload t 2>/dev/null
	check_fails "reload: is refused" test ${PIPESTATUS[1]} -eq 0
	like "reload: the log" "$(log_since)" "$(named 'block size' 100 'power of two')"
	is "reload: there is no inactive table" \
		"$(dmsetup info -c --noheadings -o tables_loaded t)" "Live"
	is "reload: the device still works" "$(at_allocated t)" 1
	at_remove t
	is "reload: nothing is left" "$(leftovers)" ""
}

# Valid extreme values, which the table shows as they were given.
good()
{
	local line
	for line in "$file - - 8 0" "$file - - 4096 0" \
		"$file $backing - 128 5 auto_remove copy_on_read stream target_is_zero no_detect_zeroes" \
		"$file $backing - 128 4 stream_speed 18446744073709551615 on_error enospc" \
		"$file $backing - 128 2 stream_speed 0" \
		"$file user - 128 2 user_timeout 4294967295"; do
		check "accepted: $line" dm_create t "0 $SIZE alloctrack $line"
		is "and written back" "$(dmsetup table t)" "0 $SIZE alloctrack $(numbers $line)"
		at_remove t
	done
	check "accepted: without a count" dm_create t "0 $SIZE alloctrack $file - - 8"
	at_remove t
	is "nothing is left" "$(leftovers)" ""
}

# numbers WORD... - as a table line shows them: devices by number.
numbers()
{
	local word words=()
	for word; do
		[ ! -b "$word" ] || word=$(< "/sys/block/${word##*/}/dev")
		words+=("$word")
	done
	echo "${words[*]}"
}

missing
devices
busy
block_sizes
features
contradictions
tables
large_sectors
reload
good
finish
