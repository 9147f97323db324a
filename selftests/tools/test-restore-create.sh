#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml-udev
#
# restore --create makes the logical volume that is restored: of the right size, thin if a
# pool is named, and with tags that say what it is. A restore that fails leaves none. All
# names fit, also the longest ones and those with hyphens.

. "$(dirname "$0")/restore-meta-lib.sh"
require_command lvcreate mkfs.ext4

pvs=("$(make_loop 200)" "$(make_loop 64)") || bail "disk"
# What is on the disks must not matter.
for pv in "${pvs[@]}"; do
	tr '\0' '\252' < /dev/zero | dd of="$pv" bs=1M oflag=direct iflag=fullblock \
		count=$(($(sectors "$pv") / 2048)) status=none
done
vgcreate -q tvg "${pvs[@]}" > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f tvg

# lv_has COLUMN NAME: of lvs.
lv_has()
{
	lvs --noheadings --nosuffix --units m -o "$1" "$2" 2> "$TMP/lvs.err" | tr -d ' '
}

nothing_left()
{
	is "$1: no volume is left" "$(lvs --noheadings -o lv_name tvg 2> /dev/null)" "${2:-}"
	check_fails "$1: no mapped device is left" dmsetup info g
	is "$1: nothing in /run" "$(ls -A /run/dmlive 2> /dev/null)" ""
}

# Usage.
for refused in "--thinpool pool" "--type raid1" "--create --type thin" \
	"--create --type thin-pool" "--create --type linear --thinpool pool" \
	"--create --thinpool a/b" "--create --target-is-zero" \
	"--create --thinpool p --target-is-zero"; do
	# shellcheck disable=SC2086
	run 2 "$refused" dmlive restore image.qcow2 tvg/vm --name g $refused
	says "$refused: the reason" "^dmlive: .*(--create|--thinpool|--type|--target-is-zero)"
done
for volume in "$(make_disk 4)" ./tvg/vm tvg/a/b tvg/-vm "/dev/mapper/tvg" image.qcow2; do
	run 2 "$volume is not the name of a volume" dmlive restore image.qcow2 "$volume" \
		--name g --create
	says "the way out" "only logical volumes can; name one as VG/LV"
done
run 2 "the name of the volume itself" dmlive restore image.qcow2 tvg/vm --name tvg-vm --create
says "the way out" "--name tvg-vm: .*tvg/vm itself is called; choose another"
run 3 "no such group" dmlive restore image.qcow2 none/vm --name g --create
says "the reason" 'none/vm .*"none" not found'
PATH=$CHECKOUT/build/tools run 3 "no lvm2" dmlive restore image.qcow2 tvg/vm --name g --create
says "the reason" "lvcreate cannot be run: .*is lvm2 installed"
nothing_left "refused"

label="a volume of the size of the image"
truncate -s $(((5 << 20) + 512)) odd.raw
dd if=/dev/urandom of=odd.raw bs=512 count=10241 conv=notrunc status=none
run 0 "$label" dmlive restore odd.raw tvg/vm --name g --create --json
is "$label: it is said" "$(jq -r 'select(.event == "note").message' "$out")" \
	"made the logical volume tvg/vm"
same "$label: content" /dev/mapper/g odd.raw
is "$label: rounded up to extents" "$(lv_has lv_size tvg/vm)" 8.00
is "$label: tags" "$(lv_has lv_tags tvg/vm)" "dmlive,dmlive.of=vm,dmlive.role=restored"
end_restore g
for state in y n; do
	lvchange -q -a$state tvg/vm
	run 3 "it exists, active: $state" dmlive restore odd.raw /dev/tvg/vm --name g --create
	says "the way out" "tvg/vm exists already; .*leave out --create"
done
lvchange -q -ay tvg/vm
same "it is as it was" /dev/tvg/vm odd.raw
lvremove -q -y tvg/vm > lvm.log 2>&1

label="an image whose tables are damaged"
cp image.qcow2 damaged.qcow2
truncate -s 200K damaged.qcow2
run 1 "$label" dmlive restore damaged.qcow2 tvg/vm --name g --create
nothing_left "$label"

label="the metadata do not fit in the group"
lvcreate -q -y -W n -l 60 -n rest tvg > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
run 3 "$label" dmlive restore image.qcow2 tvg/vm --name g --create --track B
says "$label: the reason" "insufficient free space.*--track-meta DEVICE"
nothing_left "$label" "  rest"
lvremove -q -y tvg/rest > lvm.log 2>&1

label="another sector size"
truncate -s 16M fs.raw && mkfs.ext4 -q -b 1024 fs.raw || bail "mkfs"
big=$(make_loop 64 4096) || bail "disk"
vgcreate -q big "$big" > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
on_exit vgremove -q -f big
run 3 "$label" dmlive restore fs.raw big/vm --name g --create
says "$label: the reason" "sector"
is "$label: no volume is left" "$(lvs --noheadings big 2> /dev/null)" ""

