#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# qcow2 images are written onto block devices with any content. If the image does not fit,
# or its source cannot be read, nothing on the device looks like an image.

# shellcheck source=../lib/common.sh
. "$(dirname "$0")/../lib/common.sh"
require_command qemu-img qemu-io cmp

cd "$TMP" || exit 1
to_qcow2=(dmlive image convert --quiet --target-format qcow2)

# fill DEVICE - with an image of another disk, and text.
fill()
{
	yes 'what the device held before' | dd of="$1" bs=64k iflag=fullblock \
		status=none 2> /dev/null
	qemu-img create -q -f qcow2 "$1" 1M || bail "qemu-img create"
}

# refused NAME REGEX COMMAND... - the command fails with the reason.
refused()
{
	local output
	if output=$("${@:3}" 2>&1); then
		not_ok "$1"
	else
		like "$1" "$output" "$2"
	fi
}

# beginning DEVICE - its first cluster is zeros.
beginning_is_zero()
{
	check "$1" cmp -n 65536 "$2" /dev/zero
}

size=$((3 * 1048576 + 3 * 512))
{
	head -c 700000 /dev/urandom
	yes 'text that becomes small' | head -c 700000
} > source.raw
truncate -s $size source.raw

all_options=("--compression zlib" "--compression zstd --cluster-size 4k" "--cluster-size 2M")
for block in 512 4096; do
	disk=$(make_loop 24 $block) || bail "loop device"
	for options in "" "--cluster-size 512" "${all_options[@]}"; do
		what="blocks of $block${options:+, $options}"
		fill "$disk"
		# shellcheck disable=SC2086 # words
		check "$what: it is written" "${to_qcow2[@]}" $options --format raw \
			source.raw "$disk"
		check "$what: the content is right" qemu-img compare -f raw -F qcow2 \
			source.raw "$disk"
		check "$what: qemu-img finds nothing" qemu-img check -f qcow2 "$disk"
		check "$what: nor does dmlive" dmlive image check "$disk"
	done
	all_options=()
done

# Too little space, in several ways.
small=$(make_loop 1) || bail "loop device"
fill "$small"
refused "a device that is too small" "$small: cannot write: No space left" \
	"${to_qcow2[@]}" --format raw source.raw "$small"
beginning_is_zero "it has no image" "$small"
truncate -s 64k tiny
tiny=$(make_loop "$TMP/tiny") || bail "loop device"
refused "a device that is smaller than a cluster" "$tiny: too small" \
	"${to_qcow2[@]}" --cluster-size 2M --format raw source.raw "$tiny"
mkdir full
mount -t tmpfs -o size=1M none full || bail "tmpfs"
on_exit umount "$TMP/full"
for format in raw qcow2; do
	refused "a full file system, $format" "full/image: cannot write: No space left" \
		dmlive image convert --quiet --target-format $format --format raw source.raw full/image
	is "nothing is left in it, $format" "$(ls -A full)" ""
	echo 'old' > full/image
	refused "a full file system, and an old file, $format" "No space left" \
		dmlive image convert --quiet --target-format $format --format raw source.raw full/image
	is "the old file is as it was, $format" "$(ls -A full; cat full/image)" $'image\nold'
	rm full/image
done

# A file under a loop device: the device would keep the former file, without a name.
truncate -s 4M held
loop=$(make_loop "$TMP/held") || bail "loop device"
for format in raw qcow2; do
	refused "a file under a loop device, $format" "held is in use by the loop device $loop" \
		dmlive image convert --quiet --target-format $format --format raw source.raw held
	check "nothing is left beside it, $format" [ ! -e held.partial ]
done
refused "meta format of such a file" "held is in use by the loop device $loop" \
	dmlive meta format --force held --size 1G --granularity 64K
check "it is as it was" cmp -n 4M held /dev/zero
is "it has its size" "$(stat -c %s held)" 4194304

# A source whose last cluster cannot be decompressed, which shows only when it is read.
yes | head -c 4M > bad.raw
qemu-img convert -c -f raw -O qcow2 bad.raw bad.qcow2 || bail "qemu-img"
python3 - bad.qcow2 << 'EOF' || bail "python3"
import struct, sys
f = open(sys.argv[1], 'r+b')
def number(at):
    f.seek(at)
    return struct.unpack('>Q', f.read(8))[0]
l2_table = number(number(40)) & 0x00fffffffffffe00
f.seek(number(l2_table + 8 * 63) & ((1 << 54) - 1))
f.write(b'\xff' * 32)
EOF
for format in raw qcow2; do
	fill "$disk"
	refused "a source with an error, $format" "bad.qcow2: .*does not decompress" \
		dmlive image convert --quiet --target-format $format bad.qcow2 "$disk"
	beginning_is_zero "the device has no image, $format" "$disk"
done

# A device on top of the source, or on top of the source's backing file.
cp source.raw under.raw
truncate -s 4M under.raw
over=$(make_loop "$TMP/under.raw") || bail "loop device"
cp under.raw under.before
qemu-img create -q -f qcow2 -b under.raw -F raw above.qcow2 || bail "qemu-img"
for source in under.raw above.qcow2 "$over"; do
	for quiet in "" --quiet; do
		# shellcheck disable=SC2086 # a word or none
		refused "$source onto $over${quiet:+, $quiet}" \
			"would be overwritten|is part of the image" \
			dmlive image convert $quiet --target-format qcow2 "$source" "$over"
	done
done
check "the source is as it was" cmp under.raw under.before

# Killed, so nothing is cleaned up.
qemu-img create -q -f qcow2 -o cluster_size=2M endless.qcow2 32P 2> /dev/null || bail "qemu-img"
qemu-io -c "write -P 1 0 2M" endless.qcow2 > /dev/null || bail "qemu-io"
fill "$disk"
"${to_qcow2[@]}" --cluster-size 2M endless.qcow2 "$disk" 2> killed.log &
pid=$!
data_written()
{
	cmp -n 1M <(tail -c +$((2097152 + 1)) "$disk") <(head -c 1M /dev/zero | tr '\0' '\1')
}
check "data is written" wait_until data_written
kill -KILL $pid
wait $pid 2> /dev/null
beginning_is_zero "killed: the device has no image" "$disk"
finish
