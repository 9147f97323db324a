# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# From the name of a kernel to its files. kernel_resolve NAME sets:
#   kernel_kind	     qemu or uml: who boots it
#   kernel_image     the file to boot
#   kernel_release   uname -r
#   kernel_modules   the folder that is /lib/modules/RELEASE in the guest
#   kernel_make_args what `make modules` needs to build for it

kernel_resolve()
{
	case $1 in
	stock)	kernel_stock ;;
	uml|uml-kasan|uml-lockdep) kernel_uml "$1" ;;
	6.12|7.2)
		die "--kernel $1: not there yet; stock and uml are" ;;
	*)	die "--kernel $1: unknown; see --help" ;;
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
