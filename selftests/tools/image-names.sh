#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# File names in images: which ones are understood, where the files are looked for, and
# which files are read only if that is allowed.

# shellcheck source=image-lib.sh
. "$(dirname "$(realpath "$0")")/image-lib.sh"
require_command jq strace

# refused NAME REGEX ARG... - dmlive fails with status 1 and a reason; no target is made.
refused()
{
	local name=$1 output status
	rm -f out
	output=$(dmlive "${@:3}" 2>&1)
	status=$?
	like "$name" "$status $output" "^1 .*$2"
	check "$name: nothing is written" [ ! -e out ]
}

mkdir other
image_create base.qcow2 1M
image_io base.qcow2 "write -s pattern-a 0 300k"
cp base.qcow2 other/base.qcow2
image_io other/base.qcow2 "write -P 7 0 4k"
cp pattern-b base.raw

# A file in another folder.
image_create -b other/base.qcow2 -F qcow2 top.qcow2
refused "a backing file in another folder" \
	"top.qcow2: its backing file other/base.qcow2 lies neither .*--allow-paths" \
	image convert top.qcow2 out
image_create -b top.qcow2 -F qcow2 higher.qcow2
refused "further down the chain" "top.qcow2: its backing file other/base.qcow2 lies" \
	image convert higher.qcow2 out
same_content "it is read with --allow-paths" higher.qcow2
check "map reads no data" dmlive image map higher.qcow2
check "info --chain neither" dmlive image info --chain higher.qcow2
image_create -b "$TMP/base.qcow2" -F qcow2 top.qcow2
check "an absolute name in the same folder" dmlive image convert top.qcow2 out
ln -s other/base.qcow2 link.qcow2
image_create -b link.qcow2 -F qcow2 top.qcow2
refused "a link that leads out of the folder" "backing file link.qcow2 lies neither" \
	image convert top.qcow2 out
image_create -b /etc/passwd -F raw top.qcow2 1M
refused "a file of the host" "backing file /etc/passwd lies neither" image convert top.qcow2 out
refused "and with --force" "backing file /etc/passwd lies neither" \
	image convert --force top.qcow2 out
image_create -o data_file=other/data.raw top.qcow2 1M
refused "a data file in another folder" "its data file other/data.raw lies neither" \
	image convert top.qcow2 out
check "which --allow-paths reads" dmlive image convert --allow-paths top.qcow2 out
(cd other && dmlive image convert --allow-paths ../base.qcow2 here.raw) || bail "convert"
check "the image itself may be anywhere" cmp out <(head -c 1M /dev/zero)

# info and check open nothing but the image.
mkfifo fifo
for name in other/base.qcow2 fifo nowhere; do
	image_create -u -b $name -F qcow2 top.qcow2 1M
	for verb in info check; do
		strace -f -e trace=open,openat -o calls dmlive image $verb top.qcow2 \
			> /dev/null 2> strace.log || bail "strace: $(cat strace.log)"
		check_fails "image $verb does not open $name" grep -q "\"$name\"" calls
	done
done

# Relative names are looked up from the folder of the image's name as given, then from the
# folder that its link leads to.
mkdir links
image_create -b base.qcow2 -F qcow2 other/top.qcow2
ln -s ../other/top.qcow2 links/top.qcow2
same_as()
{
	check "$1" dmlive image convert links/top.qcow2 out
	qemu-img convert -O raw "$2" wanted.raw
	check "$1: content" cmp out wanted.raw
}
same_as "a linked image with its base beside the target" other/base.qcow2
cp base.qcow2 links/base.qcow2
same_as "with one beside the link too" base.qcow2
ln -sf ../base.qcow2 links/base.qcow2
refused "with a link beside the link" "links/base.qcow2 lies neither" \
	image convert links/top.qcow2 out
rm links/base.qcow2
ln -s ../other/base.qcow2 links/base.qcow2
same_as "with a link into the folder of the target" other/base.qcow2

# Names with a protocol.
rm -f top.qcow2
file='"file":{"driver":"file","filename":"base.qcow2"}'
dotted='"file.driver":"file","file.filename":"base.qcow2"'
for name in file:base.qcow2 "json:{\"driver\":\"qcow2\",$file}" "json:{\"driver\":\"qcow2\",$dotted}" \
		"json:{$dotted,\"file.locking\":\"off\"}" \
		'json:{"driver":"raw","file":{"driver":"file","filename":"base.raw"}}'; do
	format=raw
	[[ $name != *base.qcow2* ]] || format=qcow2
	image_create -b "$name" -F $format top.qcow2 1M
	same_content "$name, as QEMU reads it" top.qcow2
	# Without the format that qemu-img create detects, so that the name decides.
	poke top.qcow2 "$(grep -obUaP '\xe2\x79\x2a\xca' top.qcow2 | head -n 1 | cut -d: -f1)" 12345678
	same_content "$name, no format in the header" top.qcow2
	check "$name: it is in the folder" dmlive image convert top.qcow2 out
done
for name in nbd://localhost/x "json:{\"driver\":\"luks\",$file}" \
		"json:{\"driver\":\"raw\",\"offset\":512,$file}" \
		'json:{"driver":"nbd","host":"localhost"}'; do
	image_create -u -b "$name" -F raw top.qcow2 1M
	refused "$name" "top.qcow2: its backing file '.*' is not a plain file name" \
		image convert top.qcow2 out
done
image_create -u -b 'json:{"driver":"file","filename":"/etc/passwd"}' -F raw top.qcow2 1M
refused "a file of the host, by a json: name" "backing file /etc/passwd lies neither" \
	image convert top.qcow2 out
finish
