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
 * the spinlocks. The registry mutex is not held while another lock that sleeps is
 * taken.
 *
 * Blocks only ever go from unallocated to allocated. So "allocated" needs no
 * lock to act on, and "unallocated" is acted on under an exclusive range lock
 * with the bit tested again.
 */

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/dm-alloctrack.h>

#include "dm-live/bitmap.h"
#include "dm-live/compat.h"
#include "dm-live/copier.h"
#include "dm-live/range-lock.h"
#include "dm-live/store.h"

#define DM_MSG_PREFIX "alloctrack"

/* Name of the allocation bitmap in the metadata device. */
#define AT_BITMAP_NAME		"alloctrack"

/* Bytes that one fill moves, unless a block is larger. */
#define AT_FILL_BYTES		1048576u

/* Streaming workers, the most requests that streaming has in flight. */
#define AT_STREAM_WORKERS	8

/* Blocks that one waiting read covers: one bit each in at_fault.want. */
#define AT_FAULT_BLOCKS		64

struct at_table;

/**
 * struct at_geometry - what two tables of one device must agree on
 * @file_devt: the target volume
 * @meta_devt: the metadata device, 0: none
 * @nr_sectors: size of the device
 * @block_shift: log2 of the sectors in a block
 * @nr_blocks: size of the device in blocks; the last may be short
 */
struct at_geometry {
	dev_t file_devt;
	dev_t meta_devt;
	sector_t nr_sectors;
	unsigned int block_shift;
	u64 nr_blocks;
};

/**
 * struct at_fault - guest I/O that waits for blocks from a user server
 *
 * All members are protected by at_faults.lock. A read holds the set of blocks
 * that it still wants and is completed from arriving data. A write waits for
 * its only, partly covered block to become allocated and is sent to the file
 * then. @users counts who copies into the bio right now without the lock.
 */
struct at_fault {
	struct rb_node rb;
	u64 first;
	u64 last;
	u64 subtree_last;
	struct list_head link;
	unsigned long queued_jiffies;
	u64 want;
	unsigned int users;
	bool ended;
	blk_status_t status;
};

/**
 * struct at_faults - all I/O of a device that waits for the server
 * @lock: protects everything here, and at_device.server
 * @tree: faults by block range
 * @fresh: faults that the server was not told, oldest first
 * @told: faults that it was told, oldest first
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
 * @state: enum dm_alloctrack_state; only at_stream_set_state() writes it
 * @on_error: enum dm_alloctrack_on_error
 * @lock: protects @position, @holes and the claims of the workers
 * @position: blocks before it were streamed or found allocated
 * @holes: a range was passed over because of an error
 * @demand: a block that was read from the backing lately, or AT_NO_BLOCK
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

/* Is what was copied to the file lost? See doubt.c. */
enum at_doubt {
	AT_DOUBT_NONE,
	AT_DOUBTFUL,	/* perhaps */
	AT_DOUBT_OVER,	/* no, and it cannot be: the device is complete */
};

struct at_device {
	struct kref ref;
	struct list_head link;		/* registry; registry mutex */
	unsigned int nr_tables;		/* registry mutex */
	unsigned int nr_user_tables;	/* with backing user; registry mutex */
	bool activated;			/* was resumed once; registry mutex */
	/*
	 * Registry mutex. The table that was activated last; when it goes, and
	 * others were only loaded, something else may have written the file.
	 */
	struct at_table *owner;
	bool stale;
	dev_t devt;
	char name[32];
	struct at_geometry geometry;

	struct dm_live_bitmap *bitmap;
	struct dm_live_range_lock *ranges;

	/* See doubt.c. */
	struct dm_live_bitmap *copied;	/* and not written by the guest since */
	int doubt;	/* enum at_doubt */
	atomic_t nr_filling;
	atomic64_t nr_fills;
	atomic64_t nr_fills_flushed;

