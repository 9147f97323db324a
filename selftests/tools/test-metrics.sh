#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# `dmlive status --metrics` says what `dmlive status --json` says, in the text format of
# OpenMetrics: families with a type and a help, each once, samples of a family together,
# names of devices escaped, "# EOF" last.

. "$(dirname "$0")/attach-lib.sh"

# is_valid FILE: by the rules of the text format that can be checked line by line.
is_valid()
{
	awk '
		ended { exit 1 }
		/^# TYPE / {
			if (seen[$3]++ || $4 !~ /^(gauge|counter)$/) exit 1
			family = $3; type = $4; next
		}
		/^# HELP / { if ($3 != family || NF < 4) exit 1; next }
		/^# EOF$/ { ended = 1; next }
		{
			name = $0; sub(/[{ ].*/, "", name)
			if (name != family (type == "counter" ? "_total" : "")) exit 1
			if ($0 !~ /^[a-z_]+({[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*})? [0-9]+$/)
				exit 1
		}
		END { if (!ended) exit 1 }' "$1"
}

# metric TEXT: the value of the sample with this name and these labels.
metric()
{
	grep -v '^#' "$out" | grep -F -- "$1 " | sed 's/.* //'
}

run 0 "without a device" dmlive status --metrics
check "it is valid" is_valid "$out"
is "nothing is left over" "$(metric dmlive_leftovers)" 0

disk=$(make_disk 8 512) meta=$(make_disk 4 512) || bail "disks"
make_image image.qcow2 8
run 0 "restore" dmlive restore image.qcow2 "$disk" --name r --force --background --speed 64K
on_exit end_restore r
run 0 "a restore" dmlive status --metrics
check "a restore: it is valid" is_valid "$out"
is "its size" "$(metric 'dmlive_device_size_bytes{device="r"}')" $((8 << 20))
is "its state" "$(metric 'dmlive_restore_state{device="r",state="running"}')" 1
is "it is served" "$(metric 'dmlive_restore_served{device="r"}')" 1
is "no errors" "$(metric 'dmlive_restore_read_errors_total{device="r"}')" 0
dmlive stream r cancel
dm_remove r

make_a
run 0 "store" dmlive meta format "$meta" --size 8M --track --bitmap B:64K --force
run 0 "attach" dmlive attach a --meta "$meta"
dd if=/dev/urandom of=/dev/mapper/a bs=64K count=2 oflag=direct conv=notrunc status=none
run 0 "an attached device" dmlive status --metrics
check "an attached device: it is valid" is_valid "$out"
is "what has changed" "$(metric 'dmlive_bitmap_set_bytes{device="a",bitmap="B"}')" 131072
is "it records" "$(metric 'dmlive_bitmap_recording{device="a",bitmap="B"}')" 1
is "tracking works" "$(metric 'dmlive_tracking_state{device="a",state="rw"}')" 1
is "no session" "$(metric 'dmlive_session_state{device="a",state="none"}')" 1
like "status names the bitmap" "$(dmlive status a)" "bitmap B: 128.0 KiB changed"
check "in JSON too" sh -c "dmlive status a --json |
	jq -e '.tracking.bitmaps[0] == { name: \"B\", granularity: 65536, recording: true,
		frozen: false, set_bytes: 131072, generation: 0 }'"

state=/var/lib/dmlive/backups
rm -rf $state && on_exit rm -rf $state
run 0 "never backed up" dmlive status --metrics
is "no figure of a backup" "$(grep -c '^dmlive_backup' "$out")" 0
start=$(date +%s)
run 0 "backup" dmlive backup a a.qcow2
run 0 "after a backup" dmlive status --metrics
check "after a backup: it is valid" is_valid "$out"
success=$(metric 'dmlive_backup_success_seconds{device="a"}')
check "when it ended" [ "$success" -ge "$start" ]
is "as the last one" "$(metric 'dmlive_backup_end_seconds{device="a"}')" "$success"
is "it succeeded" "$(metric 'dmlive_backup_status{device="a"}')" 0
is "what it copied" "$(metric 'dmlive_backup_bytes{device="a"}')" $((8 << 20))
run 3 "a backup that is refused" dmlive backup a a.qcow2
run 0 "after that" dmlive status --metrics
is "it failed" "$(metric 'dmlive_backup_status{device="a"}')" 3
is "when one succeeded is still known" \
	"$(metric 'dmlive_backup_success_seconds{device="a"}')" "$success"
is "and what that one copied" "$(metric 'dmlive_backup_bytes{device="a"}')" $((8 << 20))
mount -t tmpfs -o nr_inodes=1 none $state || bail "mount"
run 0 "no space for the record" dmlive backup a b.qcow2
says "it says so" "how this backup ended cannot be recorded"
umount $state
run 0 "detach" dmlive detach a
run 2 "one device" dmlive status --metrics a
says "what is wrong" "no NAME with --metrics"
finish
