// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are not raw disks. Each magic number has at least 24 bits, with a value
 * that no boot sector or superblock has at its place. The weaker ones, of tar and of
 * the footer of a fixed VHD, count only with a valid checksum.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "foreign.h"

#define START_BYTES 512
#define TAR_CHECKSUM_OFFSET 148
#define TAR_CHECKSUM_BYTES 8
#define FOOTER_BYTES 512
#define VHD_CHECKSUM_OFFSET 64

#define QEMU_CONVERTS(format) \
	"make it raw: qemu-img convert -f " format " -O raw IMAGE OUT.raw"
#define PBS_RESTORES \
	"have the backup server's client write the disk: proxmox-backup-client restore SNAPSHOT ARCHIVE OUT.raw"

enum kind {
	KIND_FORMAT,		/* an image */
	KIND_COMPRESSED,
	KIND_OTHER,
};

static const struct foreign {
	enum kind kind;
	const char *name;
	unsigned int offset;
	unsigned int length;
	const char *magic;
	const char *way_out;
} foreign_files[] = {
	{ KIND_FORMAT, "qcow", 0, 8, "QFI\xfb\0\0\0\1", QEMU_CONVERTS("qcow") },
	{ KIND_FORMAT, "vmdk", 0, 4, "KDMV", QEMU_CONVERTS("vmdk") },
	{ KIND_FORMAT, "vmdk", 0, 4, "COWD", QEMU_CONVERTS("vmdk") },
	{ KIND_FORMAT, "vmdk", 0, 8, "\xbe\xba\xfe\xca\0\0\0\0",
	  QEMU_CONVERTS("vmdk") },
	{ KIND_FORMAT, "vmdk", 0, 21, "# Disk DescriptorFile",
	  QEMU_CONVERTS("vmdk") },
	{ KIND_FORMAT, "vdi", 64, 4, "\x7f\x10\xda\xbe", QEMU_CONVERTS("vdi") },
	{ KIND_FORMAT, "vhdx", 0, 8, "vhdxfile", QEMU_CONVERTS("vhdx") },
	{ KIND_FORMAT, "vhd (QEMU's vpc)", 0, 8, "conectix",
	  QEMU_CONVERTS("vpc") },
	{ KIND_FORMAT, "qed", 0, 4, "QED\0", QEMU_CONVERTS("qed") },
	{ KIND_FORMAT, "parallels", 0, 16, "WithoutFreeSpace",
	  QEMU_CONVERTS("parallels") },
	{ KIND_FORMAT, "parallels", 0, 16, "WithouFreSpacExt",
	  QEMU_CONVERTS("parallels") },
	{ KIND_FORMAT, "bochs", 0, 22, "Bochs Virtual HD Image",
	  QEMU_CONVERTS("bochs") },
	{ KIND_FORMAT, "cloop", 0, 20, "#!/bin/sh\n#V2.0 Form",
	  QEMU_CONVERTS("cloop") },
	{ KIND_FORMAT, "android sparse", 0, 4, "\x3a\xff\x26\xed",
	  "make it raw: simg2img IMAGE OUT.raw" },
	{ KIND_FORMAT, "ewf", 0, 8, "EVF\x09\x0d\x0a\xff\0",
	  "make it raw: ewfexport IMAGE" },
	{ KIND_FORMAT, "wim", 0, 8, "MSWIM\0\0\0",
	  "it holds files, not a disk: wimlib-imagex apply IMAGE" },

	{ KIND_COMPRESSED, "gzip", 0, 3, "\x1f\x8b\x08",
	  "unpack it: gzip -dc IMAGE > OUT" },
	/* Behind "BZh" and the level. */
	{ KIND_COMPRESSED, "bzip2", 4, 6, "1AY&SY",
	  "unpack it: bzip2 -dc IMAGE > OUT" },
	{ KIND_COMPRESSED, "xz", 0, 6, "\3757zXZ\0",
	  "unpack it: xz -dc IMAGE > OUT" },
	{ KIND_COMPRESSED, "zstd", 0, 4, "\x28\xb5\x2f\xfd",
	  "unpack it: zstd -dc IMAGE > OUT" },
	/* A skippable frame, with which pzstd begins. */
	{ KIND_COMPRESSED, "zstd", 0, 4, "\x50\x2a\x4d\x18",
	  "unpack it: zstd -dc IMAGE > OUT" },
	{ KIND_COMPRESSED, "lz4", 0, 4, "\x04\x22\x4d\x18",
	  "unpack it: lz4 -dc IMAGE > OUT" },
	{ KIND_COMPRESSED, "lz4", 0, 4, "\x02\x21\x4c\x18",
	  "unpack it: lz4 -dc IMAGE > OUT" },
	{ KIND_COMPRESSED, "lzop", 0, 9, "\x89LZO\0\r\n\x1a\n",
	  "unpack it: lzop -dc IMAGE > OUT" },
	{ KIND_COMPRESSED, "lzip", 0, 5, "LZIP\1", "unpack it: lzip -dc IMAGE > OUT" },

	{ KIND_OTHER, "a 7-Zip archive", 0, 6, "7z\xbc\xaf\x27\x1c",
	  "unpack it: 7z x IMAGE" },
	{ KIND_OTHER, "a zip archive", 0, 4, "PK\3\4", "unpack it: unzip IMAGE" },
	{ KIND_OTHER, "a RAR archive", 0, 6, "Rar!\x1a\x07",
	  "unpack it: unrar x IMAGE" },
	{ KIND_OTHER, "a VMA archive of Proxmox VE", 0, 4, "VMA\0",
	  "unpack it: vma extract IMAGE FOLDER" },
	{ KIND_OTHER, "an index of Proxmox Backup Server (.fidx)", 0, 8,
	  "\x2f\x7f\x41\xed\x91\xfd\x0f\xcd", PBS_RESTORES },
	{ KIND_OTHER, "an index of Proxmox Backup Server (.didx)", 0, 8,
	  "\x1c\x91\x4e\xa5\x19\xba\xb3\xcd", PBS_RESTORES },
	{ KIND_OTHER, "a blob of Proxmox Backup Server", 0, 8,
	  "\x42\xab\x38\x07\xbe\x83\x70\xa1", PBS_RESTORES },
	{ KIND_OTHER, "a blob of Proxmox Backup Server", 0, 8,
	  "\x31\xb9\x58\x42\x6f\xb6\xa3\x7f", PBS_RESTORES },
	{ KIND_OTHER, "a blob of Proxmox Backup Server", 0, 8,
	  "\x7b\x67\x85\xbe\x22\x2d\x4c\xf0", PBS_RESTORES },
	{ KIND_OTHER, "a blob of Proxmox Backup Server", 0, 8,
	  "\xe6\x59\x1b\xbf\x0b\xbf\xd8\x0b", PBS_RESTORES },
	{ KIND_OTHER, "an image of partclone", 0, 15, "partclone-image",
	  "have it restored: partclone.restore -s IMAGE -o DEVICE" },
	{ KIND_OTHER, "a stream of zfs send", 8, 8,
	  "\xac\xcb\xba\xf5\x02\0\0\0", "receive it: zfs receive" },
	{ KIND_OTHER, "a stream of btrfs send", 0, 13, "btrfs-stream\0",
	  "receive it: btrfs receive" },
	{ KIND_OTHER, "a stream of rbd export-diff", 0, 9, "rbd diff ",
	  "have it imported: rbd import-diff" },
};

