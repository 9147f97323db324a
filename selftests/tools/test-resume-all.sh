#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# dmlive resume --all finds the unfinished restores by their metadata and by their mapped
# devices, resumes each of them, says for each how that went, and is held up neither by one
# that fails nor by a device that does not answer. --systemd starts units, --serve is one.

. "$(dirname "$0")/restore-meta-lib.sh"
require_command python3
require_target flakey
[ -n "${DM_DISABLE_UDEV:-}" ] || skip_all "udev would read the devices that do not answer"
make_image other.qcow2 8
# identified NAME DEVICE - a device over it that has an identity, as logical volumes have.
identified()
{
	dm_create "$1" "0 $(sectors "$2") linear $2 0" --uuid "TEST-$1" || bail "$1"
}

lower1=$(make_disk 24 512) && lower2=$(make_disk 24 512) || bail "disk"
identified disk1 "$lower1" && identified disk2 "$lower2"
readonly disk1=/dev/mapper/disk1 disk2=/dev/mapper/disk2
lower1=$(make_loop 2) lower2=$(make_loop 2) foreign=$(make_loop 2) || bail "loop"
identified meta1 "$lower1" && identified meta2 "$lower2"
readonly meta1=/dev/mapper/meta1 meta2=/dev/mapper/meta2
qemu-img create -q -f qcow2 -u foreign.qcow2 1G
dd if=foreign.qcow2 of="$foreign" conv=fsync status=none
mkfs.ext4 -q "$(make_loop 4)" || bail "mkfs"

states()
{
	jq -r '[.name, .state] | join(" ")' "$out" | sort
}

notifications()
{
	grep -q "$1" notified
}

# The end of a machine: what is left are the metadata.
both_end()
{
	forget a
	forget b
}

# Reading them would wait for a server.
dm_create hand "0 4096 alloctrack $disk1 user - 8"
dm_create over "0 4096 linear /dev/mapper/hand 0"
run 0 "there is none" dmlive resume --all
like "it says so" "$(cat "$out")" "no unfinished restore"
run 0 "--json: there is none" dmlive resume --all --json
is "--json: no line" "$(cat "$out")" ""
dm_remove over && dm_remove hand
run 2 "--all with a device" dmlive resume --all "$meta1"
says "the way out" "leave out"
run 2 "--all with an option for one" dmlive resume --all --force
says "the way out" "resume a restore by itself"
run 2 "--systemd without --all" dmlive resume "$meta1" --systemd
says "the way out" "systemctl start"
run 2 "--serve with --background" dmlive resume "$meta1" --serve --background

start_restore image.qcow2 "$disk1" a --meta "$meta1" --speed 64K || bail "restore"
start_restore other.qcow2 "$disk2" b --meta "$meta2" --speed 64K || bail "restore"
guest_write a 5 105
server=$(server_of a)
run 0 "all are served" dmlive resume --all
like "it says so" "$(cat "$out")" "no unfinished restore"
lose_server b
run 0 "one server has ended" dmlive resume --all --json
is "its device is resumed" "$(states)" "b resumed"
is "the other one is left alone" "$(server_of a)" "$server"

both_end
# A device that never answers, and a suspended one.
dm_create dead "0 4096 delay $foreign 0 100000"
dm_create still "0 4096 linear $foreign 0"
dmsetup suspend still
run 1 "two restores and a dead device" dmlive resume --all --json
is "both are resumed" "$(states)" "a resumed"$'\n'"b resumed"
says "the dead device is named" "/dev/mapper/dead does not answer"
dmsetup suspend --noflush --nolockfs dead && dmsetup load dead --table "0 4096 flakey $foreign 0 0 1000" &&
	dmsetup resume dead

both_end
run 1 "two restores and a failing device" dmlive resume --all --json
is "both are resumed again" "$(states)" "a resumed"$'\n'"b resumed"
says "the failing device is named" "/dev/mapper/dead cannot be read"
dm_remove still
dm_remove dead

both_end
mv other.qcow2 away.qcow2
run 1 "one image is gone" dmlive resume --all --json
is "the other restore is resumed" "$(states)" "a resumed"$'\n'"b failed"
says "the image is named" "other.qcow2"
check_fails "no device without its image" dmsetup info b
mv away.qcow2 other.qcow2
run 0 "again" dmlive resume --all
is "only what is left is resumed" "$(cat "$out")" "$meta2: b resumed"

