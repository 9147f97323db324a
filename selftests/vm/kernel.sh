# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Finds the files of a kernel by its name. kernel_resolve NAME sets:
#   kernel_kind	     qemu or uml: who boots it
#   kernel_image     the file to boot
#   kernel_release   uname -r
#   kernel_modules   the folder that is /lib/modules/RELEASE in the guest
#   kernel_make_args what `make modules` needs to build for it
#   udev             1: the guest runs it

kernel_resolve()
{
	case $1 in
	stock)	kernel_stock ;;
	uml|uml-kasan|uml-lockdep) kernel_uml "$1" ;;
	uml-kmemleak)
		kernel_uml uml-lockdep
		append="kmemleak=on $append"
		;;
	6.12|7.2) kernel_backport "$1" ;;
	?*-udev)
		kernel_resolve "${1%-udev}"
		udev=1
		;;
	*/*|.)	kernel_folder "$1" ;;
	*)	die "--kernel $1: unknown; see --help (a folder needs a / in its name)" ;;
	esac
}

kernel_stock()
{
	local image release

	while read -r image; do
		release=${image#/boot/vmlinuz-}
		case $release in
		*-cloud-amd64|*-rt-amd64) continue ;;
		esac
		[ -d "/lib/modules/$release/kernel" ] || continue
		kernel_kind=qemu
		kernel_image=$image
		kernel_release=$release
		kernel_modules=/lib/modules/$release
		kernel_make_args=("KDIR=/lib/modules/$release/build")
		return
	done < <(printf '%s\n' /boot/vmlinuz-*-amd64 | sort -rV)
	die "no kernel in /boot with modules; install it: apt-get install linux-image-amd64 linux-headers-amd64"
}

kernel_backport()
{
	local dir

	dir=$("$here/fetch-kernel" "$1") || die "--kernel $1: cannot be fetched, see above"
	kernel_kind=qemu
	kernel_image=$dir/vmlinuz
	kernel_release=$(cat "$dir/release")
	kernel_modules=$dir/lib/modules/$kernel_release
	kernel_make_args=("KDIR=$dir/headers")
}

# The user's own kernel: a build tree with installed modules under lib/modules (make
# INSTALL_MOD_PATH=. modules_install).
kernel_folder()
{
	local dir

	dir=$(cd "$caller_dir" && realpath -e "$1") || die "--kernel $1: no such folder"
	kernel_kind=qemu
	kernel_image=$dir/arch/x86/boot/bzImage
	[ -e "$kernel_image" ] || die "--kernel $1: no arch/x86/boot/bzImage in it; build it first"
	kernel_release=$(sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' \
		"$dir/include/generated/utsrelease.h")
	kernel_modules=$dir/lib/modules/$kernel_release
	[ -d "$kernel_modules" ] ||
		die "--kernel $1: no lib/modules/$kernel_release in it; make INSTALL_MOD_PATH=. modules_install"
	kernel_make_args=("KDIR=$dir")
}

kernel_uml()
{
	local dir

	dir=$("$here/build-uml" "$1") || die "--kernel $1: cannot be built, see above"
	kernel_kind=uml
	kernel_image=$dir/obj/linux
	kernel_release=$(ls "$dir/modules/lib/modules")
	kernel_modules=$dir/modules/lib/modules/$kernel_release
	kernel_make_args=("KDIR=$(readlink "$dir/src")" "KMAKE=ARCH=um O=$dir/obj")
}
