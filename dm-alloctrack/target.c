// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target "alloctrack": table line, status, messages, limits, and the life
 * of a table.
 *
 * The constructor reads and checks; nothing is written before the resume. In
 * preresume the table takes over the device (see device.c), in postsuspend it
 * lets go of it, after all I/O and all copies have ended.
 */
#include <linux/blkdev.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "alloctrack.h"

#define MIN_BLOCK_SECTORS	(4096u >> SECTOR_SHIFT)
#define MAX_BLOCK_SECTORS	((2u << 20) >> SECTOR_SHIFT)
#define MAX_USER_TIMEOUT_S	(LONG_MAX / HZ / 2)

/* One guest discard reaches the file in pieces of at most this size. */
#define MAX_DISCARD_SECTORS	(1u << 22)

/* Workers of one device, streaming and guest I/O together. */
#define MAX_FILL_WORKERS	64

void at_raise_event(struct at_table *table)
{
	queue_work(table->submit_wq, &table->event_work);
}

static void event_work(struct work_struct *work)
{
	struct at_table *table = container_of(work, struct at_table,
					      event_work);

	dm_table_event(table->ti->table);
}

/* All blocks are allocated: make them durable, then say so. */
static void complete_work(struct work_struct *work)
{
	struct at_table *table = container_of(work, struct at_table,
					      complete_work);
	struct at_device *device = table->device;
	int r;

	if (!at_device_is_full(device))
		return;
	r = blkdev_issue_flush(table->file->bdev);
	if (r) {
		at_stream_error(table, 0, errno_to_blk_status(r), false);
		return;
	}
	if (table->auto_remove)
		WRITE_ONCE(table->passthrough, true);
	at_stream_complete(table);
}

static int parse_file(struct at_table *table, const char *path)
{
	struct dm_target *ti = table->ti;
	int r;

	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &table->file);
	if (r) {
		ti->error = "Cannot open the file device";
		return r;
	}
	if (bdev_nr_sectors(table->file->bdev) < ti->len) {
		ti->error = "The file device is smaller than the target";
		return -EINVAL;
	}
	return 0;
}

static int parse_backing(struct at_table *table, const char *path)
{
	struct dm_target *ti = table->ti;
	int r;

	if (!strcmp(path, "-")) {
		table->backing = AT_BACKING_NONE;
		return 0;
	}
	if (!strcmp(path, "user")) {
		table->backing = AT_BACKING_USER;
		table->backing_sectors = ti->len;
		return 0;
	}

	table->backing = AT_BACKING_DEVICE;
	r = dm_get_device(ti, path, BLK_OPEN_READ, &table->backing_dev);
	if (r) {
		ti->error = "Cannot open the backing device";
		return r;
	}
	if (table->backing_dev->bdev == table->file->bdev) {
		ti->error = "The backing device is the file device";
		return -EINVAL;
	}
	table->backing_sectors = min(bdev_nr_sectors(table->backing_dev->bdev),
				     ti->len);
	return 0;
}

static int parse_meta(struct at_table *table, const char *path)
{
	if (!strcmp(path, "-"))
		return 0;
	table->ti->error = "A metadata device is not supported: it must be -";
	return -EOPNOTSUPP;
}

static int parse_block_size(struct at_table *table, const char *text,
			    unsigned int *block_shift)
{
	struct dm_target *ti = table->ti;
	unsigned int sectors, bytes;

	if (kstrtouint(text, 10, &sectors) || sectors < MIN_BLOCK_SECTORS ||
	    sectors > MAX_BLOCK_SECTORS || !is_power_of_2(sectors)) {
		ti->error = "The block size must be a power of two from 8 to 4096 sectors";
		return -EINVAL;
	}
	bytes = sectors << SECTOR_SHIFT;
	if (bytes < bdev_logical_block_size(table->file->bdev)) {
		ti->error = "The block size is smaller than the logical block size of the file device";
		return -EINVAL;
	}
	if (table->backing_dev &&
	    bytes < bdev_logical_block_size(table->backing_dev->bdev)) {
		ti->error = "The block size is smaller than the logical block size of the backing device";
		return -EINVAL;
	}
	*block_shift = ilog2(sectors);
	return 0;
}

