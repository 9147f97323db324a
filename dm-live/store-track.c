// SPDX-License-Identifier: GPL-2.0-only
/*
 * What change tracking asks of the bitmap store beyond commits: which bitmaps
 * there are, one bitmap made durable alone, and changes of the directory while the
 * store is active. See store-track.h.
 *
 * All that writes runs in the store's ordered workqueue, like the commits.
 */
#include <linux/device-mapper.h>

#include "qcow2/generations.h"
#include "store-internal.h"
#include "store-track.h"

struct job {
	struct work_struct work;
	struct dm_live_store *store;
	int (*run)(struct dm_live_store *store, void *context);
	void *context;
	int result;
};

static void job_work(struct work_struct *work)
{
	struct job *job = container_of(work, struct job, work);

	job->result = job->run(job->store, job->context);
}

/* Run a job between two commits. */
static int run_job(struct dm_live_store *store,
		   int (*run)(struct dm_live_store *store, void *context),
		   void *context)
{
	struct job job = {
		.store = store,
		.run = run,
		.context = context,
	};

	INIT_WORK_ONSTACK(&job.work, job_work);
	queue_work(store->wq, &job.work);
	flush_work(&job.work);
	destroy_work_on_stack(&job.work);
	return job.result;
}

u32 dm_live_store_nr_bitmaps(const struct dm_live_store *store)
{
	return store->header.nr_bitmaps;
}
EXPORT_SYMBOL_GPL(dm_live_store_nr_bitmaps);

const struct qcow2_store_bitmap *
dm_live_store_entry(const struct dm_live_store *store, u32 index)
{
	return &store->bitmaps[index].entry;
}
EXPORT_SYMBOL_GPL(dm_live_store_entry);

const struct qcow2_store_bitmap *
dm_live_store_lookup(struct dm_live_store *store, const char *name)
{
	struct dm_live_store_bitmap *found = dm_live_store_find(store, name);

	return found ? &found->entry : NULL;
}
EXPORT_SYMBOL_GPL(dm_live_store_lookup);

bool dm_live_store_was_tracking(const struct dm_live_store *store)
{
	return store->header.state_flags & QCOW2_DMLIVE_TRACKING;
}
EXPORT_SYMBOL_GPL(dm_live_store_was_tracking);

void dm_live_store_set_tracking(struct dm_live_store *store, bool tracking)
{
	store->tracking = tracking;
}
EXPORT_SYMBOL_GPL(dm_live_store_set_tracking);

int dm_live_store_load(struct dm_live_store *store, const char *name,
		       struct dm_live_bitmap *bitmap)
{
	struct dm_live_store_bitmap *found = dm_live_store_find(store, name);
	struct dm_live_store_bitmap copy;

	if (!found)
		return -ENOENT;
	copy = *found;
	copy.bitmap = bitmap;
	/* No flag says whether its last change became durable: assume it did not. */
	copy.entry.flags |= QCOW2_BITMAP_IN_USE;
	return dm_live_store_read_bits(store, &copy, DM_LIVE_ATTACH_LOAD);
}
EXPORT_SYMBOL_GPL(dm_live_store_load);

void dm_live_store_detach(struct dm_live_store *store, const char *name)
{
	struct dm_live_store_bitmap *found = dm_live_store_find(store, name);

	if (found)
		found->bitmap = NULL;
}
EXPORT_SYMBOL_GPL(dm_live_store_detach);

static int write_one(struct dm_live_store *store, void *context)
{
	u32 i;

	for (i = 0; i < store->header.nr_bitmaps; i++)
		if (store->bitmaps[i].bitmap == context)
			return dm_live_store_write_bitmap(store,
							  &store->bitmaps[i]);
	return -ENOENT;
}

int dm_live_store_write(struct dm_live_store *store,
			struct dm_live_bitmap *bitmap)
{
	return run_job(store, write_one, bitmap);
}
EXPORT_SYMBOL_GPL(dm_live_store_write);

struct change {
	const char *name;
	struct dm_live_bitmap *bitmap;
	u32 flags;
	struct dm_live_store_bitmap *found;
	u64 generation;
};

static int edit_one(struct dm_live_store *store, void *context)
{
	const struct change *change = context;

	return dm_live_store_edit_flags(store, change->found, change->flags);
}

