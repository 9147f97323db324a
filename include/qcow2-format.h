/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QCOW2_FORMAT_H
#define QCOW2_FORMAT_H

/*
 * On-disk structures of the qcow2 image format, versions 2 and 3: shared by the
 * kernel modules, the tools and the tests. Nothing but layout and constants.
 *
 * All integers are big-endian. All offsets are in bytes from the start of the
 * file that holds the structure, unless said otherwise. Every structure is
 * naturally aligned: no padding, no packing. The specification is
 * docs/interop/qcow2.txt of QEMU.
 */

#include <linux/types.h>

#define QCOW2_MAGIC			0x514649fbU	/* "QFI\xfb" */

#define QCOW2_MIN_CLUSTER_BITS		9
#define QCOW2_MAX_CLUSTER_BITS		21	/* QEMU's limit */
#define QCOW2_MAX_REFCOUNT_ORDER	6

/* QEMU's limits; an image beyond one of them is refused by QEMU too. */
#define QCOW2_MAX_L1_BYTES		(32U << 20)
#define QCOW2_MAX_REFCOUNT_TABLE_BYTES	(8U << 20)
#define QCOW2_MAX_SNAPSHOTS		65536U
#define QCOW2_MAX_SNAPSHOT_EXTRA_BYTES	1024U
#define QCOW2_MAX_SNAPSHOT_TABLE_BYTES	(64U << 20)
#define QCOW2_MAX_BACKING_NAME_BYTES	1023U
#define QCOW2_MAX_BITMAPS		65535U
#define QCOW2_MAX_BITMAP_DIRECTORY_BYTES (64U << 20)
#define QCOW2_MAX_BITMAP_BYTES		(512U << 20)
#define QCOW2_MAX_BITMAP_TABLE_ENTRIES	0x8000000U
#define QCOW2_MAX_BITMAP_NAME_BYTES	1023U
#define QCOW2_MIN_BITMAP_GRANULARITY_BITS 9
#define QCOW2_MAX_BITMAP_GRANULARITY_BITS 31

/*
 * The header: 72 bytes in version 2, header_length bytes (at least 104) in
 * version 3. The header extensions follow it.
 */
struct qcow2_header {
	__be32 magic;
	__be32 version;
	__be64 backing_file_offset;	/* 0: no backing file */
	__be32 backing_file_size;	/* bytes of the name, no terminator */
	__be32 cluster_bits;
	__be64 size;			/* virtual size, bytes */
	__be32 crypt_method;
	__be32 l1_size;			/* entries */
	__be64 l1_table_offset;
	__be64 refcount_table_offset;
	__be32 refcount_table_clusters;
	__be32 nb_snapshots;
	__be64 snapshots_offset;

	/* version 3 */
	__be64 incompatible_features;
	__be64 compatible_features;
	__be64 autoclear_features;
	__be32 refcount_order;		/* 1 << order bits a refcount */
	__be32 header_length;

	/* present if header_length says so */
	__u8 compression_type;
	__u8 padding[7];
};

#define QCOW2_V2_HEADER_BYTES		72
#define QCOW2_V3_MIN_HEADER_BYTES	104

_Static_assert(sizeof(struct qcow2_header) == 112, "qcow2 header layout");

enum qcow2_crypt_method {
	QCOW2_CRYPT_NONE = 0,
	QCOW2_CRYPT_AES = 1,
	QCOW2_CRYPT_LUKS = 2,
};

enum qcow2_compression_type {
	QCOW2_COMPRESSION_ZLIB = 0,
	QCOW2_COMPRESSION_ZSTD = 1,
};

/* incompatible_features */
#define QCOW2_INCOMPAT_DIRTY		(1ULL << 0)
#define QCOW2_INCOMPAT_CORRUPT		(1ULL << 1)
#define QCOW2_INCOMPAT_DATA_FILE	(1ULL << 2)
#define QCOW2_INCOMPAT_COMPRESSION	(1ULL << 3)
#define QCOW2_INCOMPAT_EXTENDED_L2	(1ULL << 4)
#define QCOW2_INCOMPAT_KNOWN		0x1fULL