static int parse_feature_value(struct at_table *table, const char *name,
			       const char *value)
{
	struct dm_target *ti = table->ti;

	if (!strcmp(name, "stream_speed")) {
		if (kstrtou64(value, 10, &table->stream_speed)) {
			ti->error = "stream_speed must be a number of bytes per second";
			return -EINVAL;
		}
		table->has_stream_speed = true;
	} else if (!strcmp(name, "on_error")) {
		if (at_parse_on_error(value, &table->on_error)) {
			ti->error = "on_error must be report, ignore, stop or enospc";
			return -EINVAL;
		}
		table->has_on_error = true;
	} else {
		if (kstrtouint(value, 10, &table->user_timeout_s) ||
		    table->user_timeout_s > MAX_USER_TIMEOUT_S) {
			ti->error = "user_timeout must be a number of seconds";
			return -EINVAL;
		}
	}
	return 0;
}

static bool takes_value(const char *name)
{
	return !strcmp(name, "stream_speed") || !strcmp(name, "on_error") ||
	       !strcmp(name, "user_timeout");
}

static int parse_feature(struct at_table *table, const char *name)
{
	const struct {
		const char *name;
		bool *flag;
	} flags[] = {
		{ "auto_remove", &table->auto_remove },
		{ "copy_on_read", &table->copy_on_read },
		{ "stream", &table->stream },
		{ "target_is_zero", &table->target_is_zero },
		{ "no_detect_zeroes", &table->no_detect_zeroes },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!strcmp(name, flags[i].name)) {
			*flags[i].flag = true;
			return 0;
		}
	}
	DMERR("unknown feature '%s'", name);
	table->ti->error = "Unknown feature";
	return -EINVAL;
}

static int parse_features(struct at_table *table, struct dm_arg_set *args)
{
	static const struct dm_arg counts[] = {
		{ 0, 32, "Invalid number of features" },
	};
	struct dm_target *ti = table->ti;
	unsigned int nr;
	int r;

	if (!args->argc)
		return 0;
	r = dm_read_arg_group(counts, args, &nr, &ti->error);
	if (r)
		return r;
	while (nr) {
		const char *name = dm_shift_arg(args);

		nr--;
		if (!takes_value(name)) {
			r = parse_feature(table, name);
		} else if (!nr) {
			ti->error = "A value is missing after the last feature";
			r = -EINVAL;
		} else {
			r = parse_feature_value(table, name,
						dm_shift_arg(args));
			nr--;
		}
		if (r)
			return r;
	}
	if (args->argc) {
		ti->error = "There are arguments after the features";
		return -EINVAL;
	}
	return 0;
}

static int check_features(struct at_table *table)
{
	struct dm_target *ti = table->ti;

	table->read_only = !(dm_table_get_mode(ti->table) & BLK_OPEN_WRITE);
	if (table->read_only && table->stream) {
		ti->error = "stream needs a table that is not read-only";
		return -EINVAL;
	}
	if (table->copy_on_read && table->backing != AT_BACKING_DEVICE) {
		ti->error = "copy_on_read needs a backing device";
		return -EINVAL;
	}
	if (table->user_timeout_s && table->backing != AT_BACKING_USER) {
		ti->error = "user_timeout needs the backing user";
		return -EINVAL;
	}
	return 0;
}

