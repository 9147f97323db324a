/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FUZZ_KERNEL_SHIM_H
#define FUZZ_KERNEL_SHIM_H

/*
 * The parts of the kernel that the text parsers of the targets need, in user space: it
 * replaces each kernel header that they include (see Makefile). On top of
 * dm-live/core/shim-user.h; names and semantics are the kernel's. Functions for I/O are
 * only declared.
 */

#include <stdarg.h>
#include <stdio.h>
#include <sys/types.h>

#include "dm-live/core/shim.h"

#define HZ			250
#define SECTOR_SHIFT		9
#define BIT(nr)			(1UL << (nr))
#define __rcu
#define DIV_ROUND_UP_ULL(a, b)	(((a) + (b) - 1) / (b))
#define IS_ERR(pointer)		((uintptr_t)(pointer) >= (uintptr_t)-4095)
#define PTR_ERR(pointer)	((long)(pointer))
#define ERR_PTR(error)		((void *)(long)(error))
#define smp_wmb()		smp_mb()	/* partners stand at its users */
#define cond_resched()		((void)0)
#define synchronize_rcu()	((void)0)
#define lockdep_assert_held(lock)	shim_assert_held(lock)

typedef u64 sector_t;
typedef u8 blk_status_t;
typedef u32 blk_opf_t;
typedef unsigned int blk_mode_t;

#define BLK_OPEN_READ	1u
#define BLK_OPEN_WRITE	2u

static inline int blk_status_to_errno(blk_status_t status)
{
	return status ? -EIO : 0;
}

static inline unsigned int ilog2(unsigned long n)
{
	return BITS_PER_LONG - 1 - __builtin_clzl(n);
}

/* Objects that only need a size. */
struct kref { int nothing; };
struct work_struct { int nothing; };
struct delayed_work { struct work_struct work; };
struct rw_semaphore { int nothing; };
struct shim_wait_queue { int nothing; };
#define wait_queue_head_t struct shim_wait_queue
struct shim_atomic { int counter; };
#define atomic_t struct shim_atomic
struct bio;
struct bio_list { struct bio *head, *tail; };
struct file;
struct page;
struct workqueue_struct;

/* Locks and unlocks must be balanced: shim_mutexes is the number of held mutexes. */
struct mutex { bool held; };
extern int shim_mutexes;
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

static inline void shim_assert_held(const struct mutex *mutex)
{
	if (!mutex->held)
		abort();
}

/* shim_noio is the depth. */
extern int shim_noio;
unsigned int memalloc_noio_save(void);
void memalloc_noio_restore(unsigned int flags);

char *kstrdup(const char *text, int flags);
int kstrtou64(const char *text, unsigned int base, u64 *result);
int kstrtouint(const char *text, unsigned int base, unsigned int *result);
int match_string(const char *const *names, size_t nr, const char *name);

/* Block devices. */
struct gendisk {
	const void *fops;
};

struct request_queue;

struct block_device {
	struct gendisk *bd_disk;
	u64 nr_sectors;
	unsigned int logical_block_size;
	bool is_zoned;
	bool is_read_only;
	dev_t bd_dev;
};

static inline unsigned int bdev_partno(const struct block_device *bdev)
{
	(void)bdev;
	return 0;
}

static inline struct request_queue *bdev_get_queue(const struct block_device *bdev)
{
	(void)bdev;
	return NULL;
}

static inline bool blk_queue_io_stat(const struct request_queue *queue)
{
	(void)queue;
	return true;
}

static inline sector_t bdev_nr_sectors(const struct block_device *bdev)
{
	return bdev->nr_sectors;
}

static inline unsigned int bdev_logical_block_size(const struct block_device *bdev)
{
	return bdev->logical_block_size;
}

static inline bool bdev_is_zoned(const struct block_device *bdev)
{
	return bdev->is_zoned;
}

static inline bool bdev_read_only(const struct block_device *bdev)
{
	return bdev->is_read_only;
}

struct queue_limits {
	unsigned int discard_granularity;
	unsigned int max_hw_discard_sectors;
};

int dm_devt_from_path(const char *path, dev_t *devt);
struct file *bdev_file_open_by_dev(dev_t devt, blk_mode_t mode, void *holder,
				   const void *ops);
struct block_device *file_bdev(struct file *file);
void bdev_fput(struct file *file);

/* Device mapper. */
struct dm_dev {
	struct block_device *bdev;
	blk_mode_t mode;
	char name[16];
};

#define FAKE_DEVICES	6

struct dm_table {
	blk_mode_t mode;
	struct dm_dev *devices[FAKE_DEVICES];
	unsigned int nr_open[FAKE_DEVICES];
};

struct dm_target {
	struct dm_table *table;
	sector_t len;
	char *error;
	void *private;
};

struct target_type;

struct dm_arg_set {
	unsigned int argc;
	char **argv;
};

const char *dm_shift_arg(struct dm_arg_set *args);
int dm_get_device(struct dm_target *ti, const char *path, blk_mode_t mode,
		  struct dm_dev **result);
blk_mode_t dm_table_get_mode(struct dm_table *table);
const char *dm_table_device_name(struct dm_table *table);

int scnprintf(char *text, size_t bytes, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
#define DMEMIT(...) \
	(sz += sz >= maxlen ? 0 : scnprintf(result + sz, maxlen - sz, __VA_ARGS__))

/* Reads all of its arguments, as the kernel's function does. */
void shim_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define DMERR(...)	shim_log(DM_MSG_PREFIX ": " __VA_ARGS__)

/* Not of the kernel. The targets: an odd number of sectors, so that the last block is short. */
#define FAKE_SECTORS	20479ull

/**
 * enum fake_option - unusual conditions, as bits
 * @FAKE_SMALL: the devices are smaller than the target
 * @FAKE_LARGE_BLOCKS: their logical blocks have 4096 bytes
 * @FAKE_ZONED: all are zoned
 * @FAKE_READ_ONLY: the table and the devices are read-only
 * @FAKE_BAD_META: nothing can be written to the metadata device
 * @FAKE_NO_MEMORY: there is no memory for a message
 */
enum fake_option {
	FAKE_SMALL = 1,
	FAKE_LARGE_BLOCKS = 2,
	FAKE_ZONED = 4,
	FAKE_READ_ONLY = 8,
	FAKE_BAD_META = 16,
	FAKE_NO_MEMORY = 32,
};

/** fake_begin - reset everything. @options: of enum fake_option */
void fake_begin(unsigned int options);

extern unsigned int fake_options;

/**
 * fake_check_open - abort unless exactly these are open
 * @devices: as dm_get_device() gave them, or NULL
 */
void fake_check_open(const struct dm_table *table, struct dm_dev *const *devices,
		     unsigned int nr);

/** fake_end - close the devices of the table */
void fake_end(struct dm_table *table);

#endif /* FUZZ_KERNEL_SHIM_H */
