#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# dmlive resume --all finds the unfinished restores by their metadata and by their mapped
# devices, resumes each of them, says for each how that went, and is held up neither by one
# that fails nor by a device that does not answer. --systemd starts units, --serve is one.

. "$(dirname "$0")/restore-meta-lib.sh"
require_command python3
[ -n "${DM_DISABLE_UDEV:-}" ] || skip_all "udev would read the devices that do not answer"
make_image other.qcow2 8
disk1=$(make_disk 24 512) || bail "disk"
disk2=$(make_disk 24 512) || bail "disk"
meta1=$(make_loop 2) meta2=$(make_loop 2) foreign=$(make_loop 2) || bail "loop"
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
dmsetup suspend --noflush --nolockfs dead && dmsetup load dead --table "0 4096 error" &&
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
dd if="$meta1" of="$rival" bs=64K conv=fsync status=none
run 3 "two for one volume" dmlive resume --all --json
is "none of them is resumed" "$(states)" "a failed"$'\n'"a failed"$'\n'"b resumed"
says "both are named" "$meta1 and $rival both hold"
wipefs -qa "$rival"
dd if=/dev/zero of="$rival" bs=64K count=1 conv=fsync status=none

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
like "the way out" "$(cat "$out")" "if that does not serve it now: dmlive resume $meta1"
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
check "--serve ends when all is restored" wait $service
check "--serve said so" notifications "STATUS=a: all data"

run 0 "the other one" dmlive resume --all
is "a server in the background" "$(head -c 1 "/proc/$(server_of b)/cmdline")" @
dmlive stream b speed 0
check "it ends" wait_until is_complete b
same "its content" /dev/mapper/b other.qcow2.raw
run 0 "all are restored" dmlive resume --all
like "nothing is left to resume" "$(cat "$out")" "no unfinished restore"
finish
