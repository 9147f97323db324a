#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# only on: uml
#
# cbw is inserted into an encrypted volume in use and taken out again, with the key in the
# table and in a keyring; no key shows up in messages, arguments, files, or core dumps; a
# key that is gone is an error that changes nothing.

. "$(dirname "$0")/move-lib.sh"
require_target crypt

key=$(head -c 64 /dev/urandom | od -An -tx1 | tr -d ' \n')
disk=$(make_disk 32) || bail "disk"
size=$(sectors "$disk")
dm_create c "0 $size crypt aes-xts-plain64 $key 0 $disk 0 1 allow_discards" || skip_all "aes-xts"
take_volume c
in_use 5 "killed attach 13 2" "killed detach 13 2"
tracks below

# no_key DESCRIPTION FILE...
no_key()
{
	check_fails "$1: no key" grep -qi -e "${key:0:24}" -e "${key:64:24}" "${@:2}"
}

# Everything but the ioctls to device mapper.
run 0 "attach, traced" strace -f -v -s 100000 -o trace -e 'trace=!ioctl' dmlive attach c
no_key "system calls of attach" trace
no_key "messages of attach" "$out" "$err"
like "it cannot be dumped" "$(cat trace)" "PR_SET_DUMPABLE, (SUID_DUMP_DISABLE|0)"
# stays_locked VERB: until the process, which has the key, has printed its result.
stays_locked()
{
	local tracer pid
	rm -f calls
	strace -qq -o calls -e trace=munlockall,write -e inject=write:signal=STOP:when=1+ \
		dmlive "$@" < /dev/null > "$out" 2> "$err" &
	tracer=$!
	on_exit stop_process $tracer
	wait_until grep -q 'stopped by SIGSTOP' calls
	pid=$(pgrep -x -P $tracer dmlive)
	check "$1: its memory is locked" grep -q 'VmLck:.*[1-9]' "/proc/$pid/status"
	while ! has_ended $tracer; do
		kill -CONT "$pid" 2> /dev/null
		sleep 0.1
	done
	wait $tracer
	is "$1: status" $? 0
}

# is_hidden_first TRACE: before a table is read.
is_hidden_first()
{
	grep -E 'PR_SET_DUMPABLE|DM_TABLE_STATUS' "$1" | head -n 1 | grep -q PR_SET_DUMPABLE
}

run 0 "detach" strace -f -o trace -e 'trace=ioctl,prctl' dmlive detach c
check "detach cannot be dumped before it reads a table" is_hidden_first trace
stays_locked attach c
run 0 "status, traced" strace -f -o trace -e 'trace=ioctl,prctl' dmlive status c
check "status cannot be dumped before it reads a table" is_hidden_first trace
run 0 "status" dmlive status c
run 0 "status in JSON" dmlive status c --json
no_key "status" "$out" "$err"
dmesg > kernel
no_key "kernel log" kernel
run 0 "detach, traced" strace -f -v -s 100000 -o trace -e 'trace=!ioctl' dmlive detach c
no_key "system calls of detach" trace
no_key "messages of detach" "$out" "$err"
has_plain "with the key in the table"
# The kernel is told that buffers hold secrets (DM_SECURE_DATA_FLAG, bit 15).
run 0 "attach, ioctls traced" strace -f -v -o trace -e 'trace=ioctl' dmlive attach c
like "loads and queries of tables are marked as secret" "$(grep -c DM_SECURE_DATA_FLAG trace)" \
	"^[1-9]"
check_fails "all of them" sh -c "grep -E 'DM_TABLE_(LOAD|STATUS)' trace | \
	grep -qv DM_SECURE_DATA_FLAG"
run 0 "detach" dmlive detach c
# A table that the kernel refuses.
dm_remove c
dm_create c "0 $size crypt aes-xts-plain64 $key 0 $disk 0" || bail "c"

# A key in a keyring that can be reached, and one that cannot.
dm_remove c
cat > add-key.py <<'END'
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
key = bytes.fromhex(sys.argv[1])
# add_key(), for the keyring of the user: KEY_SPEC_USER_KEYRING
r = libc.syscall(248, b"logon", b"dmlive:test", key, len(key), -4)
sys.exit(r < 0)
END
if python3 add-key.py "$key" 2> /dev/null &&
	dm_create c "0 $size crypt aes-xts-plain64 :64:logon:dmlive:test 0 $disk 0" 2> /dev/null; then
	take_volume c
	in_use 2
	# It is found by its name, so another one of that name must not do.
	cat > revoke.py <<'END'
import ctypes
libc = ctypes.CDLL(None)
# request_key(), keyctl(KEYCTL_REVOKE)
libc.syscall(250, 3, libc.syscall(249, b"logon", b"dmlive:test", None, -4))
END
	python3 revoke.py
	run 1 "a key that is gone" dmlive attach c
	says "the reason" "key .*keyring"
	says "the way out" "cryptsetup refresh"
	has_plain "a key that is gone"
else
	skip "a key in a keyring" "this kernel has no keyrings"
fi
finish