both_end
rival=$(make_loop 2) || bail "loop"
identified rival "$rival" && rival=/dev/mapper/rival
dd if=$meta1 of=$rival bs=64K conv=fsync status=none
run 3 "a copy of the metadata" dmlive resume --all --json
is "it is left alone" "$(states)" "a resumed"$'\n'"a uncertain"$'\n'"b resumed"
says "it is named" "$rival holds the metadata of a restore, but .* made on another device"
both_end
describe_as()
{
	dd if=$1 bs=64K count=1 status=none | LC_ALL=C sed "s/$2/$3/" |
		dd of=$1 bs=64K conv=fsync,notrunc iflag=fullblock status=none
}
describe_as $rival dm:TEST-meta1 dm:TEST-rival
run 3 "two for one volume" dmlive resume --all --json
is "none of them is resumed" "$(states)" "a failed"$'\n'"a failed"$'\n'"b resumed"
says "both are named" "$meta1 and $rival both hold"
describe_as $rival dm:TEST-disk1 dm:TEST-other
describe_as $rival '"name":"a"' '"name":"c"'
forget b
run 3 "its volume is another device" dmlive resume --all --json
is "it is not restored" "$(states)" "a resumed"$'\n'"b resumed"$'\n'"c failed"
says "it says so" "restore began on the device dm:TEST-other"
both_end
describe_as $rival '"meta_identity"' '"meta_identitz"'
run 3 "metadata without an identity" dmlive resume --all --json
is "they are left alone" "$(states)" "a resumed"$'\n'"b resumed"$'\n'"c uncertain"
says "it says so" "without an identity"
both_end
describe_as $rival '"machine":' '"machinf":'
run 0 "metadata of nobody, as a guest may write them" dmlive resume --all --json
is "they are left alone" "$(states)" "a resumed"$'\n'"b resumed"$'\n'"c foreign"
forget a
label="a restore is given up by a new one"
disk=$disk1
run 3 "$label: refused" dmlive restore other.qcow2 $disk1 --name n --background
says "$label: it names the metadata" "has begun and is not finished.*dmlive resume $meta1"
run 0 "$label: --force" dmlive restore other.qcow2 $disk1 --name n --force
dm_remove n
forget b
run 0 "$label: then all" dmlive resume --all --json
is "$label: it is not resumed" "$(states)" "b resumed"$'\n'"c foreign"
dd if=/dev/zero of=$rival bs=64K count=1 conv=fsync status=none
dm_remove rival
start_restore image.qcow2 $disk1 a --meta $meta1 --speed 64K --force || bail "restore"
guest_write a 5 105
forget a

# A machine that shares the volumes.
forget b
cp -p /etc/machine-id own-id && on_exit cp -p own-id /etc/machine-id || bail "machine-id"
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
run 0 "on another machine" dmlive resume --all --json
is "nothing is resumed there" "$(states)" "a foreign"$'\n'"b foreign"
run 0 "but by hand" dmlive resume "$meta1" --background
sane_meta "taken over" "$meta1"
forget a
cp own-id /etc/machine-id
run 0 "and then no longer here" dmlive resume --all
like "its own is resumed" "$(cat "$out")" "$meta2: b resumed"
like "the way out" "$(cat "$out")" "no other machine serves it: dmlive resume $meta1"
run 0 "by hand here" dmlive resume "$meta1" --background

both_end
mkdir bin
cat > bin/systemctl <<'EOF'
#!/bin/sh
echo "$@" >> systemctl.log
[ ! -e systemctl.fails ]
EOF
chmod +x bin/systemctl
run 0 "--systemd" env "PATH=$TMP/bin:$PATH" dmlive resume --all --systemd --json
is "the jobs are queued" "$(states)" "a queued"$'\n'"b queued"
for meta in "$meta1" "$meta2"; do
	check "unit of $meta" grep -qxF "start --no-block -- dmlive-server@$(systemd-escape -p "$meta").service" systemctl.log
done
touch systemctl.fails
run 1 "systemd does not take them" env "PATH=$TMP/bin:$PATH" dmlive resume --all --systemd
says "the way out" "systemctl status"

cat > listen.py <<'EOF'
import os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("notify")
open("listening", "w")
while True:
    print(s.recv(4096).decode(), flush=True)
EOF
python3 listen.py > notified &
on_exit kill $!
wait_until [ -e listening ] || bail "no listener"
NOTIFY_SOCKET=$TMP/notify dmlive resume "$meta1" --serve > "$out" 2>&1 &
service=$!
check "--serve says that it is ready" wait_until notifications READY=1
check "the device is there then" dmsetup info a
check "--serve says what it does" wait_until notifications "STATUS=a: usable.*image.qcow2"
is "it is the server itself" "$(server_of a)" $service
is "the end of a shutdown spares it" "$(head -c 1 /proc/$service/cmdline)" @
kill -TERM $service
ends_well a "--serve"
wait $service
result $? "--serve ends when all is restored"
check "--serve said so" notifications "STATUS=a: all data"

run 0 "the other one" dmlive resume --all
is "a server in the background" "$(head -c 1 "/proc/$(server_of b)/cmdline")" @
dmlive stream b speed 0
check "it ends" wait_until is_complete b
same "its content" /dev/mapper/b other.qcow2.raw
run 0 "all are restored" dmlive resume --all
like "nothing is left to resume" "$(cat "$out")" "no unfinished restore"
finish
