/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_COMPAT_H
#define DM_LIVE_COMPAT_H

/*
 * Differences between kernel versions, each named by what is missing. No other
 * file asks for a version.
 */

#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/version.h>

/* blk_mode_t and BLK_OPEN_* came with 05bdb9965305 ("block: replace fmode_t") */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
typedef fmode_t blk_mode_t;
#define BLK_OPEN_READ	FMODE_READ
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

/*
 * Device mapper stacks max_hw_discard_sectors alone since 4f563a64732d ("block:
 * add a max_user_discard_sectors queue limit"); before, both were stacked.
 */
static inline void dm_live_limits_set_discard(struct queue_limits *limits,
					      unsigned int granularity_bytes,
					      unsigned int max_sectors)
{
	limits->discard_granularity = granularity_bytes;
	limits->max_hw_discard_sectors = max_sectors;
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
	limits->max_discard_sectors = max_sectors;
#endif
}

/* bdev_partno() came with 1116b9fa15c0 ("bdev: infrastructure for flags") */
static inline unsigned int dm_live_bdev_partno(const struct block_device *bdev)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return bdev->bd_partno;
#else
	return bdev_partno(bdev);
#endif
}

/*
 * Without DM_IO_BLK_STAT, device mapper counts the sectors that are written, whatever
 * the queue of a mapped device says.
 */
static inline bool dm_live_mapped_always_counts(void)
{
	return LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0);
}

/*
 * Are sectors that are written to the device counted?
 * @mapped: a mapped device, to recognize others by
 */
static inline bool dm_live_bdev_counts(struct block_device *bdev,
				       const struct gendisk *mapped)
{
	if (dm_live_mapped_always_counts() &&
	    bdev->bd_disk->fops == mapped->fops)
		return true;
	return blk_queue_io_stat(bdev_get_queue(bdev));
}

/*
 * A block device that is open for reading, even if others have claimed it; for
 * kernels without bdev_file_open_by_dev(), f3a608827d1f ("bdev: open block device as
 * files"), and dm_devt_from_path(), fb9cdc3c3ae7.
 */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 9, 0)
struct dm_live_bdev {
	struct block_device *bdev;
};

static inline int dm_live_bdev_open(struct dm_live_bdev *open, const char *path)
{
	dev_t devt = dm_get_dev_t(path);

	if (!devt)
		return -ENODEV;
	open->bdev = blkdev_get_by_dev(devt, BLK_OPEN_READ, NULL);
	return PTR_ERR_OR_ZERO(open->bdev);
}

static inline void dm_live_bdev_close(struct dm_live_bdev *open)
{
	blkdev_put(open->bdev, BLK_OPEN_READ);
}
#else
struct dm_live_bdev {
	struct block_device *bdev;
	struct file *file;
};

static inline int dm_live_bdev_open(struct dm_live_bdev *open, const char *path)
{
	dev_t devt;
	int r = dm_devt_from_path(path, &devt);

	if (r)
		return r;
	open->file = bdev_file_open_by_dev(devt, BLK_OPEN_READ, NULL, NULL);
	if (IS_ERR(open->file))
		return PTR_ERR(open->file);
	open->bdev = file_bdev(open->file);
	return 0;
}

static inline void dm_live_bdev_close(struct dm_live_bdev *open)
{
	bdev_fput(open->file);
}
#endif

#endif /* DM_LIVE_COMPAT_H */