static const struct foreign ova = {
	KIND_OTHER, "an OVA archive", 0, 0, NULL,
	"unpack it: tar -xf IMAGE, and make the disk in it raw: qemu-img convert -O raw DISK OUT.raw"
};

static const struct foreign tar = {
	KIND_OTHER, "a tar archive", 0, 0, NULL, "unpack it: tar -xf IMAGE"
};

static const struct foreign fixed_vhd = {
	KIND_FORMAT, "fixed vhd (QEMU's vpc)", 0, 0, NULL,
	QEMU_CONVERTS("vpc")
};

static const struct foreign dmg = {
	KIND_FORMAT, "dmg", 0, 0, NULL, QEMU_CONVERTS("dmg")
};

static int refuse(const struct host_file *file, const struct foreign *f,
		  struct image_error *err)
{
	const char *before = f->kind == KIND_FORMAT ? "looks like format" :
			     f->kind == KIND_COMPRESSED ? "is compressed with" :
			     "is";
	const char *after = f->kind == KIND_FORMAT ?
			    ", which is not supported" : " and no disk image";

	return image_fail(err, -ENOTSUP,
			  "%s: %s %s%s; %s; if it is a raw disk all the same: --format raw",
			  host_file_path(file), before, f->name, after,
			  f->way_out);
}