/* compatible_features */
#define QCOW2_COMPAT_LAZY_REFCOUNTS	(1ULL << 0)

/* autoclear_features */
#define QCOW2_AUTOCLEAR_BITMAPS		(1ULL << 0)
#define QCOW2_AUTOCLEAR_DATA_FILE_RAW	(1ULL << 1)
/* A program that changes the image clears those that it does not know. */
#define QCOW2_AUTOCLEAR_KNOWN		0x3ULL
/*
 * Set in the image of a backup of dmlive until somebody opens it for writing: not a
 * KNOWN one, since a program that changes such an image must not keep it.
 */
#define QCOW2_AUTOCLEAR_DMLIVE_BIT	48
#define QCOW2_AUTOCLEAR_DMLIVE_BACKUP	(1ULL << QCOW2_AUTOCLEAR_DMLIVE_BIT)
/*
 * A random number, not 0, that a target leaves in a bitmap store when it has closed it.
 * Whatever writes to the image clears it first, by the rule for bits that are not
 * known. So where it is found again, nothing was written since, and the image is not
 * another copy either. It is not a KNOWN one, since those are not cleared.
 */
#define QCOW2_AUTOCLEAR_CLOSING_SHIFT	16
#define QCOW2_AUTOCLEAR_CLOSING_BITS	32
#define QCOW2_AUTOCLEAR_CLOSING_MAX	((1ULL << QCOW2_AUTOCLEAR_CLOSING_BITS) - 1)

/* Header extension: this, then @length bytes, padded to a multiple of 8. */
struct qcow2_extension {
	__be32 type;
	__be32 length;
};

_Static_assert(sizeof(struct qcow2_extension) == 8, "extension layout");

#define QCOW2_EXT_END			0x00000000U
#define QCOW2_EXT_BACKING_FORMAT	0xe2792acaU
#define QCOW2_EXT_FEATURE_NAMES		0x6803f857U
#define QCOW2_EXT_BITMAPS		0x23852875U
#define QCOW2_EXT_CRYPTO_HEADER		0x0537be77U
#define QCOW2_EXT_DATA_FILE		0x44415441U

/* An entry of the feature name table. */
struct qcow2_feature_name {
	__u8 type;			/* enum qcow2_feature_type */
	__u8 bit;
	char name[46];			/* padded with zeros */
};

_Static_assert(sizeof(struct qcow2_feature_name) == 48, "feature name layout");

enum qcow2_feature_type {
	QCOW2_FEATURE_INCOMPATIBLE = 0,
	QCOW2_FEATURE_COMPATIBLE = 1,
	QCOW2_FEATURE_AUTOCLEAR = 2,
};

/*
 * L1 entry: where an L2 table lies. COPIED says that its refcount is exactly
 * one; it is only kept up to date in the active L1 table.
 */
#define QCOW2_L1E_OFFSET_MASK		0x00fffffffffffe00ULL
#define QCOW2_L1E_RESERVED_MASK		0x7f000000000001ffULL
#define QCOW2_OFLAG_COPIED		(1ULL << 63)

/*
 * L2 entry, standard cluster. ZERO exists in version 3 without extended L2
 * entries only.
 */
#define QCOW2_L2E_OFFSET_MASK		0x00fffffffffffe00ULL
#define QCOW2_L2E_RESERVED_MASK		0x3f000000000001feULL
#define QCOW2_OFLAG_COMPRESSED		(1ULL << 62)
#define QCOW2_OFLAG_ZERO		(1ULL << 0)

/*
 * L2 entry, compressed cluster: bits 0 to shift - 1 are the offset of its first
 * byte, the bits from there to 61 the number of 512-byte sectors that it
 * reaches beyond the sector of that byte.
 */
#define QCOW2_COMPRESSED_SHIFT(cluster_bits)	(62 - ((cluster_bits) - 8))
#define QCOW2_COMPRESSED_SECTOR_BYTES		512
/* Bits of the offset field that must be clear however wide the field is. */
#define QCOW2_COMPRESSED_OFFSET_LIMIT		(1ULL << 56)

/*
 * Extended L2 entry: the descriptor above and then this bitmap, of 32
 * subclusters: bit x "allocated", bit 32 + x "reads as zeros".
 */
