/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_STORE_H
#define DM_LIVE_STORE_H

/*
 * The bitmap store: bitmaps in memory, made durable on a metadata device that
 * is a qcow2 image (see qcow2/directory.h).
 *
 * Life cycle: open (reads and checks), then any number of times: claim (nobody else
 * writes to it from now on), reload (reads again), attach (loads a bitmap), activate
 * (marks the attached bitmaps IN_USE on disk), any number of commits, deactivate (last
 * commit, IN_USE off); at last close. A read-only store is never claimed, activated nor
 * committed.
 *
 * Commit: makes durable all bits that were set before it was asked for, and first the
 * data that they stand for. Requests that come while a commit runs share the next
 * one.
 *
 * Failure: when writing the metadata fails, the store is read-only from then on and
 * every commit fails; what is durable stays so. A failed flush of the data device
 * fails the commits that waited for it, and the next one tries again. A device may
 * report data that it lost in one flush only. If that was a flush of the store's own,
 * the next dm_live_store_commit_flush() fails with its error, so that the writers of
 * the data learn of it.
 */

#include <linux/blk_types.h>
#include <linux/list.h>

#include "core/bitmap.h"

struct dm_live_store;

/**
 * struct dm_live_store_params - what a store is opened with
 * @meta: the metadata device
 * @data: flushed before bits are made durable; unused if @read_only. NULL: bits may
 *	be durable before the data that they stand for
 * @size_bytes: size of the device whose blocks are tracked
 * @read_only: nothing is ever written
 * @may_be_dead: dm_live_store_open() does not fail when the device cannot be read: the
 *	next dm_live_store_reload() tries again. For a mapped device in use, which must
 *	be able to get another table all the same
 * @name: for messages; must outlive the store
 * @failed: called once, from a worker, when the store becomes read-only by a
 *	failure; may be NULL
 * @flush_data: flushes @data; NULL: plainly. Context: a worker
 * @context: for @failed and @flush_data
 */
struct dm_live_store_params {
	struct block_device *meta;
	struct block_device *data;
	u64 size_bytes;
	bool read_only;
	bool may_be_dead;
	const char *name;
	void (*failed)(void *context);
	int (*flush_data)(void *context);
	void *context;
};

/**
 * struct dm_live_commit - a request to commit
 * @done: called when it is done; context: a worker, in which it must not block for
 *	long, nor wait for a commit of the same store
 * @is_flush: of dm_live_store_commit_flush(); private
 */
struct dm_live_commit {
	struct list_head link;
	bool is_flush;
	void (*done)(struct dm_live_commit *commit, blk_status_t status);
};

/**
 * dm_live_store_open - read and check the metadata device
 *
 * All structures are read and checked, the bits are not read. Nothing is
 * written. What is wrong is logged.
 *
 * Context: may sleep; GFP_KERNEL.
 * Return: the store, or an ERR_PTR.
 */
struct dm_live_store *
dm_live_store_open(const struct dm_live_store_params *params);

/**
 * dm_live_store_claim - reserve the metadata device for this store
 *
 * Before dm_live_store_reload(), unless the store is read-only: nothing may be written
 * to a device that another store has claimed, and that store may change a moment later
 * what was read. The claim ends with dm_live_store_deactivate(), or, when the store
 * does not become active, with dm_live_store_release(). Claimed already: it stays so.
 *
 * Context: may sleep.
 * Return: 0, or -EBUSY, which is logged: another store has claimed the same device.
 */
int dm_live_store_claim(struct dm_live_store *store);

/**
 * dm_live_store_release - give up the claim of a store that did not become active
 *
 * Nothing is written any more when it returns. A store that is not claimed is ignored.
 * Context: may sleep.
 */
void dm_live_store_release(struct dm_live_store *store);

/**
 * dm_live_store_reload - read and check the metadata device again
 *
 * It may have changed since it was opened or deactivated. Attached bitmaps are not
 * attached any more.
 *
 * Context: may sleep; allocates memory if the store has grown since it was read last:
 * under memalloc_noio_save() while a device is suspended.
 *
 * Return: 0, or an errno; dm_live_store_has_failed() says whether the device failed;
 * otherwise its content was refused.
 */
int dm_live_store_reload(struct dm_live_store *store);

/**
 * dm_live_store_check - is there such a bitmap?
 * @name: of the bitmap
 * @granularity_bytes: of it
 * Return: 0, or -EINVAL; what is wrong is logged.
 */
int dm_live_store_check(struct dm_live_store *store, const char *name,
			u64 granularity_bytes);

/**
 * enum dm_live_attach - which bits are the truth
 * @DM_LIVE_ATTACH_LOAD: those on disk
 * @DM_LIVE_ATTACH_KEEP: those in memory: the store was closed and is opened again
 * @DM_LIVE_ATTACH_SAME: both, as dm_live_store_is_as_closed() says: nothing is read
 * @DM_LIVE_ATTACH_IMPOSE: as KEEP, but it was closed without the last changes: unless
 *	something else has closed it since, bits may be set on disk that are not in
 *	memory
 */
enum dm_live_attach {
	DM_LIVE_ATTACH_LOAD,
	DM_LIVE_ATTACH_KEEP,
	DM_LIVE_ATTACH_SAME,
	DM_LIVE_ATTACH_IMPOSE,
};