static uint32_t sum(const unsigned char *bytes, size_t from, size_t to)
{
	uint32_t total = 0;

	for (; from < to; from++)
		total += bytes[from];
	return total;
}

/* The sum of the header's bytes, its own field taken as blanks, in octal digits. */
static bool is_tar(const unsigned char *start)
{
	char digits[TAR_CHECKSUM_BYTES + 1] = "";
	uint32_t wanted = sum(start, 0, START_BYTES) + TAR_CHECKSUM_BYTES * ' ' -
			  sum(start, TAR_CHECKSUM_OFFSET,
			      TAR_CHECKSUM_OFFSET + TAR_CHECKSUM_BYTES);

	memcpy(digits, start + TAR_CHECKSUM_OFFSET, TAR_CHECKSUM_BYTES);
	return !memcmp(start + 257, "ustar", 5) &&
	       strtoul(digits, NULL, 8) == wanted;
}

static const struct foreign *find_tar(const unsigned char *start)
{
	char member[101] = "";
	const char *suffix;

	if (!is_tar(start))
		return NULL;
	memcpy(member, start, 100);
	suffix = strrchr(member, '.');
	return suffix && !strcmp(suffix, ".ovf") ? &ova : &tar;
}

static bool is_vhd_footer(const unsigned char *footer)
{
	uint32_t stored;

	memcpy(&stored, footer + VHD_CHECKSUM_OFFSET, sizeof(stored));
	return !memcmp(footer, "conectix", 8) &&
	       be32toh(stored) == ~(sum(footer, 0, FOOTER_BYTES) -
				    sum(footer, VHD_CHECKSUM_OFFSET,
					VHD_CHECKSUM_OFFSET + sizeof(stored)));
}

/* Formats that begin like a raw disk and are recognized by their end. */
static int find_by_footer(const struct host_file *file,
			  const struct foreign **found, struct image_error *err)
{
	uint64_t size = host_file_size(file);
	unsigned char footer[FOOTER_BYTES];
	int ret;

	if (size < sizeof(footer))
		return 0;
	ret = host_file_read(file, size - sizeof(footer), footer,
			     sizeof(footer), err);
	if (ret)
		return ret;
	if (is_vhd_footer(footer))
		*found = &fixed_vhd;
	else if (!memcmp(footer, "koly\0\0\0\4\0\0\2\0", 12))
		*found = &dmg;
	return 0;
}

/* @found: NULL: it is none of them. */
static int find(const struct host_file *file, const struct foreign **found,
		struct image_error *err)
{
	unsigned char start[START_BYTES];
	size_t i;
	int ret;

	*found = NULL;
	ret = host_file_read(file, 0, start, sizeof(start), err);
	if (ret)
		return ret;
	for (i = 0; i < sizeof(foreign_files) / sizeof(foreign_files[0]); i++) {
		const struct foreign *f = &foreign_files[i];

		if (!memcmp(start + f->offset, f->magic, f->length)) {
			*found = f;
			return 0;
		}
	}
	*found = find_tar(start);
	return *found ? 0 : find_by_footer(file, found, err);
}

int foreign_refuse(const struct host_file *file, struct image_error *err)
{
	const struct foreign *found;
	int ret = find(file, &found, err);

	return ret || !found ? ret : refuse(file, found, err);
}

int foreign_describe(const struct host_file *file, char *what,
		     size_t what_bytes, struct image_error *err)
{
	const struct foreign *found;
	int ret = find(file, &found, err);

	if (ret || !found)
		return ret;
	snprintf(what, what_bytes, "%s%s%s",
		 found->kind == KIND_FORMAT ? "disk image (" :
		 found->kind == KIND_COMPRESSED ? "file compressed with " :
		 "file, ", found->name, found->kind == KIND_FORMAT ? ")" : "");
	return -EEXIST;
}