#define QCOW2_SUBCLUSTERS		32
#define QCOW2_EXTENDED_L2_MIN_CLUSTER_BITS 14

struct qcow2_extended_l2_entry {
	__be64 descriptor;
	__be64 bitmap;
};

_Static_assert(sizeof(struct qcow2_extended_l2_entry) == 16, "L2 entry layout");

/* Refcount table entry: where a refcount block lies, 0: nowhere. */
#define QCOW2_REFTABLE_OFFSET_MASK	0xfffffffffffffe00ULL
#define QCOW2_REFTABLE_RESERVED_MASK	0x00000000000001ffULL

/*
 * Entry of the snapshot table: this, extra data, the id, the name; padded to a
 * multiple of 8.
 */
struct qcow2_snapshot_entry {
	__be64 l1_table_offset;
	__be32 l1_size;			/* entries */
	__be16 id_size;			/* bytes, no terminator */
	__be16 name_size;		/* bytes, no terminator */
	__be32 date_sec;
	__be32 date_nsec;
	__be64 vm_clock_nsec;
	__be32 vm_state_size;		/* bytes; the extra data's counts more */
	__be32 extra_data_size;
};

_Static_assert(sizeof(struct qcow2_snapshot_entry) == 40, "snapshot layout");

/* Extra data of a snapshot, as far as extra_data_size reaches. */
struct qcow2_snapshot_extra {
	__be64 vm_state_size;
	__be64 disk_size;		/* virtual size, bytes */
	__be64 icount;
};

_Static_assert(sizeof(struct qcow2_snapshot_extra) == 24, "extra data layout");

/* Payload of the bitmaps header extension. */
struct qcow2_bitmaps_extension {
	__be32 nb_bitmaps;
	__be32 reserved;
	__be64 bitmap_directory_size;	/* bytes */
	__be64 bitmap_directory_offset;
};

_Static_assert(sizeof(struct qcow2_bitmaps_extension) == 24, "bitmaps layout");

/*
 * Entry of the bitmap directory: this, extra data, the name; padded with zeros
 * to a multiple of 8.
 */
struct qcow2_bitmap_entry {
	__be64 bitmap_table_offset;
	__be32 bitmap_table_size;	/* entries */
	__be32 flags;
	__u8 type;
	__u8 granularity_bits;
	__be16 name_size;		/* bytes, no terminator */
	__be32 extra_data_size;
};

_Static_assert(sizeof(struct qcow2_bitmap_entry) == 24, "bitmap entry layout");

#define QCOW2_BITMAP_TYPE_DIRTY		1

#define QCOW2_BITMAP_IN_USE		(1U << 0)
#define QCOW2_BITMAP_AUTO		(1U << 1)
#define QCOW2_BITMAP_EXTRA_COMPATIBLE	(1U << 2)
#define QCOW2_BITMAP_RESERVED_FLAGS	(~7U)

/*
 * Bitmap table entry: where a cluster of bits lies; with an offset of 0 the
 * bits are all clear, or all set if ALL_ONES is.
 */
#define QCOW2_BITMAP_TABLE_OFFSET_MASK	0x00fffffffffffe00ULL
#define QCOW2_BITMAP_TABLE_RESERVED_MASK 0xff000000000001feULL
#define QCOW2_BITMAP_TABLE_ALL_ONES	(1ULL << 0)

/*
 * Header extension of dmlive: marks an image as a bitmap store whose bitmap
 * clusters are all allocated. See Documentation/bitmap-format.rst.
 */
#define QCOW2_EXT_DMLIVE_STATE		0x646d6c76U	/* "dmlv" */

struct qcow2_dmlive_state {
	__be32 version;			/* QCOW2_DMLIVE_STATE_VERSION */
	__be32 flags;			/* QCOW2_DMLIVE_* */
};

_Static_assert(sizeof(struct qcow2_dmlive_state) == 8, "state layout");

/*
 * Header extension of dmlive: what is being restored, as JSON text; see
 * Documentation/bitmap-format.rst.
 */
#define QCOW2_EXT_DMLIVE_RESTORE	0x646d6c72U	/* "dmlr" */

