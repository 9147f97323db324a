#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The device has limits that both devices below it can keep: the larger sector size,
# discards and write-zeroes only where they are honoured, and hints that fit the block
# size. Devices stacked on top inherit them.
#
# timeout: 1200

. "$(dirname "$0")/alloctrack.sh"

readonly SIZE=$((8 * 2048)) TOP=/dev/mapper/top

# limit DEVICE NAME
limit()
{
	cat "/sys/dev/block/$(number "$1")/queue/$2"
}

number()
{
	echo $((0x$(stat -L -c %t "$1"))):$((0x$(stat -L -c %T "$1")))
}

# make_stripes NAME CHUNK_SECTORS DISK... - a device with minimum and optimal I/O sizes.
make_stripes()
{
	local disk line="0 $SIZE striped $(($# - 2)) $2"
	for disk in "${@:3}"; do
		line+=" $disk 0"
	done
	dm_create "$1" "$line"
}

# has NAME VALUE - t has this limit, and so has the linear device on top.
has()
{
	is_so "$1" "$(limit "$T" "$1")" "$2"
	is_so "$1 of a linear device on top" "$(limit $TOP "$1")" "$2"
}

# with FILE BACKING BLOCK [FEATURE...] - create t, and top on it.
with()
{
	label="$label, blocks of $(($3 / 2)) KiB"
	at_create t $SIZE "$@"
	make_linear top "$T" > /dev/null || bail "linear"
}

end()
{
	at_remove top
	at_remove t
}

logical_block_sizes()
{
	local disk512 disk4096 file backing want label
	disk512=$(make_disk 8 512) && disk4096=$(make_disk 8 4096) || bail "disks"
	for file in "$disk512" "$disk4096"; do
		for backing in "$disk512" "$disk4096" - user; do
			[ "$file" != "$backing" ] || continue
			want=$(limit "$file" logical_block_size)
			[ "$backing" != "$disk4096" ] || want=4096
			label="sectors of $(limit "$file" logical_block_size), backing ${backing/$disk512/512}"
			label=${label/$disk4096/4096}
			with "$file" "$backing" 8
			has logical_block_size "$want"
			has physical_block_size "$want"
			end
		done
	done
	# Shorter than a sector of the other device, or than a block: this must not matter.
	dm_create short "0 9 linear $disk512 0" || bail "linear"
	label="a backing of 9 sectors"
	with "$disk4096" /dev/mapper/short 128
	has logical_block_size 4096
	end
	at_remove short
}

# discards FILE BACKING BLOCK - discards are advertised with the file's limits.
discards()
{
	local granularity max largest=$((1 << 31))
	granularity=$(limit "$1" discard_granularity)
	max=$(limit "$1" discard_max_bytes)
	[ "$granularity" -ge $(($3 * 512)) ] || granularity=$(($3 * 512))
	[ "$max" -le $largest ] || max=$largest
	with "$1" "$2" "$3"
	has discard_granularity "$granularity"
	has discard_max_bytes "$max"
	check "$label: a discard of all" blkdiscard -f $TOP
	if is_so "it is honoured" "$(at_allocated t)" $((SIZE / $3)); then
		check "$label: nothing but zeros is read" \
			cmp -n $((SIZE * 512)) $TOP /dev/zero
	fi
	end
}

no_discards()
{
	with "$@"
	has discard_max_bytes 0
	check_fails "$label: a discard is refused" blkdiscard -f $TOP
	is_so "and does nothing" "$(at_allocated t)" 0
	end
}

discard()
{
	local with_it without label block
	with_it=$(make_painted stale 8) && without=$(make_painted stale 8 512 discard=0) ||
		bail "disks"
	for block in 8 128 4096; do
		label="file with discard, backing without"
		discards "$with_it" "$without" $block
		paint stale "$with_it"
		label="file with discard, no backing"
		discards "$with_it" - $block
		paint stale "$with_it"
		label="file without discard, backing with"
		no_discards "$without" "$with_it" $block
	done
	label="file without discard, backing user"
	no_discards "$without" user 128
	label="file with discard, backing user"
	discards "$with_it" user 128
	dm_create f "0 $SIZE delay $without 0 0" 2>/dev/null || return 0
	label="file without discard under a dm device"
	no_discards /dev/mapper/f "$with_it" 128
	at_remove f
}

# With write-zeroes: a loop device on a file in memory.
write_zeroes()
{
	local loop disk label max
	loop=$(make_loop 8) && disk=$(make_disk 8) || bail "disks"
	max=$(limit "$loop" write_zeroes_max_bytes)
	[ "$max" -gt 0 ] || { skip "write-zeroes" "loop devices have none here"; return; }
	paint stale "$loop"

	label="file with write-zeroes, backing user"
	with "$loop" user 128
	has write_zeroes_max_bytes "$max"
	end

	label="file with write-zeroes, no backing"
	with "$loop" - 128
	has write_zeroes_max_bytes "$max"
	check "$label: write-zeroes of all" blkdiscard -f -z $TOP
	is_so "it is honoured" "$(at_allocated t)" $((SIZE / 128))
	check "$label: nothing but zeros is read" cmp -n $((SIZE * 512)) $TOP /dev/zero
	end

	# As documented.
	paint stale "$loop"
	label="file with write-zeroes, backing without"
	with "$loop" "$disk" 128
	has write_zeroes_max_bytes 0
	check "$label: zeros all the same" blkdiscard -f -z $TOP
	is_so "they are on the file" "$(at_allocated t)" $((SIZE / 128))
	check "$label: nothing but zeros is read" cmp -n $((SIZE * 512)) $TOP /dev/zero
	end

	label="file without write-zeroes"
	paint stale "$disk"
	with "$disk" "$loop" 128
	has write_zeroes_max_bytes 0
	check "$label: zeros all the same" blkdiscard -f -z $TOP
	check "$label: nothing but zeros is read" cmp -n $((SIZE * 512)) $TOP /dev/zero
	end
}

# A write of whole blocks needs no copy, so the optimal size is a multiple of a block.
io_sizes()
{
	local disk other label block
	disk=$(make_disk 8) && other=$(make_disk 8) || bail "disks"
	for block in 8 128 4096; do
		label="file with no optimal size"
		with "$disk" - $block
		has optimal_io_size $((block * 512))
		end
	done
	make_stripes f 64 "$disk" "$other" || bail "striped"
	label="stripes of 32 KiB"
	with /dev/mapper/f - 8
	has minimum_io_size 32768
	has optimal_io_size 65536
	end
	label="stripes of 32 KiB"
	with /dev/mapper/f - 128
	has optimal_io_size 65536
	end
	label="stripes of 32 KiB"
	with /dev/mapper/f - 4096
	has optimal_io_size 2097152
	end
	at_remove f
}

# Limits follow a table reload.
reload()
{
	local label="reload" file backing
	file=$(make_disk 8) && backing=$(make_disk 8 4096) || bail "disks"
	at_create t $SIZE "$file" - 128
	is_so "sectors" "$(limit "$T" logical_block_size)" 512
	check "$label: a backing of larger sectors" \
		dm_reload t "$(at_table $SIZE "$file" "$backing" 128)"
	is_so "sectors then" "$(limit "$T" logical_block_size)" 4096
	check "$label: no backing" dm_reload t "$(at_table $SIZE "$file" - 128)"
	is_so "sectors in the end" "$(limit "$T" logical_block_size)" 512
	at_remove t
}

logical_block_sizes
discard
write_zeroes
io_sizes
reload
finish
