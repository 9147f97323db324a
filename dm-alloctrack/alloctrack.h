/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_ALLOCTRACK_ALLOCTRACK_H
#define DM_ALLOCTRACK_ALLOCTRACK_H

/*
 * What the files of dm-alloctrack share.
 *
 * Two objects. A struct at_device stands for a mapped device: its allocation
 * bitmap, the I/O that waits for a user server, the server, the stream job. It
 * outlives a table reload. A struct at_table is one instance of the target, that
 * is one table line: the devices and features it names, and the workers. At
 * most one table of a device is active (between resume and postsuspend).
 *
 * Lock order: at_device.active_rwsem, then at_stream.mutex or a range lock, then
 * the spinlocks. No sleeping lock is taken under the registry mutex.
 *
 * While a table is active, blocks only go from unallocated to allocated. So
 * "allocated" can be acted on without a lock; "unallocated" is acted on under an
 * exclusive range lock, after testing the bit again.
 */

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/dm-alloctrack.h>

#include "dm-live/compat.h"
#include "dm-live/copier.h"

#define DM_MSG_PREFIX "alloctrack"

/* Streaming workers: the maximum number of requests that streaming has in flight. */
#define AT_STREAM_WORKERS	8

struct at_table;
struct dm_live_bitmap;
struct dm_live_range_lock;
struct dm_live_store;

/**
 * struct at_geometry - what two tables of one device must agree on
 * @volume_devt: the volume
 * @meta_devt: the metadata device, 0: none
 * @nr_sectors: size of the device
 * @block_shift: log2 of the sectors in a block
 * @nr_blocks: size of the device in blocks; the last may be short
 */
struct at_geometry {
	dev_t volume_devt;
	dev_t meta_devt;
	sector_t nr_sectors;
	unsigned int block_shift;
	u64 nr_blocks;
};

/**
 * struct at_faults - the I/O of a device that waits for the server
 * @lock: protects everything here, and at_device.server
 * @tree: faults by block range
 * @fresh: faults that have not been reported to the server, oldest first
 * @told: faults that have, oldest first
 * @count: number of faults
 * @refuse: with no server attached, fail instead of queueing (suspending)
 * @noflush: while suspending: requeue instead of failing
 */
struct at_faults {
	spinlock_t lock;	/* see above */
	struct rb_root_cached tree;
	struct list_head fresh;
	struct list_head told;
	unsigned int count;
	bool refuse;
	bool noflush;
	struct delayed_work timeout_work;
};

/**
 * struct at_stream - the stream job of a device
 * @mutex: serializes changes of @state
 * @state: enum dm_alloctrack_state; only set_state() in stream.c writes it
 * @on_error: enum dm_alloctrack_on_error
 * @lock: protects @position, @holes and the claims of the workers
 * @position: all blocks before it were streamed or found allocated
 * @holes: a range was skipped because of an error
 * @demand: a block that was recently read from the backing, or AT_NO_BLOCK
 */
struct at_stream {
	struct mutex mutex;	/* see above */
	enum dm_alloctrack_state state;
	enum dm_alloctrack_on_error on_error;
	struct dm_live_rate rate;
	spinlock_t lock;	/* see above */
	u64 position;
	bool holes;
	atomic64_t demand;
};

#define AT_NO_BLOCK	(-1LL)

/* May a failed flush have lost what was copied to the volume? See lost-writes.c. */
enum at_in_doubt {
	AT_NOT_IN_DOUBT,
	AT_IN_DOUBT,
	AT_NEVER_IN_DOUBT,	/* the device is complete */
};

struct at_device {
	struct kref ref;
	struct list_head link;		/* registry; registry mutex */
	unsigned int nr_tables;		/* registry mutex */
	unsigned int nr_user_tables;	/* with backing user; registry mutex */
	bool activated;			/* was resumed before; registry mutex */
	/*
	 * Registry mutex. The table that was activated last. When it is destroyed
	 * while the others are only loaded, something else may have written to
	 * the volume: then the device is stale.
	 */
	struct at_table *owner;
	bool stale;
	dev_t devt;
	char name[32];
	struct at_geometry geometry;