	/*
	 * Unallocated blocks of the file are known to be zero. Set by the
	 * feature target_is_zero, lost for good when a write to unallocated
	 * blocks fails, since nobody knows what it left behind.
	 */
	bool file_is_zero;
	bool applied;	/* was active: the bitmap in memory is the truth */
	bool lacks_bits;	/* its metadata were closed without all bits */
	u64 closing;	/* of its metadata, see dm_live_store_closing() */
	/*
	 * A flush of the file that the guest did not ask for has failed, or 0. The
	 * file may tell of lost data once only: the next flush of the guest fails.
	 * While a store is active, it does that.
	 */
	int flush_error;

	/* Read: somebody fills through @active. Write: @active changes. */
	struct rw_semaphore active_rwsem;
	struct at_table *active;
	bool gone;
	/* For server ioctls: faults, stream control, @active, @gone changed. */
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
	struct dm_dev *file;
	enum at_backing backing;
	struct dm_dev *backing_dev;
	sector_t backing_sectors;	/* what lies past it reads as zeros */
	struct dm_dev *meta;		/* NULL: the bitmap is in memory only */
	struct dm_live_store *store;	/* with @meta */
	bool store_active;	/* preresume to postsuspend */
	bool store_failed;
	bool store_is_fresh;	/* was never in use before */
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
	bool file_lacks_write_zeroes;
	unsigned long guest_jiffies;	/* when guest I/O was seen last */

	struct dm_live_copier *copier;
	/* Work that may wait for range locks and I/O. */
	struct workqueue_struct *fill_wq;
	/* Work that submits bios which hold a lock already: waits for no lock. */
	struct workqueue_struct *submit_wq;
	spinlock_t deferred_lock;	/* protects deferred */
	struct bio_list deferred;
	struct work_struct deferred_work;
	struct work_struct complete_work;
	struct work_struct event_work;
	struct work_struct doubt_work;
	struct at_stream_worker workers[AT_STREAM_WORKERS];
};

enum at_io_kind {
	AT_IO_PLAIN,	/* nothing to do when it ends */
	AT_IO_FLUSH,	/* of the file; first: at_doubt_mark() */
	AT_IO_WRITE,	/* covers whole blocks, holds their range lock */
};

/* Data of each bio. */
struct at_io {
	struct at_table *table;
	enum at_io_kind kind;
	bool fua;	/* to be committed before it is reported */
	bool flushes;	/* if it fails, a flush of the file may have failed */
	u64 flushed;	/* with flushes: at_doubt_mark_flushed() */
	u64 first;
	u64 nr;
	union {
		struct dm_live_range range;	/* AT_IO_WRITE */
		struct at_fault fault;		/* waiting for the server */
		struct work_struct work;	/* waiting for a worker */
		struct dm_live_commit commit;	/* waiting for a commit */
	};
};

static inline sector_t at_block_to_sector(const struct at_device *device,
					  u64 block)
{
	return block << device->geometry.block_shift;
}

static inline u64 at_sector_to_block(const struct at_device *device,
				     sector_t sector)
{
	return sector >> device->geometry.block_shift;
}

static inline sector_t at_block_sectors(const struct at_device *device)
{
	return (sector_t)1 << device->geometry.block_shift;
}

static inline bool at_all_allocated(const struct at_device *device, u64 first,
				    u64 end)
{
	return dm_live_bitmap_next_clear(device->bitmap, first, end) == end;
}

/* Where the blocks up to and without @end end: the last block may be short. */
static inline sector_t at_end_sector(const struct at_device *device, u64 end)
{
	return min(at_block_to_sector(device, end),
		   device->geometry.nr_sectors);
}

/* Sectors in @nr blocks from @first. */
static inline sector_t at_range_sectors(const struct at_device *device,
					u64 first, u64 nr)
{
	return at_end_sector(device, first + nr) -
	       at_block_to_sector(device, first);
}

/* @changed of the @nr blocks from @first became allocated by streaming. */
static inline void at_count_streamed(struct at_device *device, u64 first,
				     u64 nr, u64 changed)
{
	sector_t nr_sectors = changed == nr ?
			      at_range_sectors(device, first, nr) :
			      changed * at_block_sectors(device);

	atomic64_add((u64)nr_sectors << SECTOR_SHIFT, &device->streamed_bytes);
}

