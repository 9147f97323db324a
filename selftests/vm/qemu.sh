# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Boots a kernel in QEMU: the small initramfs that mounts the host's files over 9p, the
# choice of the accelerator, and the command line.

qemu='qemu-system-x86_64'

# The modules without which the root file system cannot be reached.
initramfs_modules=(virtio_pci virtio_blk 9pnet_virtio 9p overlay)

# A hash over the inputs of a cached file: equal inputs give an equal name.
cache_key()
{
	sha256sum | cut -c 1-16
}

# Sets initramfs to a cached file for this kernel.
make_initramfs()
{
	local busybox key dir m f

	busybox=$(command -v busybox) || die "busybox is missing; apt-get install busybox-static"
	key=$({ echo "$kernel_release ${initramfs_modules[*]}"
		stat -L -c '%n %s %Y' "$busybox" "$kernel_image"
		cat "$here/initramfs-init" "$here/qemu.sh"; } | cache_key)
	initramfs=$cache/initramfs-$kernel_release-$key
	[ -e "$initramfs" ] && return
	rm -f "$cache/initramfs-$kernel_release"-*

	dir=$(mktemp -d "$cache/initramfs.XXXXXX") || die "cannot write to $cache"
	mkdir -p "$dir"/{bin,modules,proc,dev,host,rw,root}
	cp "$busybox" "$dir/bin/busybox"
	cp "$here/initramfs-init" "$dir/init"
	chmod +x "$dir/init"
	for m in "${initramfs_modules[@]}"; do
		module_closure "$m" || die "kernel $kernel_release has no module $m"
	done | awk '!seen[$0]++' > "$dir/files" || exit
	while read -r f; do
		module_unpack "$f" "$dir/modules"
	done < "$dir/files" > "$dir/modules/order"
	(cd "$dir" && find . | busybox cpio -o -H newc 2>/dev/null) > "$initramfs.new" ||
		die "cannot make the initramfs"
	rm -rf "$dir"
	mv "$initramfs.new" "$initramfs"
}

# Prints the files that a module needs, itself last.
module_closure()
{
	# modprobe looks under ROOT/lib/modules/RELEASE. For built-in modules it prints
	# another word than insmod.
	modprobe -d "${kernel_modules%/lib/modules/*}/" -S "$kernel_release" \
		--show-depends "$1" | awk '$1 == "insmod" { print $2 }'
}

# Copies a module, unpacked, and prints its name.
module_unpack()
{
	local name
	name=$(basename "$1")
	case $name in
	*.ko)	 cp "$1" "$2/$name" ;;
	*.ko.xz) name=${name%.xz}; xz -dc "$1" > "$2/$name" ;;
	*.ko.zst) name=${name%.zst}; zstd -qdc "$1" > "$2/$name" ;;
	*.ko.gz) name=${name%.gz}; gzip -dc "$1" > "$2/$name" ;;
	esac
	echo "$name"
}

# /dev/kvm may exist and still not work, so try to boot with it. The result is kept until
# the host boots again or gets another QEMU.
choose_accelerator()
{
	local answer

	accel_args=(-accel "tcg,thread=multi" -cpu max)
	case ${DMLIVE_ACCEL:-} in
	tcg)	return ;;
	kvm)	accel_args=(-accel kvm -cpu host); return ;;
	esac
	[ -w /dev/kvm ] || return 0
	answer=$cache/kvm-$({ uname -a; "$qemu" --version
		cat /proc/sys/kernel/random/boot_id; } | cache_key)
	if [ ! -e "$answer" ]; then
		echo "vm/run: trying whether KVM works here (once)" >&2
		if timeout -k 1 15 "$qemu" "${qemu_common[@]}" -accel kvm -cpu host -m 512 \
			-append "console=ttyS0 quiet panic=-1 dmlive.probe" \
			-serial stdio < /dev/null 2>&1 | grep -q dmlive-probe-ok
		then
			echo kvm
		else
			echo tcg
		fi > "$answer.new"
		mv "$answer.new" "$answer"
		echo "vm/run: it $([ "$(cat "$answer")" = kvm ] && echo does ||
			echo 'does not; emulating')" >&2
	fi
	[ "$(cat "$answer")" != kvm ] || accel_args=(-accel kvm -cpu host)
}

qemu_prepare()
{
	local i share

	boot_allowance_s=60
	command -v $qemu > /dev/null || die "QEMU is missing; apt-get install qemu-system-x86"
	make_initramfs
	qemu_common=(-no-user-config -nodefaults -display none -no-reboot
		-kernel "$kernel_image" -initrd "$initramfs")
	choose_accelerator

	share="security_model=none,multidevs=remap"
	qemu_args=("${qemu_common[@]}" "${accel_args[@]}"
		-name dmlive-vm -m "$mem_mib" -smp "$cpus"
		-device virtio-rng-pci
		-serial "file:$run_dir/console"
		-fsdev "local,id=host,path=/,readonly=on,$share"
		-device 'virtio-9p-pci,fsdev=host,mount_tag=host'
		-fsdev "local,id=run,path=$run_dir,$share"
		-device 'virtio-9p-pci,fsdev=run,mount_tag=run')
	if [ -n "$out_dir" ]; then
		qemu_args+=(-fsdev "local,id=out,path=$out_dir,$share"
			-device 'virtio-9p-pci,fsdev=out,mount_tag=out')
	fi
	for i in "${!disk_files[@]}"; do
		qemu_args+=(-drive "file=${disk_files[i]},format=raw,if=none,id=d$i,cache=${disk_cache[i]},discard=unmap"
			-device "virtio-blk-pci,drive=d$i,serial=dmlive$i,logical_block_size=${disk_bs[i]},physical_block_size=${disk_bs[i]}")
	done
	# The watchdogs' limits leave room for an emulated machine on a busy host.
	qemu_args+=(-append "console=ttyS0 quiet oops=panic panic=-1 nokaslr \
mitigations=off random.trust_cpu=on no_timer_check watchdog_thresh=30 \
rcupdate.rcu_cpu_stall_timeout=60 sysctl.kernel.hung_task_timeout_secs=60 \
net.ifnames=0 dmlive.init=$here/guest-init ${append}")
}

qemu_start()
{
	"$qemu" "${qemu_args[@]}" < /dev/null > "$run_dir/qemu" 2>&1 &
	machine_pid=$!
}

qemu_kill()
{
	kill "$machine_pid" 2>/dev/null
}

qemu_cut()
{
	kill -KILL "$machine_pid" 2>/dev/null
}
