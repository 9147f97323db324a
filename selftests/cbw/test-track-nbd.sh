#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Backup programs that use NBD read the point in time from a view, and the session's scope
# from the metadata device's bitmap of that time: exported by qemu-storage-daemon as one
# export or by qemu-nbd, and read by nbdinfo.

. "$(dirname "$0")/track.sh"
require_command qemu-nbd qemu-storage-daemon nbdinfo jq

readonly SIZE=$((48 * 2048)) MIB=1048576
block=128
origin=$(make_painted 48) && fleece=$(make_disk 16) && meta=$(make_disk 4) || bail "disks"
dmlive meta format "$meta" --size $((SIZE * 512)) --track --bitmap B:64K \
	--bitmap other:4K || bail "dmlive meta format"

# dumped - "START LENGTH" of the bitmap's extents, as dmlive reads the copy of the metadata.
dumped()
{
	dmlive bitmap dump --json "$TMP/meta" B | jq -r '.[] | "\(.start) \(.length)"'
}

# mapped URI - the same, as nbdinfo reads it. Type 1 is dirty.
mapped()
{
	nbdinfo --map=qemu:dirty-bitmap:B --json "$1" |
		jq -r '.[] | select(.type == 1) | "\(.offset) \(.length)"'
}

dm_create t "$(track_table $SIZE "$origin" "$meta" $block)" || bail "t"
# First and last block, neighbours, and half a bit.
for range in "0 4096" "$((MIB * 3)) 65536" "$((MIB * 3 + 65536)) 65536" "$((MIB * 9 + 512)) 512" \
	"$((MIB * 20)) $((MIB * 2))" "$((MIB * 48 - 4096)) 4096"; do
	read -r offset length <<< "$range"
	check "a write of $length at $offset" eval \
		"head -c $length /dev/urandom | dd of=$T bs=$length seek=$offset oflag=seek_bytes,direct \
		iflag=fullblock conv=notrunc status=none"
done

track_table $SIZE "$origin" "$meta" $block fleece "$fleece" bitmap B | dmsetup reload t &&
	dmsetup suspend t || bail "session"
dd if="$origin" of="$REF" bs=1M iflag=direct status=none
read_meta
dmsetup resume t || bail "resume"
make_view || bail "view"
is_sane "the metadata at the point in time"
# Writes inside and outside of the scope change neither the data nor the bits of that time.
check "a write after that" dd_write $T $((MIB * 20)) 65536
check "another one" dd_write $T $((MIB * 30)) 65536

dumped > "$TMP/wanted"
is "extents" "$(< "$TMP/wanted")" "0 65536
$((MIB * 3)) 131072
$((MIB * 9)) 65536
$((MIB * 20)) $((MIB * 2))
$((MIB * 48 - 65536)) 65536"

# One export: the data of the view, with the bitmap of the image.
socket=$TMP/storage.socket
qemu-storage-daemon --nbd-server "addr.type=unix,addr.path=$socket" \
	--blockdev "driver=qcow2,node-name=meta,read-only=on,file.driver=file,file.filename=$TMP/meta,file.locking=off" \
	--blockdev "driver=host_device,node-name=view,read-only=on,filename=$V,cache.direct=on" \
	--export type=nbd,id=e,name=v,node-name=view,bitmaps.0.node=meta,bitmaps.0.name=B \
	> "$TMP/daemon.log" 2>&1 &
daemon=$!
on_exit stop_process $daemon
wait_until nbdinfo --size "nbd+unix:///v?socket=$socket" || bail "$(cat "$TMP/daemon.log")"
uri="nbd+unix:///v?socket=$socket"
is "the size of the device" "$(nbdinfo --size "$uri")" $((SIZE * 512))
mapped "$uri" > "$TMP/mapped"
check "qemu-storage-daemon: nbdinfo reads the extents of dmlive" cmp "$TMP/mapped" "$TMP/wanted"
while read -r offset length; do
	qemu-img dd -f raw -O raw bs=4096 skip=$((offset / 4096)) \
		count=$(((offset + length) / 4096)) if="$uri" of="$TMP/read" || not_ok "read"
	check "the data at $offset are those of the point in time" \
		cmp -n "$length" -i "0:$offset" "$TMP/read" "$REF"
done < "$TMP/wanted"
kill -TERM $daemon
wait $daemon

# The image alone.
socket=$TMP/nbd.socket
qemu-nbd -r -f qcow2 -B B -k "$socket" -t --fork --pid-file="$TMP/nbd.pid" "$TMP/meta" \
	> "$TMP/nbd.log" 2>&1 || bail "qemu-nbd: $(cat "$TMP/nbd.log")"
on_exit stop_process "$(< "$TMP/nbd.pid")"
mapped "nbd+unix://?socket=$socket" > "$TMP/mapped"
check "qemu-nbd: nbdinfo reads the extents of dmlive" cmp "$TMP/mapped" "$TMP/wanted"
stop_process "$(< "$TMP/nbd.pid")"

# The bitmap after the session.
check "the backup is committed" message backup commit B 4711
dm_remove v
dm_remove t
read_meta
is "the writes since then" "$(dumped)" "$((MIB * 20)) 65536
$((MIB * 30)) 65536"
finish