/* The bits become durable first, whatever the flags will say about them. */
static int set_enabled(struct dm_live_store *store, void *context)
{
	struct change *change = context;
	struct dm_live_bitmap *was_attached;
	int r;

	change->found = dm_live_store_find(store, change->name);
	if (!change->found)
		return -ENOENT;
	change->flags |= change->found->entry.flags &
			 QCOW2_BITMAP_EXTRA_COMPATIBLE;
	was_attached = change->found->bitmap;
	change->found->bitmap = change->bitmap;
	r = dm_live_store_write_bitmap(store, change->found) ?:
	    dm_live_store_update(store, edit_one, change, store->tracking);
	/* If the store has failed, its content does not matter any more. */
	if (!(change->flags & QCOW2_BITMAP_AUTO))
		change->found->bitmap = NULL;
	else if (r)
		change->found->bitmap = was_attached;
	return r;
}

int dm_live_store_enable(struct dm_live_store *store, const char *name,
			 struct dm_live_bitmap *bitmap, bool enable)
{
	struct change change = {
		.name = name,
		.bitmap = bitmap,
		.flags = enable ? QCOW2_BITMAP_AUTO | QCOW2_BITMAP_IN_USE : 0,
	};

	return run_job(store, set_enabled, &change);
}
EXPORT_SYMBOL_GPL(dm_live_store_enable);

static int write_detached(struct dm_live_store *store, void *context)
{
	struct change *change = context;
	int r;

	change->found = dm_live_store_find(store, change->name);
	if (!change->found)
		return -ENOENT;
	change->found->bitmap = change->bitmap;
	r = dm_live_store_write_bitmap(store, change->found);
	change->found->bitmap = NULL;
	return r;
}

int dm_live_store_write_detached(struct dm_live_store *store, const char *name,
				 struct dm_live_bitmap *bitmap)
{
	struct change change = {
		.name = name,
		.bitmap = bitmap,
	};

	return run_job(store, write_detached, &change);
}
EXPORT_SYMBOL_GPL(dm_live_store_write_detached);

bool dm_live_store_has_generations(const struct dm_live_store *store)
{
	return store->header.generations_offset;
}
EXPORT_SYMBOL_GPL(dm_live_store_has_generations);

u64 dm_live_store_generation(const struct dm_live_store *store,
			     const char *name)
{
	if (!store->header.generations_offset)
		return 0;
	return qcow2_generations_get(store->generations,
				     qcow2_store_name_hash(name, strlen(name)));
}
EXPORT_SYMBOL_GPL(dm_live_store_generation);

static int set_generation(struct dm_live_store *store, void *context)
{
	const struct change *change = context;
	u8 sector[QCOW2_DMLIVE_GENERATIONS_BYTES];
	int r;

	memcpy(sector, store->generations, sizeof(sector));
	r = qcow2_generations_set(sector,
				  qcow2_store_name_hash(change->name,
							strlen(change->name)),
				  change->generation);
	if (!r)
		r = dm_live_store_write_bytes(store,
					      store->header.generations_offset,
					      sector, sizeof(sector));
	/* What is not known to be durable must not look as if it were. */
	if (!r)
		memcpy(store->generations, sector, sizeof(sector));
	return r;
}

int dm_live_store_set_generation(struct dm_live_store *store, const char *name,
				 u64 generation)
{
	struct change change = {
		.name = name,
		.generation = generation,
	};

	/* The one on disk may differ from what was read or written last. */
	if (dm_live_store_has_failed(store))
		return -EIO;
	if (dm_live_store_generation(store, name) == generation)
		return 0;
	if (!store->header.generations_offset)
		return -EOPNOTSUPP;
	return run_job(store, set_generation, &change);
}
EXPORT_SYMBOL_GPL(dm_live_store_set_generation);

const struct qcow2_seal *dm_live_store_seal(const struct dm_live_store *store)
{
	return store->header.seal_offset ? &store->seal : NULL;
}
EXPORT_SYMBOL_GPL(dm_live_store_seal);

void dm_live_store_set_seal(struct dm_live_store *store,
			    const struct qcow2_seal *seal)
{
	if (!store->header.seal_offset)
		return;
	store->seal = *seal;
	store->seal_is_due = true;
}
EXPORT_SYMBOL_GPL(dm_live_store_set_seal);