	struct dm_live_bitmap *bitmap;
	struct dm_live_range_lock *ranges;

	/* See lost-writes.c. */
	struct dm_live_bitmap *copied;	/* and not written by the guest since then */
	int in_doubt;	/* enum at_in_doubt */
	atomic_t nr_filling;
	atomic64_t nr_fills;
	atomic64_t nr_fills_flushed;

	/*
	 * Unallocated blocks of the volume are known to be zero. Set by the
	 * feature target_is_zero; cleared for good when a write to unallocated
	 * blocks fails, since what it left behind is unknown. See zero.c.
	 */
	bool volume_is_zero;
	/*
	 * A flush of the volume has failed, so zeros that are read may be in a cache
	 * that counts as clean, over other data: see zero.c. Set for good.
	 */
	bool volume_lost_writes;
	bool applied;	/* was active: the bitmap in memory is authoritative */
	bool lacks_bits;	/* the store was closed without all bits */
	u64 closing;	/* of the store, see dm_live_store_closing() */
	/*
	 * The error of a failed flush of the volume that the guest did not issue, or
	 * 0. A device may report lost data only once, so the guest's next flush
	 * fails with it. While a store is active, the store does this.
	 */
	int flush_error;

	/* Held for reading while filling through @active, for writing to change it. */
	struct rw_semaphore active_rwsem;
	struct at_table *active;
	bool gone;
	/* Woken for the server: faults, stream control, @active or @gone changed. */
	wait_queue_head_t wait;
	atomic_t control_sequence;
	void *server;

	struct at_faults faults;
	struct at_stream stream;
	atomic64_t streamed_bytes;
	atomic64_t read_errors;
	atomic64_t write_errors;
};

enum at_backing {
	AT_BACKING_NONE,
	AT_BACKING_DEVICE,
	AT_BACKING_USER,
};

struct at_stream_worker {
	struct delayed_work work;
	struct at_table *table;
	unsigned int index;
	u64 first;
	u64 nr;		/* 0: no claim; at_stream.lock */
};

struct at_table {
	struct dm_target *ti;
	struct at_device *device;
	struct at_device *parked;	/* kept alive after a refused resume */
	struct dm_dev *volume;
	enum at_backing backing;
	struct dm_dev *backing_dev;
	sector_t backing_sectors;	/* beyond its end, zeros are read */
	struct dm_dev *meta;		/* NULL: the bitmap is in memory only */
	struct dm_live_store *store;	/* with @meta */
	bool store_active;	/* preresume to postsuspend */
	bool store_failed;
	bool store_is_fresh;	/* was never used before */
	bool read_only;
	bool resumed;		/* was active before */

	/* features */
	bool auto_remove;
	bool copy_on_read;
	bool stream;
	bool target_is_zero;
	bool no_detect_zeroes;
	bool has_stream_speed;
	bool has_on_error;
	u64 stream_speed;
	enum dm_alloctrack_on_error on_error;
	unsigned int user_timeout_s;

	bool passthrough;	/* complete, and auto_remove */
	bool volume_lacks_write_zeroes;
	unsigned long guest_jiffies;	/* time of the last guest I/O */

	struct dm_live_copier *copier;
	/* With target_is_zero: buffers to read the volume to. See zero.c. */
	struct dm_live_copier *zero_checker;
	/* Work that may wait for range locks and I/O. */
	struct workqueue_struct *fill_wq;
	/* Work that submits bios that already hold a range lock: never waits for one. */
	struct workqueue_struct *submit_wq;
	spinlock_t deferred_lock;	/* protects deferred */
	struct bio_list deferred;
	struct work_struct deferred_work;
	struct work_struct complete_work;
	struct work_struct event_work;
	struct work_struct lost_writes_work;
	struct at_stream_worker workers[AT_STREAM_WORKERS];
};

#endif /* DM_ALLOCTRACK_ALLOCTRACK_H */
