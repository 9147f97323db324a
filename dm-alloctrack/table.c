// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table line: reading it, and writing it back.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"
#include "blocks.h"
#include "device.h"
#include "metadata.h"
#include "names.h"
#include "dm-live-words.h"
#include "table.h"
#include "dm-live/copier.h"
#include "dm-live/table-line.h"

#define MIN_BLOCK_SECTORS	(4096u >> SECTOR_SHIFT)
#define MAX_BLOCK_SECTORS	((2u << 20) >> SECTOR_SHIFT)
#define MAX_USER_TIMEOUT_S	(LONG_MAX / HZ / 2)

static int refuse(struct at_table *table, const char *argument,
		  const char *value, char *error, int r)
{
	return dm_live_refuse(table->ti, argument, value, error, r);
}

static int parse_volume(struct at_table *table, const char *path)
{
	struct dm_target *ti = table->ti;
	int r;

	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &table->volume);
	if (r)
		return refuse(table, "file device", path,
			      "Cannot open the file device", r);
	if (bdev_nr_sectors(table->volume->bdev) < ti->len)
		return refuse(table, "file device", path,
			      "The file device is smaller than the target",
			      -EINVAL);
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
	if (r)
		return refuse(table, "backing", path,
			      "Cannot open the backing device", r);
	if (table->backing_dev->bdev == table->volume->bdev)
		return refuse(table, "backing", path,
			      "The backing device is the file device", -EINVAL);
	table->backing_sectors = min(bdev_nr_sectors(table->backing_dev->bdev),
				     ti->len);
	return 0;
}

static int parse_meta(struct at_table *table, const char *path)
{
	struct block_device *backing =
		table->backing_dev ? table->backing_dev->bdev : NULL;
	struct dm_target *ti = table->ti;
	int r;

	if (!strcmp(path, "-"))
		return 0;
	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &table->meta);
	if (r)
		return refuse(table, "metadata device", path,
			      "Cannot open the metadata device", r);
	/*
	 * The backing was opened for reading. Opening the same device for writing has
	 * replaced its dm_dev.
	 */
	if (table->meta->bdev == backing)
		table->backing_dev = table->meta;
	if (table->meta->bdev == backing ||
	    table->meta->bdev == table->volume->bdev)
		return refuse(table, "metadata device", path,
			      "The metadata device is the file or the backing device",
			      -EINVAL);
	return 0;
}

static int parse_block_size(struct at_table *table, const char *text,
			    unsigned int *block_shift)
{
	unsigned int sectors, bytes;

	if (kstrtouint(text, 10, &sectors) || sectors < MIN_BLOCK_SECTORS ||
	    sectors > MAX_BLOCK_SECTORS || !is_power_of_2(sectors))
		return refuse(table, "block size", text,
			      "The block size must be a power of two from 8 to 4096 sectors",
			      -EINVAL);
	bytes = sectors << SECTOR_SHIFT;
	if (bytes < bdev_logical_block_size(table->volume->bdev))
		return refuse(table, "block size", text,
			      "A block is smaller than a logical block of the file device",
			      -EINVAL);
	if (table->backing_dev &&
	    bytes < bdev_logical_block_size(table->backing_dev->bdev))
		return refuse(table, "block size", text,
			      "A block is smaller than a logical block of the backing device",
			      -EINVAL);
	*block_shift = ilog2(sectors);
	return 0;
}

enum feature { ALLOCTRACK_FEATURES(DM_LIVE_NUMBER) };

static const char *const feature_names[] = { ALLOCTRACK_FEATURES(DM_LIVE_WORD) };

static int set_feature(void *context, unsigned int feature, const char *value)
{
	struct at_table *table = context;

	switch ((enum feature)feature) {
	case AUTO_REMOVE:
		table->auto_remove = true;
		break;
	case COPY_ON_READ:
		table->copy_on_read = true;
		break;
	case STREAM:
		table->stream = true;
		break;
	case TARGET_IS_ZERO:
		table->target_is_zero = true;
		break;
	case NO_DETECT_ZEROES:
		table->no_detect_zeroes = true;
		break;
	case STREAM_SPEED:
		table->has_stream_speed = true;
		if (kstrtou64(value, 10, &table->stream_speed))
			return refuse(table, "stream_speed", value,
				      "stream_speed must be a number of bytes per second",
				      -EINVAL);
		break;
	case ON_ERROR:
		table->has_on_error = true;
		if (at_parse_on_error(value, &table->on_error))
			return refuse(table, "on_error", value,
				      "on_error must be report, ignore, stop or enospc",
				      -EINVAL);
		break;
	case USER_TIMEOUT:
		if (kstrtouint(value, 10, &table->user_timeout_s) ||
		    table->user_timeout_s > MAX_USER_TIMEOUT_S)
			return refuse(table, "user_timeout", value,
				      "user_timeout must be a number of seconds",
				      -EINVAL);
		break;
	}
	return 0;
}

static const struct dm_live_features features = {
	.names = feature_names,
	.nr = ARRAY_SIZE(feature_names),
	.first_with_value = STREAM_SPEED,
	.set = set_feature,
};

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

