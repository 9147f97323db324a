// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target "cbw": constructor, status and the life of a table; and module init and
 * exit.
 */
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "blocks.h"
#include "cbw.h"
#include "fleece.h"
#include "io.h"
#include "job.h"
#include "message.h"
#include "session.h"
#include "snapshot.h"
#include "state.h"
#include "table.h"
#include "track-session.h"
#include "track.h"
#include "waiters.h"
#include "dm-live/core/bitmap.h"
#include "dm-live/core/memory.h"

static dev_t devt_of(const struct dm_target *ti)
{
	return disk_devt(dm_disk(dm_table_get_md(ti->table)));
}

static void free_table(struct cbw_table *table)
{
	if (table->session) {
		cbw_session_end(table->session);
		cbw_session_put(table->session);
		table->session = NULL;
	}
	cbw_track_close(table->track);
	kfree(table->config.bitmap);
	if (table->meta)
		dm_put_device(table->ti, table->meta);
	if (table->fleece)
		dm_put_device(table->ti, table->fleece);
	if (table->target)
		dm_put_device(table->ti, table->target);
	if (table->origin)
		dm_put_device(table->ti, table->origin);
	kfree(table);
}

static int make_session(struct cbw_table *table)
{
	struct cbw_session *session;

	if (!table->fleece && !table->target)
		return 0;
	session = cbw_session_create(table);
	if (IS_ERR(session))
		return PTR_ERR(session);
	table->session = session;
	return 0;
}

static int make_table(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct cbw_table *table;
	int r;

	/* The new table would end the session that the view shows. */
	if (cbw_session_is_viewed(devt_of(ti))) {
		ti->error = "The session has a snapshot view: remove that first";
		return -EBUSY;
	}
	table = kzalloc(sizeof(*table), GFP_KERNEL);
	if (!table) {
		ti->error = "Cannot allocate the table";
		return -ENOMEM;
	}
	table->ti = ti;
	r = cbw_table_parse(table, argc, argv);
	if (!r && table->meta)
		r = cbw_track_open(table);
	r = r ?: make_session(table);
	if (r) {
		free_table(table);
		return r;
	}
	ti->private = table;
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	ti->per_io_data_size = sizeof(struct cbw_waiter);
	/* Count writes that waited once, and from when they are submitted. */
	ti->accounts_remapped_io = true;
	return 0;
}

static int construct(struct dm_target *ti, unsigned int argc, char **argv)
{
	return dm_live_construct(ti, argc, argv, make_table);
}

static void destroy(struct dm_target *ti)
{
	free_table(ti->private);
}

static void postsuspend(struct dm_target *ti)
{
	struct cbw_table *table = ti->private;

	if (table->session)
		cbw_session_suspend(table->session);
	if (table->track)
		cbw_track_deactivate(table->track);
}

static int preresume(struct dm_target *ti)
{
	struct cbw_table *table = ti->private;
	int r = 0;

	if (table->track)
		r = cbw_track_activate(table->track);
	if (!r && table->config.bitmap &&
	    cbw_is(table->session, CBW_NEW))
		r = cbw_track_begin(table->track, table->session);
	if (!r && table->session)
		r = cbw_session_activate(table->session);
	if (r && table->track)
		cbw_track_deactivate(table->track);
	return r;
}

static void resume(struct dm_target *ti)
{
	struct cbw_table *table = ti->private;

	if (!table->session)
		return;
	cbw_session_resume(table->session);
	if (table->session->config.job) {
		/* Only at the first resume: after that the job keeps its state. */
		cbw_job_message(table->session, "start");
		/* Not before: a view must not release blocks in between. */
		WRITE_ONCE(table->session->config.job, false);
	}
}

