// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table line: reading it, and writing it back.
 */
#include <linux/blkdev.h>

#include "alloctrack.h"

#define MIN_BLOCK_SECTORS	(4096u >> SECTOR_SHIFT)
#define MAX_BLOCK_SECTORS	((2u << 20) >> SECTOR_SHIFT)
#define MAX_USER_TIMEOUT_S	(LONG_MAX / HZ / 2)

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
	struct dm_target *ti = table->ti;
	int r;

	if (!strcmp(path, "-"))
		return 0;
	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &table->meta);
	if (r) {
		ti->error = "Cannot open the metadata device";
		return r;
	}
	if (table->meta->bdev == table->file->bdev ||
	    (table->backing_dev &&
	     table->meta->bdev == table->backing_dev->bdev)) {
		ti->error = "The metadata device is the file or the backing device";
		return -EINVAL;
	}
	return 0;
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
		ti->error = "A block is smaller than a logical block of the file device";
		return -EINVAL;
	}
	if (table->backing_dev &&
	    bytes < bdev_logical_block_size(table->backing_dev->bdev)) {
		ti->error = "A block is smaller than a logical block of the backing device";
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

/*
 * <file dev> <backing> <meta dev|-> <block size> [<#features> <feature>...]
 *
 * file dev: the target volume
 * backing: a device, "user" (served through /dev/dm-alloctrack), or "-"
 * meta dev: a bitmap store, see Documentation/bitmap-format.rst, or "-"
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
int at_table_parse(struct at_table *table, unsigned int argc, char **argv)
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
	if (!r && table->meta)
		r = at_meta_open(table, geometry.block_shift);
	if (r)
		return r;

	geometry.meta_devt = table->meta ? table->meta->bdev->bd_dev : 0;
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

unsigned int at_table_emit_features(const struct at_table *table,
				    unsigned int sz, char *result,
				    unsigned int maxlen)
{
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
	return sz;
}

unsigned int at_table_emit(const struct at_table *table, unsigned int sz,
			   char *result, unsigned int maxlen)
{
	static const char *const backings[] = {
		[AT_BACKING_NONE] = "-",
		[AT_BACKING_USER] = "user",
	};

	DMEMIT("%s %s %s %llu ", table->file->name,
	       table->backing_dev ? table->backing_dev->name :
				    backings[table->backing],
	       table->meta ? table->meta->name : "-",
	       (u64)at_block_sectors(table->device));
	return at_table_emit_features(table, sz, result, maxlen);
}