/*
 * Header extension of dmlive: which bitmap a backup belongs to, as JSON text; see
 * Documentation/bitmap-format.rst.
 */
#define QCOW2_EXT_DMLIVE_BACKUP		0x646d6c62U	/* "dmlb" */

/*
 * Header extension of dmlive: the image that the tracked device was restored from, as
 * JSON text; see Documentation/bitmap-format.rst.
 */
#define QCOW2_EXT_DMLIVE_ORIGIN		0x646d6c6fU	/* "dmlo" */

/* Header extension of dmlive: nothing; the place of one that was removed. */
#define QCOW2_EXT_DMLIVE_FREE		0x646d6c70U	/* "dmlp" */

/* The most bitmaps in a store. More would take long to check, and are not needed. */
#define QCOW2_DMLIVE_MAX_BITMAPS	1024U

/*
 * At most so many entries in all tables, which are kept in memory. Before tables are
 * compared they may claim to be at the same place, so the size of the device is not a
 * limit.
 */
#define QCOW2_DMLIVE_MAX_TABLE_ENTRIES	33554432U

#define QCOW2_DMLIVE_STATE_VERSION	1
/* The autoclear bit is clear because the directory is being rewritten. */
#define QCOW2_DMLIVE_UPDATING		(1U << 0)
/* The store was in use at least once. */
#define QCOW2_DMLIVE_USED		(1U << 1)
/*
 * A target records changes in bitmaps of the store; together with IN_USE: it was
 * not closed, and the intent bitmap says where bits may be missing.
 */
#define QCOW2_DMLIVE_TRACKING		(1U << 2)
#define QCOW2_DMLIVE_RESERVED_FLAGS	(~7U)

/*
 * Names of bitmaps that belong to no user: all that begin with "dmlive-". The intent
 * bitmap has a bit for each region that is or was written to. Those that begin with
 * the prefix for spares are places for future bitmaps. None of them is AUTO.
 */
#define QCOW2_DMLIVE_RESERVED_PREFIX	"dmlive-"
#define QCOW2_DMLIVE_INTENT_NAME	"dmlive-intent"
#define QCOW2_DMLIVE_INTENT_BITS	24	/* default granularity: 16 MiB */
#define QCOW2_DMLIVE_SPARE_PREFIX	"dmlive-spare-"

/*
 * Header extension of dmlive: which backup each bitmap belongs to. Padding, then this
 * sector, at a multiple of 512 bytes of the image, written whole. It counts only when
 * the state extension is the first one and ends within the first 512 bytes: QEMU puts
 * it elsewhere when it writes to the image.
 */
#define QCOW2_EXT_DMLIVE_GENERATIONS	0x646d6c67U	/* "dmlg" */
#define QCOW2_DMLIVE_GENERATIONS_VERSION 1
#define QCOW2_DMLIVE_MAX_GENERATIONS	29
#define QCOW2_DMLIVE_GENERATIONS_BYTES	QCOW2_DMLIVE_SECTOR_BYTES
#define QCOW2_DMLIVE_UUID_BYTES		16
#define QCOW2_DMLIVE_SECTOR_BYTES	512

struct qcow2_dmlive_generation {
	__be64 name_hash;		/* FNV-1a, 64 bits, of the name */
	__be64 generation;		/* not 0 */
};

struct qcow2_dmlive_generations {
	__be32 magic;			/* QCOW2_EXT_DMLIVE_GENERATIONS */
	__be32 version;
	__u8 store_uuid[QCOW2_DMLIVE_UUID_BYTES];
	__be32 nr;
	__be32 reserved;
	struct qcow2_dmlive_generation entries[QCOW2_DMLIVE_MAX_GENERATIONS];
	__u8 padding[12];
	__be32 crc32c;			/* of all before */
};

_Static_assert(sizeof(struct qcow2_dmlive_generations) ==
	       QCOW2_DMLIVE_GENERATIONS_BYTES, "generations layout");

/*
 * Header extension of dmlive: what the tracked device looked like when the store was
 * closed. Placed as the generations are, with the same condition. No content of it is
 * an error: where it is missing, damaged or not SEALED, changes may not have been
 * tracked.
 */
