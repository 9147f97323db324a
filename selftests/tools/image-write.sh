#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# qemu-img finds the qcow2 images that dmlive writes correct: content, refcounts and
# features. Under the image's name there is a complete image or none.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"
require_command strace

# written NAME SOURCE OPTION... - convert to out.qcow2. Both qemu-img and dmlive read the
# same data from it and find no error.
written()
{
	local name=$1 source=$2
	shift 2
	if ! dmlive image convert --quiet --target-format qcow2 "$@" "$source" out.qcow2 \
			> dmlive.log 2>&1; then
		diag "$(cat dmlive.log)"
		not_ok "$name: it is written"
	elif ! qemu-img compare "$source" out.qcow2 > qemu-img.log 2>&1 ||
			! qemu-img check out.qcow2 > qemu-img.log 2>&1; then
		diag "$(cat qemu-img.log)"
		not_ok "$name: qemu-img finds it right"
	elif ! dmlive image check out.qcow2 > dmlive.log 2>&1; then
		diag "$(cat dmlive.log)"
		not_ok "$name: dmlive finds it right"
	elif [ -e out.qcow2.partial ]; then
		not_ok "$name: nothing else is left"
	else
		ok "$name"
	fi
}

# info IMAGE FILTER - a value from qemu-img info.
info()
{
	qemu-img info --output=json "$1" | jq -r "$2"
}

# allocated IMAGE - the number of clusters, as counted by qemu-img; compressed IMAGE - how
# many of them are compressed.
allocated()
{
	qemu-img check --output=json "$1" | jq '.["allocated-clusters"] // 0'
}

compressed()
{
	qemu-img check --output=json "$1" | jq '.["compressed-clusters"] // 0'
}

# Text, noise and zeros, in parts of all sizes; not a multiple of any cluster size.
require_command jq
make_source
noise()
{
	head -c "$1" /dev/urandom
}
{
	cat source.raw
	noise 700000
	head -c 300000 /dev/zero
	for _ in 1 2 3 4 5 6 7 8; do
		noise 5000
		head -c 30000 pattern-a
	done
} > mixed.raw
truncate -s $(((6 << 20) + 1536)) mixed.raw
qemu-img convert -f raw -O qcow2 -o cluster_size=4k mixed.raw mixed.qcow2 ||
	bail "qemu-img convert"

for cluster in 512 1k 4k 64k 512k 2M; do
	for method in none zlib zstd; do
		written "clusters of $cluster, $method" mixed.qcow2 \
			--cluster-size $cluster --compression $method
	done
done
bytes=$(numfmt --from=iec $cluster)
is "the cluster size is as requested" "$(info out.qcow2 '.["cluster-size"]')" "$bytes"
is "compat 1.1, 16-bit refcounts, not lazy, not corrupt, of zstd" \
	"$(info out.qcow2 '.["format-specific"].data |
	   [.compat, ."refcount-bits", ."lazy-refcounts", .corrupt, ."compression-type"] |
	   join(" ")')" "1.1 16 false false zstd"

for level in zlib:1 zlib:9 zstd:1 zstd:22; do
	written "compression $level" mixed.qcow2 --compression $level --cluster-size 4k
	eval "size_${level/:/_}=$(stat -c %s out.qcow2)"
done
# shellcheck disable=SC2154 # set by eval
check "a higher level compresses better, zlib" [ "$size_zlib_9" -lt "$size_zlib_1" ]
# shellcheck disable=SC2154
check "a higher level compresses better, zstd" [ "$size_zstd_22" -lt "$size_zstd_1" ]

for threads in 1 3 16; do
	written "$threads threads" mixed.qcow2 --threads $threads --compression zlib \
		--cluster-size 4k
done

# How the parts are stored.
noise 2097152 > noise.raw
written "noise" noise.raw --format raw --compression zlib
is "noise is not stored compressed" "$(compressed out.qcow2)" 0
cp pattern-a text.raw
written "text" text.raw --format raw --compression zstd
is "text is" "$(compressed out.qcow2)" 32
check "and takes less than a third" [ $((3 * $(stat -c %s out.qcow2))) -lt 2097152 ]
truncate -s 3G zero.raw
head -c 4194304 /dev/zero | dd of=zero.raw conv=notrunc status=none
written "zeros, some of them as data" zero.raw --format raw
is "zeros are not stored" "$(allocated out.qcow2)" 0
check "nor tables for them" [ "$(stat -c %s out.qcow2)" -le $((5 * 65536)) ]