static int make_workers(struct at_table *table)
{
	struct dm_target *ti = table->ti;

	INIT_WORK(&table->deferred_work, at_deferred_work);
	INIT_WORK(&table->complete_work, complete_work);
	INIT_WORK(&table->event_work, event_work);
	spin_lock_init(&table->deferred_lock);
	bio_list_init(&table->deferred);
	at_stream_init_workers(table);

	table->copier = dm_live_copier_create(
		max_t(size_t, AT_FILL_BYTES,
		      at_block_sectors(table->device) << SECTOR_SHIFT));
	if (IS_ERR(table->copier)) {
		int r = PTR_ERR(table->copier);

		table->copier = NULL;
		ti->error = "Cannot allocate memory for copying";
		return r;
	}
	table->fill_wq = alloc_workqueue("alloctrack_fill",
					 WQ_UNBOUND | WQ_MEM_RECLAIM,
					 MAX_FILL_WORKERS);
	table->submit_wq = alloc_workqueue("alloctrack_submit",
					   WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	if (!table->fill_wq || !table->submit_wq) {
		ti->error = "Cannot allocate the workqueues";
		return -ENOMEM;
	}
	return 0;
}

static void free_table(struct at_table *table)
{
	if (table->fill_wq) {
		at_stream_stop_workers(table);
		destroy_workqueue(table->fill_wq);
	}
	if (table->submit_wq)
		destroy_workqueue(table->submit_wq);
	dm_live_copier_destroy(table->copier);
	if (table->parked)
		at_device_put_table(table->parked);
	if (table->device)
		at_device_put_table(table->device);
	if (table->backing_dev)
		dm_put_device(table->ti, table->backing_dev);
	if (table->file)
		dm_put_device(table->ti, table->file);
	kfree(table);
}

/*
 * <file dev> <backing> <meta dev|-> <block size> [<#features> <feature>...]
 *
 * file dev: the target volume
 * backing: a device, "user" (served through /dev/dm-alloctrack), or "-"
 * meta dev: "-"
 * block size: in sectors, a power of two from 8 to 4096
 *
 * Features:
 * auto_remove: when complete, map without looking at the bitmap
 * copy_on_read: what is read from the backing is put on the file
 * stream: start streaming at once
 * stream_speed <bytes/s>: limit of streaming, 0: none
 * on_error report|ignore|stop|enospc: what a stream error does
 * target_is_zero: the file reads as zeros where nothing was written
 * no_detect_zeroes: do not look for zeros in what is copied
 * user_timeout <s>: I/O waits no longer than that for the server, 0: for ever
 */
static int parse(struct at_table *table, unsigned int argc, char **argv)
{
	struct dm_arg_set args = { .argc = argc, .argv = argv };
	struct dm_target *ti = table->ti;
	struct at_geometry geometry = { };
	const char *file, *backing, *meta, *block_size;
	int r;

	if (argc < 4) {
		ti->error = "Needs <file dev> <backing> <meta dev> <block size>";
		return -EINVAL;
	}
	file = dm_shift_arg(&args);
	backing = dm_shift_arg(&args);
	meta = dm_shift_arg(&args);
	block_size = dm_shift_arg(&args);
	r = parse_file(table, file) ?:
	    parse_backing(table, backing) ?:
	    parse_meta(table, meta) ?:
	    parse_block_size(table, block_size, &geometry.block_shift) ?:
	    parse_features(table, &args) ?:
	    check_features(table);
	if (r)
		return r;

	geometry.file_devt = table->file->bdev->bd_dev;
	geometry.nr_sectors = ti->len;
	geometry.nr_blocks = DIV_ROUND_UP_ULL(ti->len,
					      1ULL << geometry.block_shift);
	table->device = at_device_get(ti, &geometry);
	if (IS_ERR(table->device)) {
		r = PTR_ERR(table->device);
		table->device = NULL;
	}
	return r;
}

static int construct(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct at_table *table = kzalloc(sizeof(*table), GFP_KERNEL);
	int r;

	if (!table) {
		ti->error = "Cannot allocate the table";
		return -ENOMEM;
	}
	table->ti = ti;
	r = parse(table, argc, argv) ?: make_workers(table);
	if (r) {
		free_table(table);
		return r;
	}

	ti->private = table;
	ti->num_flush_bios = 1;
	ti->num_discard_bios = 1;
	ti->num_write_zeroes_bios = 1;
	/* A discard needs nothing of the backing. */
	ti->discards_supported =
		bdev_max_discard_sectors(table->file->bdev) > 0;
	ti->per_io_data_size = sizeof(struct at_io);
	return 0;
}

static void destroy(struct dm_target *ti)
{
	free_table(ti->private);
}

static void presuspend(struct dm_target *ti)
{
	struct at_table *table = ti->private;

	at_faults_suspend(table->device, dm_noflush_suspending(ti));
}

static void presuspend_undo(struct dm_target *ti)
{
	struct at_table *table = ti->private;

	at_faults_resume(table->device);
}

static void postsuspend(struct dm_target *ti)
{
	struct at_table *table = ti->private;

	/* No guest I/O is left. Wait out the server, then the workers. */
	at_device_set_active(table->device, NULL);
	at_stream_stop_workers(table);
	flush_workqueue(table->fill_wq);
	flush_workqueue(table->submit_wq);
}

static int preresume(struct dm_target *ti)
{
	struct at_table *table = ti->private;
	int r = at_device_activate(table);

	if (r)
		DMERR("%s: resume refused: the table does not fit the allocation bitmap; load one with the former file device, size and block size",
		      table->device->name);
	return r;
}

/* What the table line says about the job, on the first resume of the table. */
static void apply_features(struct at_table *table)
{
	struct at_device *device = table->device;

	if (table->target_is_zero && !device->applied)
		device->file_is_zero = true;
	if (table->has_stream_speed)
		at_stream_set_speed(device, table->stream_speed);
	if (table->has_on_error)
		at_stream_set_on_error(device, table->on_error);
	device->applied = true;
}

static void resume(struct dm_target *ti)
{
	struct at_table *table = ti->private;
	struct at_device *device = table->device;
	bool start = false;

	if (!table->resumed) {
		apply_features(table);
		start = table->stream;
		table->resumed = true;
	}
	at_faults_resume(device);
	at_device_set_active(device, table);
	if (at_device_is_full(device))
		queue_work(table->fill_wq, &table->complete_work);
	if (start)
		at_stream_message(table, "start");
	at_stream_kick(table);
}

static void emit_features(struct at_table *table, char *result,
			  unsigned int maxlen, unsigned int *position)
{
	unsigned int sz = *position;
	unsigned int nr = table->auto_remove + table->copy_on_read +
			  table->stream + 2 * table->has_stream_speed +
			  2 * table->has_on_error + table->target_is_zero +
			  table->no_detect_zeroes +
			  2 * !!table->user_timeout_s;

	DMEMIT("%u", nr);
	if (table->auto_remove)
		DMEMIT(" auto_remove");
	if (table->copy_on_read)
		DMEMIT(" copy_on_read");
	if (table->stream)
		DMEMIT(" stream");
	if (table->has_stream_speed)
		DMEMIT(" stream_speed %llu", table->stream_speed);
	if (table->has_on_error)
		DMEMIT(" on_error %s", at_on_error_name(table->on_error));
	if (table->target_is_zero)
		DMEMIT(" target_is_zero");
	if (table->no_detect_zeroes)
		DMEMIT(" no_detect_zeroes");
	if (table->user_timeout_s)
		DMEMIT(" user_timeout %u", table->user_timeout_s);
	*position = sz;
}

/*
 * <meta rw|ro|none> <state> <allocated blocks>/<total blocks> <block size>
 * <streamed bytes> <read errors> <write errors> <#features> <feature>...
 */
static void emit_status(struct at_table *table, char *result,
			unsigned int maxlen, unsigned int *position)
{
	struct at_device *device = table->device;
	unsigned int sz = *position;

	DMEMIT("none %s %llu/%llu %llu %llu %llu %llu ",
	       at_stream_state_name(READ_ONCE(device->stream.state)),
	       dm_live_bitmap_weight(device->bitmap),
	       device->geometry.nr_blocks, (u64)at_block_sectors(device),
	       (u64)atomic64_read(&device->streamed_bytes),
	       (u64)atomic64_read(&device->read_errors),
	       (u64)atomic64_read(&device->write_errors));
	*position = sz;
}

static void emit_table(struct at_table *table, char *result,
		       unsigned int maxlen, unsigned int *position)
{
	static const char *const backings[] = {
		[AT_BACKING_NONE] = "-",
		[AT_BACKING_USER] = "user",
	};
	unsigned int sz = *position;

	DMEMIT("%s %s - %llu ", table->file->name,
	       table->backing_dev ? table->backing_dev->name :
				    backings[table->backing],
	       (u64)at_block_sectors(table->device));
	*position = sz;
}

static void status(struct dm_target *ti, status_type_t type,
		   unsigned int status_flags, char *result, unsigned int maxlen)
{
	struct at_table *table = ti->private;
	unsigned int position = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		emit_status(table, result, maxlen, &position);
		emit_features(table, result, maxlen, &position);
		break;
	case STATUSTYPE_TABLE:
		emit_table(table, result, maxlen, &position);
		emit_features(table, result, maxlen, &position);
		break;
	case STATUSTYPE_IMA:
		*result = '\0';
		break;
	}
}