#define QCOW2_EXT_DMLIVE_SEAL		0x646d6c73U	/* "dmls" */
#define QCOW2_DMLIVE_SEAL_VERSION	1
#define QCOW2_DMLIVE_SEAL_BYTES		QCOW2_DMLIVE_SECTOR_BYTES
#define QCOW2_DMLIVE_DIGEST_BYTES	32
#define QCOW2_DMLIVE_IDENTITY_BYTES	240

/* The store was closed cleanly, and what the seal says was true then. */
#define QCOW2_DMLIVE_SEAL_SEALED	(1U << 0)
/* The digest was made of the volume as it was when the store was closed. */
#define QCOW2_DMLIVE_SEAL_DIGEST	(1U << 1)
/* For information: somebody said that the store was to be trusted (--trust-store). */
#define QCOW2_DMLIVE_SEAL_TRUSTED	(1U << 2)
/*
 * Changes were not tracked, for the reason in the gap fields: so all blocks count as
 * changed, even if the bitmaps are in use. Cleared once they are durable as such.
 */
#define QCOW2_DMLIVE_SEAL_GAP		(1U << 3)
#define QCOW2_DMLIVE_SEAL_RESERVED_FLAGS (~15U)

/* As a count of sectors: the device does not count. */
#define QCOW2_DMLIVE_SEAL_UNCOUNTED	(~0ULL)

/* Why changes may not have been tracked; qcow2_seal_reason() has the words. */
enum qcow2_dmlive_gap {
	QCOW2_DMLIVE_GAP_NONE = 0,
	QCOW2_DMLIVE_GAP_UNSEALED = 1,	/* no seal, although it was closed */
	QCOW2_DMLIVE_GAP_DAMAGED = 2,	/* the sector is damaged */
	QCOW2_DMLIVE_GAP_RESTARTED = 3,	/* sealed by another load of the module */
	QCOW2_DMLIVE_GAP_OTHER_DEVICE = 4,	/* the origin is another device */
	QCOW2_DMLIVE_GAP_WRITTEN = 5,	/* written to after the close */
	QCOW2_DMLIVE_GAP_BYPASS = 6,	/* written to past the target, in use */
	QCOW2_DMLIVE_GAP_UNCOUNTED = 7,	/* no device counts what is written */
	QCOW2_DMLIVE_GAP_OTHER_VOLUME = 8,	/* bound to another one by force */
	QCOW2_DMLIVE_GAP_VOIDED = 9,	/* dmlive has overwritten the volume */
	QCOW2_DMLIVE_GAP_CRASH = 10,	/* not closed, and written to since */
	QCOW2_DMLIVE_NR_GAPS
};

/*
 * A block device: the number of its disk (diskseq), which no other has until the next
 * boot, that of the partition (0: the whole disk), and the sectors of 512 bytes that
 * were written and discarded since the device appeared, both UNCOUNTED if it does not
 * count them.
 */
struct qcow2_dmlive_seal_device {
	__be64 seq;
	__be64 written;
	__be64 discarded;
	__be32 partition;
	__be32 reserved;
};

struct qcow2_dmlive_seal {
	__be32 magic;			/* QCOW2_EXT_DMLIVE_SEAL */
	__be32 version;
	__be32 flags;			/* QCOW2_DMLIVE_SEAL_* */
	__be32 gap_reason;		/* enum qcow2_dmlive_gap, of the last gap */
	__u8 instance[QCOW2_DMLIVE_UUID_BYTES];	/* of the module's load */
	struct qcow2_dmlive_seal_device origin;
	struct qcow2_dmlive_seal_device device;	/* the mapped one */
	__be64 time;			/* of the close; all in seconds since 1970 */
	__be64 gap_from;
	__be64 gap_to;
	__u8 digest[QCOW2_DMLIVE_DIGEST_BYTES];
	char identity[QCOW2_DMLIVE_IDENTITY_BYTES];	/* padded with zeros */
	__u8 padding[116];
	__be32 crc32c;			/* of all before */
};

_Static_assert(sizeof(struct qcow2_dmlive_seal) == QCOW2_DMLIVE_SEAL_BYTES,
	       "seal layout");

#endif /* QCOW2_FORMAT_H */