for size in 0 512 65536 66048 $((512 << 20)) $(((512 << 20) + 512)); do
	rm -f sized.raw
	truncate -s "$size" sized.raw
	[ "$size" -eq 0 ] || printf '\377' |
		dd of=sized.raw bs=1 seek=$((size - 1)) conv=notrunc status=none
	written "a disk of $size bytes" sized.raw --format raw --compression zlib
	is "and its size is right" "$(info out.qcow2 '.["virtual-size"]')" "$size"
done

# A huge disk with little data.
image_create huge.qcow2 8T
image_io huge.qcow2 "write -s pattern-a 0 1M" "write -s pattern-b 5T 1M" \
	"write -P 7 $(((8 << 40) - 65536)) 64k"
written "a disk of 8 TiB" huge.qcow2 --compression zstd --cluster-size 2M
written "the same in small clusters" huge.qcow2
check "it takes little space" [ "$(stat -c %s out.qcow2)" -lt $((4 << 20)) ]

# Backing files.
mkdir sub
image_create -o cluster_size=64k sub/base.qcow2 3M
image_io sub/base.qcow2 "write -s pattern-a 0 2M"
(cd sub && image_create -b base.qcow2 -F qcow2 -o cluster_size=4k top.qcow2 4M)
image_io sub/top.qcow2 "write -s pattern-b 100k 8k" "write -z 300k 512k" \
	"write -P 9 3500k 4k" "write -z 3600k 200k"
written "a chain becomes one image" sub/top.qcow2
is "without a backing file" "$(info out.qcow2 '."backing-filename"')" null
for options in "--cluster-size 4k" "--cluster-size 64k" "--compression zlib"; do
	# shellcheck disable=SC2086 # words
	written "a backing file that is kept, $options" sub/top.qcow2 --keep-backing $options
	is "it is found from another folder" "$(info out.qcow2 '."full-backing-filename"')" \
		"$(realpath sub/base.qcow2)"
	check "its data is not written again" [ "$(allocated out.qcow2)" -lt 140 ]
done
dmlive image convert --target-format qcow2 --keep-backing --cluster-size 4k sub/top.qcow2 \
	sub/second.qcow2
is "in the same folder it keeps its name" \
	"$(info sub/second.qcow2 '[."backing-filename", ."backing-filename-format"] | join(" ")')" \
	"base.qcow2 qcow2"
same_map "and the same clusters are read from it" sub/second.qcow2
check "as from the original" diff -u <(qemu-img map --output=json sub/top.qcow2 | extents |
	cut -d ' ' -f 1-3) <(extents < dmlive.map | cut -d ' ' -f 1-3)

# Refusals.
refused()
{
	local name=$1 regex=$2 output status
	shift 2
	output=$(dmlive image convert "$@" 2>&1)
	status=$?
	like "$name" "$status $output" "^[12] .*$regex"
}
rm -f out.qcow2
refused "an odd cluster size" "cluster-size 3000" --target-format qcow2 --cluster-size 3000 \
	mixed.qcow2 out.qcow2
refused "an unknown method" "compression lzo" --target-format qcow2 --compression lzo \
	mixed.qcow2 out.qcow2
refused "a raw image that is compressed" "out.raw would be raw.*--target-format" \
	--compression zlib mixed.qcow2 out.raw
# By the suffix.
for name in vmdk vdi vhdx ova backup.zst; do
	refused "the suffix .$name" "suffix \.${name##*.} .*--target-format" mixed.qcow2 out.$name
	check_fails "and nothing is written" ls out.$name
done
refused "raw as .qcow2" "raw contradicts its suffix .qcow2" --target-format raw \
	mixed.qcow2 out.qcow2
refused "qcow2 as .raw" "qcow2 contradicts its suffix .raw" --target-format qcow2 \
	mixed.qcow2 out.raw
for name in a.QCOW2 a.qcow a.raw a.img folder.d/plain .hidden; do
	mkdir -p folder.d
	case $name in *.[qQ]*) wanted=qcow2 ;; *) wanted=raw ;; esac
	dmlive image convert --quiet mixed.qcow2 $name
	is "$name is $wanted" "$(info $name .format)" $wanted
done
dmlive image convert --quiet --target-format qcow2 mixed.qcow2 b.img
is "qcow2 as .img" "$(info b.img .format)" qcow2
dmlive image convert --quiet --target-format raw mixed.qcow2 b.vmdk
is "raw as .vmdk, on request" "$(info b.vmdk .format)" raw
refused "a backing file that is not there" "no backing file" --target-format qcow2 \
	--keep-backing mixed.qcow2 out.qcow2