/*
 * <file dev> <backing> <meta dev|-> <block size> [<#features> <feature>...]
 *
 * file dev: the volume
 * backing: a device, "user" (served through /dev/dm-alloctrack), or "-"
 * meta dev: a bitmap store, see Documentation/bitmap-format.rst, or "-"
 * block size: in sectors, a power of two from 8 to 4096
 *
 * Features:
 * auto_remove: when complete, map without looking at the bitmap
 * copy_on_read: data read from the backing are also written to the volume
 * stream: start streaming at once
 * stream_speed <bytes/s>: limit of streaming, 0: none
 * on_error report|ignore|stop|enospc: what a stream error does
 * target_is_zero: the volume reads as zeros where nothing was written
 * no_detect_zeroes: do not look for zeros in copied data
 * user_timeout <s>: how long I/O waits for the server, 0: forever
 */
int at_table_parse(struct at_table *table, unsigned int argc, char **argv)
{
	struct dm_arg_set args = { .argc = argc, .argv = argv };
	struct dm_target *ti = table->ti;
	struct at_geometry geometry = { };
	const char *file, *backing, *meta, *block_size;
	u32 seen;
	int r;

	if (argc < 4) {
		ti->error = "Needs <file dev> <backing> <meta dev> <block size>";
		return -EINVAL;
	}
	file = dm_shift_arg(&args);
	backing = dm_shift_arg(&args);
	meta = dm_shift_arg(&args);
	block_size = dm_shift_arg(&args);
	r = parse_volume(table, file) ?:
	    parse_backing(table, backing) ?:
	    parse_meta(table, meta) ?:
	    parse_block_size(table, block_size, &geometry.block_shift) ?:
	    dm_live_parse_features(ti, &features, &args, table, &seen) ?:
	    check_features(table);
	if (!r && table->meta)
		r = at_meta_open(table, geometry.block_shift);
	if (r)
		return r;

	geometry.meta_devt = table->meta ? table->meta->bdev->bd_dev : 0;
	geometry.volume_devt = table->volume->bdev->bd_dev;
	geometry.nr_sectors = ti->len;
	geometry.nr_blocks = DIV_ROUND_UP_ULL(ti->len,
					      1ULL << geometry.block_shift);
	table->device = at_device_get(table, &geometry);
	if (IS_ERR(table->device)) {
		r = PTR_ERR(table->device);
		table->device = NULL;
	}
	return r;
}

/*
 * Settings that messages can change are shown with their present values, also in
 * the table line: loaded again, it makes a device like this one. A table that is
 * loaded but not active shows what it will set.
 */
static u64 shown_stream_speed(const struct at_table *table, bool *shown)
{
	u64 speed = table->stream_speed;

	if (table->resumed)
		speed = dm_live_rate_get(&table->device->stream.rate);
	*shown = table->has_stream_speed || speed;
	return speed;
}

static enum dm_alloctrack_on_error shown_on_error(const struct at_table *table,
						  bool *shown)
{
	enum dm_alloctrack_on_error on_error = table->on_error;

	if (table->resumed)
		on_error = READ_ONCE(table->device->stream.on_error);
	*shown = table->has_on_error ||
		 on_error != DM_ALLOCTRACK_ON_ERROR_REPORT;
	return on_error;
}

unsigned int at_table_emit_features(const struct at_table *table,
				    unsigned int sz, char *result,
				    unsigned int maxlen)
{
	bool has_stream_speed, has_on_error;
	u64 stream_speed = shown_stream_speed(table, &has_stream_speed);
	enum dm_alloctrack_on_error on_error = shown_on_error(table,
							      &has_on_error);
	unsigned int nr = table->auto_remove + table->copy_on_read +
			  table->stream + 2 * has_stream_speed +
			  2 * has_on_error + table->target_is_zero +
			  table->no_detect_zeroes +
			  2 * !!table->user_timeout_s;

	DMEMIT("%u", nr);
	if (table->auto_remove)
		DMEMIT(" auto_remove");
	if (table->copy_on_read)
		DMEMIT(" copy_on_read");
	if (table->stream)
		DMEMIT(" stream");
	if (has_stream_speed)
		DMEMIT(" stream_speed %llu", stream_speed);
	if (has_on_error)
		DMEMIT(" on_error %s", at_on_error_name(on_error));
	if (table->target_is_zero)
		DMEMIT(" target_is_zero");
	if (table->no_detect_zeroes)
		DMEMIT(" no_detect_zeroes");
	if (table->user_timeout_s)
		DMEMIT(" user_timeout %u", table->user_timeout_s);
	return sz;
}

unsigned int at_table_emit(const struct at_table *table, unsigned int sz,
			   char *result, unsigned int maxlen)
{
	static const char *const backings[] = {
		[AT_BACKING_NONE] = "-",
		[AT_BACKING_USER] = "user",
	};

	DMEMIT("%s %s %s %llu ", table->volume->name,
	       table->backing_dev ? table->backing_dev->name :
				    backings[table->backing],
	       table->meta ? table->meta->name : "-",
	       (u64)at_block_sectors(table->device));
	return at_table_emit_features(table, sz, result, maxlen);
}