/*
 * stream start|pause|resume|cancel
 * stream_speed <bytes/s>
 * on_error report|ignore|stop|enospc
 */
static int message(struct dm_target *ti, unsigned int argc, char **argv,
		   char *result, unsigned int maxlen)
{
	struct at_table *table = ti->private;
	struct at_device *device = table->device;
	enum dm_alloctrack_on_error on_error;
	u64 speed;
	int r = -EINVAL;

	if (argc != 2) {
		DMERR("%s: message: needs two words", device->name);
		return -EINVAL;
	}
	if (!strcmp(argv[0], "stream")) {
		r = at_stream_message(table, argv[1]);
	} else if (!strcmp(argv[0], "stream_speed")) {
		r = kstrtou64(argv[1], 10, &speed);
		if (!r) {
			at_stream_set_speed(device, speed);
			at_stream_kick(table);
		}
	} else if (!strcmp(argv[0], "on_error")) {
		r = at_parse_on_error(argv[1], &on_error);
		if (!r)
			at_stream_set_on_error(device, on_error);
	}
	if (r)
		DMERR("%s: message '%s %s' refused: %d (the job is %s)",
		      device->name, argv[0], argv[1], r,
		      at_stream_state_name(READ_ONCE(device->stream.state)));
	return r;
}

static int iterate_devices(struct dm_target *ti,
			   iterate_devices_callout_fn fn, void *data)
{
	struct at_table *table = ti->private;
	sector_t backing_sectors;
	int r;

	r = fn(ti, table->file, 0, ti->len, data);
	if (r || !table->backing_dev)
		return r;
	/*
	 * The length is checked against the logical block size of the whole
	 * stack, to which a shorter backing need not be aligned.
	 */
	backing_sectors = round_down(table->backing_sectors,
				     at_block_sectors(table->device));
	return fn(ti, table->backing_dev, 0, backing_sectors, data);
}