static u64 bytes_of(const struct cbw_session *session,
		    const struct dm_live_bitmap *bitmap)
{
	u64 last = session->nr_blocks - 1;
	u64 bytes = dm_live_bitmap_weight(bitmap) * cbw_block_bytes(session);

	/* The last block may be short. */
	if (dm_live_bitmap_test(bitmap, last))
		bytes -= cbw_block_bytes(session) -
			 (cbw_range_sectors(session, last, 1) << SECTOR_SHIFT);
	return bytes;
}

/*
 * <session none|active|broken|complete> <copied>/<scope blocks> <block size>
 * <job state> <job bytes>/<total> <cow writes> <source errors> <target errors>
 * <slots used>/<total> <#features> <feature>... <change tracking>
 */
static unsigned int emit_session(struct cbw_session *session, unsigned int sz,
				 char *result, unsigned int maxlen)
{
	u64 scope, todo, scope_bytes, left_bytes;
	enum cbw_job_state job;
	enum cbw_state state;

	/* Under one lock: a job completes together with its session. */
	spin_lock_irq(&session->lock);
	state = session->state;
	job = session->job.state;
	scope = dm_live_bitmap_weight(session->scope);
	todo = dm_live_bitmap_weight(session->todo);
	scope_bytes = bytes_of(session, session->scope);
	left_bytes = bytes_of(session, session->left);
	spin_unlock_irq(&session->lock);

	DMEMIT("%s %llu/%llu %llu %s %llu/%llu %llu %llu %llu %llu/%llu ",
	       cbw_state_name(state), scope - todo, scope,
	       (u64)cbw_block_to_sector(session, 1),
	       cbw_job_state_name(job),
	       scope_bytes - left_bytes, scope_bytes,
	       (u64)atomic64_read(&session->cow_writes),
	       (u64)atomic64_read(&session->source_errors),
	       (u64)atomic64_read(&session->target_errors),
	       session->fleece ? cbw_fleece_used(session->fleece) : 0,
	       session->fleece ? cbw_fleece_total(session->fleece) : 0);
	return sz;
}

static void status(struct dm_target *ti, status_type_t type,
		   unsigned int status_flags, char *result, unsigned int maxlen)
{
	struct cbw_table *table = ti->private;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		if (table->session)
			sz = emit_session(table->session, sz, result, maxlen);
		else
			DMEMIT("none 0/0 %u none 0/0 0 0 0 0/0 ",
			       1u << table->block_shift);
		sz = cbw_table_emit_features(table, sz, result, maxlen);
		DMEMIT(" ");
		if (table->track)
			cbw_track_emit(table->track, sz, result, maxlen);
		else
			DMEMIT("-");
		break;
	case STATUSTYPE_TABLE:
		cbw_table_emit(table, sz, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}

static int iterate_devices(struct dm_target *ti,
			   iterate_devices_callout_fn fn, void *data)
{
	struct cbw_table *table = ti->private;

	return fn(ti, table->origin, 0, ti->len, data);
}

static struct target_type cbw_target = {
	.name = "cbw",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = construct,
	.dtr = destroy,
	.map = cbw_map,
	.end_io = cbw_end_io,
	.postsuspend = postsuspend,
	.preresume = preresume,
	.resume = resume,
	.status = status,
	.message = cbw_message,
	.iterate_devices = iterate_devices,
};

static int __init cbw_init(void)
{
	int r;

	r = dm_register_target(&cbw_target);
	if (r)
		return r;
	r = dm_register_target(&cbw_snapshot_target);
	if (r)
		dm_unregister_target(&cbw_target);
	return r;
}

static void __exit cbw_exit(void)
{
	dm_unregister_target(&cbw_snapshot_target);
	dm_unregister_target(&cbw_target);
}

module_init(cbw_init);
module_exit(cbw_exit);

MODULE_DESCRIPTION("device-mapper targets for live backup: copy before write, and a view of the point in time");
MODULE_LICENSE("GPL");
MODULE_ALIAS("dm-cbw");
MODULE_ALIAS("dm-cbw-snapshot");