image_create over.qcow2 129G
refused "too large for its clusters" "choose larger ones" --target-format qcow2 \
	--cluster-size 512 over.qcow2 out.qcow2
check_fails "none of them left anything" ls out.qcow2 out.qcow2.partial

# An image that is in use is not replaced; see the reader's tests for the FIFO.
cp mixed.qcow2 busy.qcow2
mkfifo hold
qemu-io busy.qcow2 < hold > qemu-io.log 2>&1 &
exec 9> hold
echo "write -P 170 0 4k" >&9
in_use()
{
	! cmp mixed.qcow2 busy.qcow2
}
wait_until in_use
refused "an image that a VM uses" "busy.qcow2: another process uses it" \
	--target-format qcow2 mixed.qcow2 busy.qcow2
exec 9>&-
wait

# The header is written last, when everything else is durable. Only calls that make it
# durable and give the image its name come after it.
strace -f -y -e trace=pwrite64,ftruncate,fsync,rename,renameat,renameat2 -o calls \
	dmlive image convert --quiet --target-format qcow2 --compression zlib mixed.qcow2 \
	ordered.qcow2 2> strace.log
if [ -s calls ]; then
	is "the order at the end" "$(sed -E 's/^[0-9]+ +//' calls | grep -v '^+++' | tail -n 5 |
		awk '/^pwrite64/ { print /, 0\)/ ? "header" : "write"; next }
		     /^fsync/ { print /partial>/ ? "sync" : "folder"; next }
		     { sub(/\(.*/, ""); print }' | tr '\n' ' ')" \
		"sync header sync renameat folder "
	is "it is written once" "$(grep -c 'pwrite64.*, 0) ' calls)" 1
else
	skip "the order at the end" "strace does not work here: $(head -n 1 strace.log)"
fi

# Signals. The disk is so large that its conversion never ends.
qemu-img create -q -f qcow2 -o cluster_size=2M endless.qcow2 32P 2> qemu-img.log ||
	bail "$(cat qemu-img.log)"
image_io endless.qcow2 "write -s pattern-a 0 2M"
interrupted()
{
	local signal=$1 target=$2 status pid
	dmlive image convert --quiet --target-format qcow2 --cluster-size 2M endless.qcow2 \
		"$target" 2> "$target.log" &
	pid=$!
	wait_until test -s "$target.partial"
	kill -"$signal" $pid
	wait $pid
	status=$?
	echo $status
}
for signal in INT TERM HUP; do
	# A shell without job control makes its children ignore SIGINT.
	status=$(set -m; interrupted $signal gone.qcow2 2> /dev/null)
	is "$signal ends a conversion" "$status" $((128 + $(kill -l $signal)))
	like "it is reported" "$(cat gone.qcow2.log)" "gone.qcow2: interrupted"
	check_fails "and nothing is left" ls gone.qcow2 gone.qcow2.partial
done
cp mixed.qcow2 kept.qcow2
status=$(set -m; interrupted TERM kept.qcow2 2> /dev/null)
check "an image that would have been replaced survives" cmp kept.qcow2 mixed.qcow2
status=$(set -m; interrupted KILL kept.qcow2 2> /dev/null)
check "a crash too" cmp kept.qcow2 mixed.qcow2
check_fails "which leaves no image behind" qemu-img info -f qcow2 kept.qcow2.partial
check "and its remains do no harm" dmlive image convert --target-format qcow2 \
	mixed.qcow2 kept.qcow2
check_fails "nor does it stay" ls kept.qcow2.partial

# A source with the name of the target's temporary file.
cp mixed.qcow2 own.qcow2.partial
for force in "" --force; do
	# shellcheck disable=SC2086 # a word or none
	refused "a source with the target's temporary name${force:+, $force}" \
		"own.qcow2.partial: is part of the image that is to be read" \
		$force --target-format qcow2 own.qcow2.partial own.qcow2
	check "it is as it was" cmp own.qcow2.partial mixed.qcow2
	check_fails "and there is no target" ls own.qcow2
done
image_create -b own.qcow2.partial -F qcow2 above.qcow2 8M
refused "its backing file in the way" "own.qcow2.partial: is part of the image" \
	--force --target-format qcow2 above.qcow2 own.qcow2
check "that is as it was" cmp own.qcow2.partial mixed.qcow2
finish