static void io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct at_table *table = ti->private;
	struct block_device *file = table->file->bdev;
	u64 block_bytes = (u64)at_block_sectors(table->device) << SECTOR_SHIFT;
	unsigned int opt_bytes = limits->io_opt;

	/* A write of whole blocks needs no fill. */
	if (!opt_bytes || opt_bytes % block_bytes)
		limits->io_opt = block_bytes;
	if (!bdev_max_discard_sectors(file))
		return;
	dm_live_limits_set_discard(limits,
		max_t(unsigned int, block_bytes,
		      bdev_discard_granularity(file)),
		min(bdev_max_discard_sectors(file), MAX_DISCARD_SECTORS));
}

static struct target_type alloctrack_target = {
	.name = "alloctrack",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = construct,
	.dtr = destroy,
	.map = at_map,
	.end_io = at_end_io,
	.presuspend = presuspend,
	.presuspend_undo = presuspend_undo,
	.postsuspend = postsuspend,
	.preresume = preresume,
	.resume = resume,
	.status = status,
	.message = message,
	.iterate_devices = iterate_devices,
	.io_hints = io_hints,
};

int at_target_init(void)
{
	return dm_register_target(&alloctrack_target);
}

void at_target_exit(void)
{
	dm_unregister_target(&alloctrack_target);
}