/* Blocks that one fill covers at the most, at least 1. */
static inline u64 at_fill_blocks(const struct at_device *device)
{
	u64 nr = at_sector_to_block(device, AT_FILL_BYTES >> SECTOR_SHIFT);

	return max_t(u64, nr, 1);
}

/* device.c: the registry of devices, and allocation */

/**
 * at_device_get - the device that a new table shall use
 * @table: the new table; its backing is known
 * @geometry: what its table line says
 *
 * Finds the device of the active table, or makes a new one. A table that does
 * not agree with the active one on the geometry is refused: what is allocated
 * would be forgotten. Sets ti->error.
 *
 * Context: may sleep. Return: the device, or an ERR_PTR.
 */
struct at_device *at_device_get(struct at_table *table,
				const struct at_geometry *geometry);

/** at_device_put_table - @table no longer uses @device */
void at_device_put_table(struct at_device *device, struct at_table *table);

/**
 * at_device_activate - the table becomes the active one (preresume)
 * Return: 0, -EBUSY when another device of that number has taken over, or
 * -ESTALE when a table of another target was active in between. Logs why.
 */
int at_device_activate(struct at_table *table);

/** at_device_abandon - the resume failed after at_device_activate() */
void at_device_abandon(struct at_table *table);

/** at_device_find - a reference to the device of this number, or NULL */
struct at_device *at_device_find(dev_t devt);

/** at_device_put - drop a reference from at_device_find() */
void at_device_put(struct at_device *device);

/** at_device_has_user_table - does an active or loaded table want a server? */
bool at_device_has_user_table(struct at_device *device);

/** at_device_set_active - let fills in through @table; NULL: wait them out */
void at_device_set_active(struct at_device *device, struct at_table *table);

/**
 * at_set_allocated - blocks are on the file now
 *
 * To be called after the write of all of the @nr blocks from @first succeeded.
 * Context: any. Return: how many were not allocated before.
 */
u64 at_set_allocated(struct at_table *table, u64 first, u64 nr);

/** at_device_is_full - are all blocks allocated? */
bool at_device_is_full(const struct at_device *device);

/* table.c: the table line */

/** at_table_parse - read the arguments; sets ti->error. See the grammar there. */
int at_table_parse(struct at_table *table, unsigned int argc, char **argv);

/**
 * at_table_emit - write the arguments
 * @sz: bytes of @result that are used already
 * Return: bytes used then; at_table_emit_features() writes only the features.
 */
unsigned int at_table_emit(const struct at_table *table, unsigned int sz,
			   char *result, unsigned int maxlen);
unsigned int at_table_emit_features(const struct at_table *table,
				    unsigned int sz, char *result,
				    unsigned int maxlen);

/* target.c */

int at_target_init(void);
void at_target_exit(void);

/** at_raise_event - raise a device-mapper event, soon. Any context. */
void at_raise_event(struct at_table *table);

/* message.c */

int at_message(struct dm_target *ti, unsigned int argc, char **argv,
	       char *result, unsigned int maxlen);

/* names.c */

const char *at_stream_state_name(enum dm_alloctrack_state state);
const char *at_on_error_name(enum dm_alloctrack_on_error on_error);
/** at_parse_on_error - 0, or -EINVAL when there is no such policy */
int at_parse_on_error(const char *name, enum dm_alloctrack_on_error *on_error);

/* io.c: the map path */

int at_map(struct dm_target *ti, struct bio *bio);
int at_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);
void at_deferred_work(struct work_struct *work);

/** at_submit_to_file - send a bio of the guest to the file, from a worker */
void at_submit_to_file(struct at_table *table, struct bio *bio);

/** at_defer - have a worker send a bio to the file. Any context. */
void at_defer(struct at_table *table, struct bio *bio);

/* metadata.c: the metadata device of a table */

/**
 * at_meta_open - open the store and check that it fits; nothing is written
 * Sets ti->error. May sleep.
 */
int at_meta_open(struct at_table *table, unsigned int block_shift);

/** at_meta_activate - load the bitmap and keep it durable (preresume) */
int at_meta_activate(struct at_table *table);