/**
 * dm_live_store_attach - load a bitmap, and keep it durable from now on
 * @bitmap: must outlive the store
 * @how: which bits are the truth
 * @was_in_use: out: it was not closed cleanly
 *
 * After dm_live_store_reload(), before dm_live_store_activate(). Pages whose bits may
 * not be durable are written by the next commit: those that differ from what is read,
 * and all if the bitmap was not closed cleanly. A flush may have failed then, and what
 * is read may come from a cache that has lost it and does not report that twice. The
 * data of the bits that are on disk are durable.
 *
 * -ESTALE: a bit on disk is not set in memory, so something else has used the store
 * since.
 */
int dm_live_store_attach(struct dm_live_store *store, const char *name,
			 u64 granularity_bytes, struct dm_live_bitmap *bitmap,
			 enum dm_live_attach how, bool *was_in_use);

/**
 * dm_live_store_closing - a number that identifies the last closing of the store
 * After dm_live_store_deactivate(). 0: it was not closed, or not with all bits.
 */
u64 dm_live_store_closing(const struct dm_live_store *store);

/**
 * dm_live_store_is_as_closed - has nobody written to it since it was closed?
 * @closing: dm_live_store_closing() of that time, of this or another store on the same
 *	device
 *
 * After dm_live_store_reload(). The number is kept in the autoclear features of the
 * image. Whatever writes to a qcow2 image first clears those that it does not know;
 * QEMU and all of dmlive do so. An older copy of the device has another number.
 */
bool dm_live_store_is_as_closed(const struct dm_live_store *store, u64 closing);

/** dm_live_store_was_used - was the store ever activated, before this time? */
bool dm_live_store_was_used(const struct dm_live_store *store);

/**
 * dm_live_store_activate - mark the attached bitmaps as in use
 *
 * The store is claimed. When it returns 0, that is durable; otherwise the store stays
 * claimed. Context: may sleep.
 */
int dm_live_store_activate(struct dm_live_store *store);

/**
 * dm_live_store_commit - make everything durable that was set until now
 * Context: any. commit->done() is called, always.
 */
void dm_live_store_commit(struct dm_live_store *store,
			  struct dm_live_commit *commit);

/**
 * dm_live_store_commit_flush - the same for a flush by the writers of the data
 *
 * It also fails when data that were written before may have been lost and no such flush
 * has reported it.
 */
void dm_live_store_commit_flush(struct dm_live_store *store,
				struct dm_live_commit *commit);

/**
 * dm_live_store_commit_wait - as dm_live_store_commit(), and wait
 * Context: may sleep.
 */
blk_status_t dm_live_store_commit_wait(struct dm_live_store *store);

/**
 * dm_live_store_begin_change - bits of an attached bitmap are about to be set
 *
 * A bit is seen by others a moment before its page is marked as changed. Between
 * this and dm_live_store_end_change() the store does not look clean, and a commit
 * waits. Context: any; must not sleep in between.
 */
void dm_live_store_begin_change(struct dm_live_store *store);

/** dm_live_store_end_change - they are set */
void dm_live_store_end_change(struct dm_live_store *store);

/**
 * dm_live_store_changed - bits were set
 * They are committed within a second, unless the last commit failed. Context: any.
 */
void dm_live_store_changed(struct dm_live_store *store);

/**
 * dm_live_store_is_clean - is all that was set before durable?
 * Context: any; no lock.
 */
bool dm_live_store_is_clean(struct dm_live_store *store);

/**
 * dm_live_store_may_owe - may there be an error for the next flush?
 * A commit is under way or has failed, or no flush has reported an earlier failure.
 * Context: any.
 */
bool dm_live_store_may_owe(const struct dm_live_store *store);

/**
 * dm_live_store_has_failed - could the device not be read or written?
 * Since the last dm_live_store_reload(). An active store is read-only then. Any context.
 */
bool dm_live_store_has_failed(const struct dm_live_store *store);

/**
 * dm_live_store_is_marked - is it certain that the bitmaps are in use on disk?
 *
 * From dm_live_store_activate() until dm_live_store_deactivate(), and after that too
 * if it failed before the mark could have been removed.
 */
bool dm_live_store_is_marked(const struct dm_live_store *store);

/**
 * dm_live_store_is_durable - did the last commit include everything?
 * After dm_live_store_deactivate().
 */
bool dm_live_store_is_durable(const struct dm_live_store *store);

/**
 * dm_live_store_deactivate - commit, and mark the bitmaps as closed cleanly
 *
 * Nobody may set bits or commit any more. If it fails, which is logged, the
 * bitmaps stay marked as in use. In any case nothing is written any more when it
 * returns.
 * Context: may sleep.
 */
int dm_live_store_deactivate(struct dm_live_store *store);

/**
 * dm_live_store_take_error - a failed flush that was not reported to the writers
 *
 * After dm_live_store_deactivate(). The caller has to report it: the store will not.
 * Return: 0 or a negative errno.
 */
int dm_live_store_take_error(struct dm_live_store *store);

/** dm_live_store_close - free it. NULL is ignored. May sleep. */
void dm_live_store_close(struct dm_live_store *store);

#endif /* DM_LIVE_STORE_H */