# Killed by lvchange, which would say that the volume is in use now.
label="killed before it is usable"
mkdir fake
printf '#!/bin/sh\nkill -KILL $PPID\n' > fake/lvchange
chmod +x fake/lvchange
PATH=$TMP/fake:$PATH dmlive restore image.qcow2 tvg/vm --name g --create > "$out" 2> "$err"
is "$label: tags" "$(lv_has lv_tags tvg/vm)" \
	"dmlive,dmlive.of=vm,dmlive.role=restored,dmlive.unused"
dmsetup remove g
run 3 "$label: again" dmlive restore image.qcow2 tvg/vm --name g --create
says "$label: the way out" "killed before anybody could use it .*lvremove tvg/vm"
check "$label: lvremove" lvremove -q -y tvg/vm

label="a tag that cannot be removed"
printf '#!/bin/sh\necho no tag today >&2\nexit 5\n' > fake/lvchange
PATH=$TMP/fake:$PATH run 1 "$label" dmlive restore image.qcow2 tvg/vm --name g --create
says "$label: the reason" "dmlive.unused cannot be removed: no tag today"
nothing_left "$label"

if has_target raid; then
	label="--type raid1"
	run 0 "$label" dmlive restore odd.raw tvg/vm --name g --create --type raid1
	is "$label: its type" "$(lv_has segtype tvg/vm)" raid1
	same "$label: content" /dev/mapper/g odd.raw
	end_restore g
	lvremove -q -y tvg/vm > lvm.log 2>&1
fi

# Names: of 127 characters with that of the group and hyphens doubled.
vgrename -q tvg t-vg > lvm.log 2>&1 || bail "LVM: $(cat lvm.log)"
on_exit vgrename -q t-vg tvg
hyphens=$(printf 'a-%.0s' {1..40}) long=$hyphens a=aaaaaaaa
long+=$(head -c 1 <<< a)
label="the longest name"
run 2 "$label, and one more" dmlive restore odd.raw "t-vg/$long-" --name g --create
says "$label: the reason" "too long: .* 124 characters together, and 126 "
run 0 "$label" start_restore image.qcow2 "t-vg/$long" g --create --meta auto --track B \
	--speed 16K
is "$label: the volume" "$(lv_has lv_tags "t-vg/$long")" \
	"dmlive,dmlive.of=$long,dmlive.role=restored"
for role in metadata bitmaps; do
	name=$(lv_has lv_name @dmlive.role=$role)
	like "$label: $role" "$name" '^a-a-a-[-a]*\.[0-9a-f]{8}_dmlive(_track)?$'
	is "$label: $role: tags" "$(lv_has lv_tags "t-vg/$name")" \
		"dmlive,dmlive.of=$long,dmlive.role=$role"
	check "$label: $role: active" [ -b "/dev/t-vg/$name" ]
done
name=$(lv_has lv_name @dmlive.role=metadata)
lose_server g-dmlive
dmsetup remove g && dmsetup remove g-dmlive
rm -rf /run/dmlive
run 3 "$label: its metadata are found" dmlive restore image.qcow2 "t-vg/$long" --name g
says "$label: the way out" "dmlive resume /dev/t-vg/$name"
run 0 "$label: resume" dmlive resume "/dev/t-vg/$name" --background
dmlive stream g speed 0
check "$label: they go in the end" wait_until [ ! -e "/dev/t-vg/$name" ]
same "$label: content" /dev/mapper/g image.qcow2.raw
check "detach" dmlive detach g
end_restore g
lvremove -q -y t-vg > lvm.log 2>&1

# Last, since a kernel may have no such target.
if has_target thin-pool && command -v thin_check > /dev/null; then
	label="--thinpool"
	lvcreate -q -y --type thin-pool -L 24M --poolmetadatasize 4M -n pool t-vg > lvm.log 2>&1 ||
		bail "LVM: $(cat lvm.log)"
	truncate -s 256M sparse.raw
	dd if=image.qcow2.raw of=sparse.raw bs=1M count=8 seek=100 conv=notrunc status=none
	run 0 "$label" dmlive restore sparse.raw t-vg/thin --name g --create --thinpool pool \
		--no-finish
	like "$label: zeros are not written" "$(dmsetup table g)" " target_is_zero"
	is "$label: thin" "$(lv_has segtype,pool_lv t-vg/thin)" thinpool
	is "$label: tags" "$(lv_has lv_tags t-vg/thin)" "dmlive,dmlive.of=thin,dmlive.role=restored"
	check "$label: no space for zeros" [ "$(lv_has data_percent t-vg/thin | cut -d . -f 1)" -le 3 ]
	same "$label: content" /dev/mapper/g sparse.raw
	end_restore g
	run 3 "$label: no such pool" dmlive restore odd.raw t-vg/vm --name g --create --thinpool none
	says "$label: the reason" "t-vg/vm .*none"
fi
finish