/** at_meta_deactivate - last commit (postsuspend) */
void at_meta_deactivate(struct at_table *table);

/**
 * at_meta_flush - make the file, and the bits of what is on it, durable
 * Context: may sleep. Return: 0 or a negative errno.
 */
int at_meta_flush(struct at_table *table);

/** at_meta_failed - can no further block become allocated durably? Any context. */
static inline bool at_meta_failed(const struct at_table *table)
{
	return READ_ONCE(table->store_failed);
}

/** at_meta_commits - does a flush need a commit, which may fail? Any context. */
static inline bool at_meta_commits(const struct at_table *table)
{
	return table->store_active ||
	       (at_meta_failed(table) && table->device->lacks_bits);
}

/* doubt.c: what a failed flush of the file may have lost */

static inline bool at_is_doubtful(const struct at_device *device)
{
	return READ_ONCE(device->doubt) == AT_DOUBTFUL;
}

/** at_doubt_begin_fill - blocks are about to be written. Any context. */
void at_doubt_begin_fill(struct at_device *device);

/** at_doubt_end_fill - they are; @wrote: and there was something to write, well */
void at_doubt_end_fill(struct at_device *device, bool wrote);

/** at_doubt_mark - what a flush that begins now makes durable. Any context. */
u64 at_doubt_mark(const struct at_device *device);

/** at_doubt_mark_flushed - what was durable before it began. Any context. */
u64 at_doubt_mark_flushed(const struct at_device *device);

/** at_doubt_flushed - it has succeeded. Any context. */
void at_doubt_flushed(struct at_device *device, u64 mark);

/**
 * at_doubt_failed - a flush has failed, whosever it was
 * @flushed: at_doubt_mark_flushed() when it was issued
 * Context: any.
 */
void at_doubt_failed(struct at_table *table, u64 flushed);

/**
 * at_doubt_flush - flush the file
 * Context: may sleep. Return: 0, or an errno, also while the device is doubtful.
 */
int at_doubt_flush(struct at_table *table);

/**
 * at_doubt_end - all blocks are allocated, and a flush after that has succeeded
 * Context: may sleep. Return: 0, or -EIO when another flush has failed.
 */
int at_doubt_end(struct at_device *device);

/** at_doubt_settle - before the resume: take back what may be lost */
void at_doubt_settle(struct at_table *table);

/** at_guest_owns - the guest's data are on their way to allocated blocks. Any context. */
static inline void at_guest_owns(struct at_device *device, u64 first, u64 end)
{
	/* The bit was set before the block was seen allocated. */
	smp_rmb();
	if (dm_live_bitmap_next_set(device->copied, first, end) != end)
		dm_live_bitmap_clear_range(device->copied, first, end - first);
}

/* fill.c: the one primitive that makes a range allocated */

/**
 * at_fill - put the content of the backing on the file
 * @table: the active table
 * @first: first block
 * @nr: number of blocks; with @data at most at_fill_blocks()
 * @data: the content, or NULL for zeros
 * @changed_blocks: out: how many became allocated, or NULL
 *
 * Locks the blocks, writes those that are not allocated, sets their bits. All
 * of them or none. Blocks that are allocated by then are skipped.
 *
 * Context: may sleep, holds no range lock.
 * Return: 0 or what the file said.
 */
blk_status_t at_fill(struct at_table *table, u64 first, u64 nr,
		     const struct dm_live_data *data, u64 *changed_blocks);

/**
 * at_zero_for_guest - a discard or write-zeroes of whole blocks
 * @flags: 0 or REQ_NOUNMAP
 *
 * Zeroes all of the blocks, allocated or not, and sets their bits.
 */
blk_status_t at_zero_for_guest(struct at_table *table, u64 first, u64 nr,
			       blk_opf_t flags);

/**
 * struct at_copy - result of at_copy()
 * @read_status: what the backing said
 * @write_status: what the file said
 * @changed_blocks: blocks that became allocated
 */
struct at_copy_result {
	blk_status_t read_status;
	blk_status_t write_status;
	u64 changed_blocks;
};

/**
 * at_copy - copy blocks from the backing device to the file
 * @nr: at most at_fill_blocks()
 * @reader: a read of the guest that lies within these blocks and is completed
 *	once the data are here, or NULL
 *
 * Context: as at_fill(), and holds no buffer.
 */
void at_copy(struct at_table *table, u64 first, u64 nr, struct bio *reader,
	     struct at_copy_result *result);

/* fault.c: I/O that waits for the user server */

void at_faults_init(struct at_device *device);
void at_faults_exit(struct at_device *device);

/**
 * at_fault_queue - let a bio wait for the server
 * @io: its first and nr are set; all blocks were seen unallocated
 * @nr_sectors: part of the bio that waits; the rest is split off
 *
 * Context: the map function only.
 * Return: false when a block has become allocated meanwhile (nothing is
 * queued: route the bio anew).
 */
bool at_fault_queue(struct at_io *io, struct bio *bio, unsigned int nr_sectors);

/** at_faults_serve - give data (NULL: zeros) to the reads that wait for it */
void at_faults_serve(struct at_device *device, u64 first, u64 nr,
		     const struct dm_live_data *data);

/**
 * at_faults_settle - see to the writes that wait for these blocks
 *
 * Those whose block is allocated go on. When @status is an error, the others
 * fail with it.
 */
void at_faults_settle(struct at_device *device, u64 first, u64 nr,
		      blk_status_t status);

/** at_faults_fail - fail all that waits for any of these blocks */
void at_faults_fail(struct at_device *device, u64 first, u64 nr,
		    blk_status_t status);

/**
 * at_faults_tell - take ranges for the server, oldest first
 * @ranges: room for @max
 * Return: how many there are.
 */
unsigned int at_faults_tell(struct at_device *device,
			    struct dm_alloctrack_range *ranges,
			    unsigned int max);

/** at_faults_untell - what was told did not get to the server: tell it again */
void at_faults_untell(struct at_device *device);

/** at_faults_pending - is there a range that the server was not told? */
bool at_faults_pending(struct at_device *device);

/** at_faults_attach - bind a server; -EBUSY when there is one */
int at_faults_attach(struct at_device *device, void *server);

/** at_faults_detach - the server is gone; its faults wait for the next one */
void at_faults_detach(struct at_device *device);

/** at_faults_suspend - from now on nothing waits without a server */
void at_faults_suspend(struct at_device *device, bool noflush);

/** at_faults_resume - undo at_faults_suspend() */
void at_faults_resume(struct at_device *device);

/* stream.c: the stream job */

void at_stream_init(struct at_device *device);
void at_stream_init_workers(struct at_table *table);

/** at_stream_kick - have the workers look for work. Any context. */
void at_stream_kick(struct at_table *table);

/** at_stream_stop_workers - wait until no worker runs */
void at_stream_stop_workers(struct at_table *table);

/** at_stream_message - start, pause, resume or cancel. 0 or a negative errno. */
int at_stream_message(struct at_table *table, const char *verb);

void at_stream_set_speed(struct at_device *device, u64 bytes_per_second);
void at_stream_set_on_error(struct at_device *device,
			    enum dm_alloctrack_on_error on_error);

/**
 * at_stream_error - the job met an error
 * @first: first block that was not streamed
 * @status: what happened
 * @is_read: on the backing, else on the file
 * Counts it and acts by the on_error policy.
 */
void at_stream_error(struct at_table *table, u64 first, blk_status_t status,
		     bool is_read);

/** at_stream_complete - everything is on the file and flushed */
void at_stream_complete(struct at_table *table);

/** at_stream_not_complete - everything is on the file, but the flush failed */
void at_stream_not_complete(struct at_table *table, blk_status_t status);

/** at_stream_doubt - what was copied may be lost: the job ends or stops */
void at_stream_doubt(struct at_table *table);

/** at_stream_rewind - blocks became unallocated again; no worker runs */
void at_stream_rewind(struct at_device *device);

/* control.c: /dev/dm-alloctrack */

int at_control_init(void);
void at_control_exit(void);

#endif /* DM_ALLOCTRACK_ALLOCTRACK_H */
