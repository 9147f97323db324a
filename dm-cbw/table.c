// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table line of "cbw": parsing and emitting it.
 */
#include <linux/blkdev.h>
#include <linux/slab.h>

#include "cbw.h"
#include "table.h"
#include "dm-live/copier.h"
#include "dm-live/table-line.h"

#define DEFAULT_BLOCK_SECTORS	128u
#define MIN_BLOCK_SECTORS	(CBW_MIN_BLOCK_BYTES >> SECTOR_SHIFT)
#define MAX_BLOCK_SECTORS	(CBW_MAX_BLOCK_BYTES >> SECTOR_SHIFT)

static int refuse(struct cbw_table *table, const char *argument,
		  const char *value, char *error, int r)
{
	return dm_live_refuse(table->ti, argument, value, error, r);
}

static int parse_origin(struct cbw_table *table, const char *path)
{
	struct dm_target *ti = table->ti;
	int r;

	r = dm_get_device(ti, path, dm_table_get_mode(ti->table),
			  &table->origin);
	if (r)
		return refuse(table, "origin", path, "Cannot open the origin",
			      r);
	if (bdev_nr_sectors(table->origin->bdev) < ti->len)
		return refuse(table, "origin", path,
			      "The origin is smaller than the target", -EINVAL);
	return 0;
}

static int parse_meta(struct cbw_table *table, const char *path)
{
	struct dm_target *ti = table->ti;
	int r;

	if (!strcmp(path, "-"))
		return 0;
	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &table->meta);
	if (r)
		return refuse(table, "metadata device", path,
			      "Cannot open the metadata device", r);
	if (table->meta->bdev == table->origin->bdev)
		return refuse(table, "metadata device", path,
			      "The metadata device is the origin", -EINVAL);
	return 0;
}

static int parse_block_size(struct cbw_table *table, const char *text)
{
	unsigned int sectors = DEFAULT_BLOCK_SECTORS;

	if (strcmp(text, "-") &&
	    (kstrtouint(text, 10, &sectors) || sectors < MIN_BLOCK_SECTORS ||
	     sectors > MAX_BLOCK_SECTORS || !is_power_of_2(sectors)))
		return refuse(table, "block size", text,
			      "The block size must be a power of two from 8 to 4096 sectors, or '-'",
			      -EINVAL);
	table->block_shift = ilog2(sectors);
	if (sectors << SECTOR_SHIFT <
	    bdev_logical_block_size(table->origin->bdev))
		return refuse(table, "block size", text,
			      "A block is smaller than a logical block of the origin",
			      -EINVAL);
	return 0;
}

enum cbw_feature { CBW_FEATURES(DM_LIVE_NUMBER) NR_FEATURES };

static const char *const feature_names[] = { CBW_FEATURES(DM_LIVE_WORD) };

/* Features that need a session, and those that need a session with a job. */
#define SESSION_FEATURES (BIT(ON_CBW_ERROR) | BIT(CBW_TIMEOUT))
#define JOB_FEATURES (BIT(JOB) | BIT(JOB_SPEED) | BIT(JOB_WORKERS) | \
		      BIT(ON_SOURCE_ERROR) | BIT(ON_TARGET_ERROR))

static const char *const on_cbw_error_names[] = { CBW_ON_CBW_ERROR(DM_LIVE_WORD) };
static const char *const on_meta_error_names[] = { CBW_ON_META_ERROR(DM_LIVE_WORD) };
static const char *const on_error_names[] = { CBW_ON_ERROR(DM_LIVE_WORD) };

static int parse_store(struct cbw_table *table, const char *what,
		       const char *path, struct dm_dev **store)
{
	struct block_device *origin = table->origin->bdev;
	struct block_device *meta = table->meta ? table->meta->bdev : NULL;
	struct block_device *bdev;
	int r;

	r = dm_get_device(table->ti, path, BLK_OPEN_READ | BLK_OPEN_WRITE,
			  store);
	if (r)
		return refuse(table, what, path,
			      "Cannot open the target or fleece device", r);
	bdev = (*store)->bdev;
	/*
	 * In a read-only table, dm_get_device() has upgraded the mode of a device
	 * that is there already, and replaced its dm_dev.
	 */
	if (bdev == origin) {
		table->origin = *store;
		return refuse(table, what, path,
			      "The target or fleece device is the origin",
			      -EINVAL);
	}
	if (bdev == meta) {
		table->meta = *store;
		return refuse(table, what, path,
			      "The target or fleece device is the metadata device",
			      -EINVAL);
	}
	if (bdev_is_zoned(bdev))
		return refuse(table, what, path,
			      "The target or fleece device is zoned", -EINVAL);
	if (bdev_read_only(bdev))
		return refuse(table, what, path,
			      "The target or fleece device is read-only",
			      -EROFS);
	if (table->target && table->fleece &&
	    table->target->bdev == table->fleece->bdev)
		return refuse(table, what, path,
			      "The target is the fleece device", -EINVAL);
	return 0;
}

static int parse_bitmap(struct cbw_table *table, const char *feature,
			const char *value, bool is_new)
{
	struct cbw_config *config = &table->config;

	if (config->bitmap)
		return refuse(table, feature, value,
			      "bitmap and new_bitmap exclude each other",
			      -EINVAL);
	if (strpbrk(value, " \t\n\\"))
		return refuse(table, feature, value,
			      "The name of the bitmap has blanks or backslashes",
			      -EINVAL);
	config->bitmap = kstrdup(value, GFP_KERNEL);
	if (!config->bitmap)
		return refuse(table, feature, value, "Out of memory", -ENOMEM);
	config->bitmap_is_new = is_new;
	return 0;
}

static int parse_name(struct cbw_table *table, const char *const *names,
		      size_t nr, const char *feature, const char *value,
		      char *error)
{
	int i = match_string(names, nr, value);

	return i < 0 ? refuse(table, feature, value, error, -EINVAL) : i;
}

static int parse_on_error(struct cbw_table *table, const char *feature,
			  const char *value, enum cbw_on_error *on_error)
{
	int r = parse_name(table, on_error_names, ARRAY_SIZE(on_error_names),
			   feature, value,
			   "The policy must be report, ignore, stop or enospc");

	if (r < 0)
		return r;
	*on_error = r;
	return 0;
}

static int parse_on_cbw_error(struct cbw_table *table, const char *value)
{
	int r = parse_name(table, on_cbw_error_names,
			   ARRAY_SIZE(on_cbw_error_names), "on_cbw_error",
			   value,
			   "on_cbw_error must be break_guest_write or break_snapshot");

	if (r < 0)
		return r;
	table->config.on_cbw_error = r;
	return 0;
}

static int parse_on_meta_error(struct cbw_table *table, const char *value)
{
	int r = parse_name(table, on_meta_error_names,
			   ARRAY_SIZE(on_meta_error_names), "on_meta_error",
			   value,
			   "on_meta_error must be break_guest_write or break_tracking");

	if (r < 0)
		return r;
	table->config.on_meta_error = r;
	return 0;
}

static int set_feature(void *context, unsigned int feature, const char *value)
{
	struct cbw_table *table = context;
	struct cbw_config *config = &table->config;
	const char *name = feature_names[feature];

	switch ((enum cbw_feature)feature) {
	case JOB:
		config->job = true;
		return 0;
	case TARGET:
		return parse_store(table, name, value, &table->target);
	case FLEECE:
		return parse_store(table, name, value, &table->fleece);
	case BITMAP:
	case NEW_BITMAP:
		return parse_bitmap(table, name, value, feature == NEW_BITMAP);
	case GENERATION:
		if (kstrtou64(value, 10, &config->generation) ||
		    !config->generation)
			return refuse(table, name, value,
				      "generation must be a number, not 0",
				      -EINVAL);
		return 0;
	case ON_META_ERROR:
		return parse_on_meta_error(table, value);
	case ON_CBW_ERROR:
		return parse_on_cbw_error(table, value);
	case CBW_TIMEOUT:
		if (kstrtou64(value, 10, &config->timeout_ms))
			return refuse(table, name, value,
				      "cbw_timeout must be a number of milliseconds",
				      -EINVAL);
		return 0;
	case JOB_SPEED:
		if (kstrtou64(value, 10, &config->job_speed))
			return refuse(table, name, value,
				      "job_speed must be a number of bytes per second",
				      -EINVAL);
		return 0;
	case JOB_WORKERS:
		if (kstrtouint(value, 10, &config->job_workers) ||
		    !config->job_workers ||
		    config->job_workers > CBW_MAX_JOB_WORKERS)
			return refuse(table, name, value,
				      "job_workers must be a number from 1 to 16",
				      -EINVAL);
		return 0;
	case ON_SOURCE_ERROR:
		return parse_on_error(table, name, value,
				      &config->on_source_error);
	case ON_TARGET_ERROR:
		return parse_on_error(table, name, value,
				      &config->on_target_error);
	case FLEECE_LOW_WATER:
		if (kstrtouint(value, 10, &config->low_water_percent) ||
		    config->low_water_percent > 100)
			return refuse(table, name, value,
				      "fleece_low_water must be a percentage from 0 to 100",
				      -EINVAL);
		return 0;
	case NR_FEATURES:
		break;
	}
	return -EINVAL;
}

static const struct dm_live_features features = {
	.names = feature_names,
	.nr = NR_FEATURES,
	.first_with_value = TARGET,
	.set = set_feature,
};

static int check_store(struct cbw_table *table, const struct dm_dev *store)
{
	struct block_device *bdev = store->bdev;
	unsigned int block_bytes = 1u << (table->block_shift + SECTOR_SHIFT);
	struct dm_target *ti = table->ti;
	unsigned int lbs_sectors = bdev_logical_block_size(bdev) >>
				   SECTOR_SHIFT;

	if (block_bytes < bdev_logical_block_size(bdev) ||
	    ti->len & (lbs_sectors - 1)) {
		ti->error = "The target or fleece device has too large logical blocks";
		return -EINVAL;
	}
	if (store == table->target && bdev_nr_sectors(bdev) < ti->len) {
		ti->error = "The target device is smaller than the cbw device";
		return -EINVAL;
	}
	return 0;
}

static int check_features(struct cbw_table *table)
{
	struct dm_target *ti = table->ti;
	u32 given = table->config.given;
	int r = 0;

	if (!table->target && !table->fleece && given & SESSION_FEATURES) {
		ti->error = "on_cbw_error and cbw_timeout need target or fleece";
		return -EINVAL;
	}
	if (!table->target && given & JOB_FEATURES) {
		ti->error = "The features of the job need target";
		return -EINVAL;
	}
	if (!table->fleece && given & BIT(FLEECE_LOW_WATER)) {
		ti->error = "fleece_low_water needs fleece";
		return -EINVAL;
	}
	if (!table->meta && given & BIT(ON_META_ERROR)) {
		ti->error = "on_meta_error needs a metadata device";
		return -EINVAL;
	}
	if (table->config.bitmap &&
	    (!(table->target || table->fleece) || !table->meta)) {
		ti->error = "bitmap and new_bitmap need a session and a metadata device";
		return -EINVAL;
	}
	if (!table->config.bitmap && given & BIT(GENERATION)) {
		ti->error = "generation needs bitmap or new_bitmap";
		return -EINVAL;
	}
	if (table->target)
		r = check_store(table, table->target);
	if (!r && table->fleece)
		r = check_store(table, table->fleece);
	return r;
}

/*
 * <origin> <meta dev|-> <block size|-> [<#features> <feature>...]
 *
 * origin: what the guest reads and writes
 * meta dev: a bitmap store, see Documentation/bitmap-format.rst, or "-"
 * block size: in sectors, a power of two from 8 to 4096; "-": 128
 *
 * Features:
 * target <dev>: a session; the job copies there, to the same offset; old data of guest
 *	writes goes there too, unless there is a fleece device
 * fleece <dev>: a session; old data of guest writes goes to slots there
 * bitmap <name>: limit the session to the blocks that are set in that bitmap
 * new_bitmap <name>: a full session, after which that bitmap starts from scratch
 * generation <n>: the generation that the backup of the session will have
 * on_meta_error break_guest_write|break_tracking: what happens when the metadata device
 *	fails
 * on_cbw_error break_guest_write|break_snapshot: what happens when a copy fails
 * cbw_timeout <ms>: how long a guest write waits at most, 0: no limit
 * job: start the job at once
 * job_speed <bytes/s>: speed limit of the job, 0: none
 * job_workers <1..16>
 * on_source_error, on_target_error report|ignore|stop|enospc: of the job
 * fleece_low_water <percent>: raise an event when fewer slots are free, 0: never
 */
int cbw_table_parse(struct cbw_table *table, unsigned int argc, char **argv)
{
	struct dm_arg_set args = { .argc = argc, .argv = argv };
	const char *origin, *meta, *block_size;

	if (argc < 3) {
		table->ti->error = "Needs <origin> <meta dev> <block size>";
		return -EINVAL;
	}
	table->config.job_workers = CBW_DEFAULT_JOB_WORKERS;
	table->config.low_water_percent = CBW_DEFAULT_LOW_WATER;
	origin = dm_shift_arg(&args);
	meta = dm_shift_arg(&args);
	block_size = dm_shift_arg(&args);
	return parse_origin(table, origin) ?:
	       parse_meta(table, meta) ?:
	       parse_block_size(table, block_size) ?:
	       dm_live_parse_features(table->ti, &features, &args, table,
				      &table->config.given) ?:
	       check_features(table);
}

static bool is_shown(const struct cbw_table *table, enum cbw_feature feature)
{
	/* A message may have set it. */
	if (feature == JOB_SPEED && table->session &&
	    dm_live_rate_get(&table->session->job.rate))
		return true;
	return table->config.given & BIT(feature);
}

static unsigned int emit_value(const struct cbw_table *table,
			       enum cbw_feature feature, unsigned int sz,
			       char *result, unsigned int maxlen)
{
	const struct cbw_config *config = &table->config;

	switch (feature) {
	case TARGET:
		DMEMIT(" %s", table->target->name);
		break;
	case FLEECE:
		DMEMIT(" %s", table->fleece->name);
		break;
	case BITMAP:
	case NEW_BITMAP:
		DMEMIT(" %s", config->bitmap);
		break;
	case GENERATION:
		DMEMIT(" %llu", config->generation);
		break;
	case ON_META_ERROR:
		DMEMIT(" %s", on_meta_error_names[config->on_meta_error]);
		break;
	case ON_CBW_ERROR:
		DMEMIT(" %s", on_cbw_error_names[config->on_cbw_error]);
		break;
	case CBW_TIMEOUT:
		DMEMIT(" %llu", config->timeout_ms);
		break;
	case JOB_SPEED:
		DMEMIT(" %llu", dm_live_rate_get(&table->session->job.rate));
		break;
	case JOB_WORKERS:
		DMEMIT(" %u", config->job_workers);
		break;
	case ON_SOURCE_ERROR:
		DMEMIT(" %s", on_error_names[config->on_source_error]);
		break;
	case ON_TARGET_ERROR:
		DMEMIT(" %s", on_error_names[config->on_target_error]);
		break;
	case FLEECE_LOW_WATER:
		DMEMIT(" %u", config->low_water_percent);
		break;
	default:
		break;
	}
	return sz;
}

unsigned int cbw_table_emit_features(const struct cbw_table *table,
				     unsigned int sz, char *result,
				     unsigned int maxlen)
{
	unsigned int nr = 0;
	int i;

	for (i = 0; i < NR_FEATURES; i++)
		if (is_shown(table, i))
			nr += i >= TARGET ? 2 : 1;
	DMEMIT("%u", nr);
	for (i = 0; i < NR_FEATURES; i++) {
		if (!is_shown(table, i))
			continue;
		DMEMIT(" %s", feature_names[i]);
		sz = emit_value(table, i, sz, result, maxlen);
	}
	return sz;
}

unsigned int cbw_table_emit(const struct cbw_table *table, unsigned int sz,
			    char *result, unsigned int maxlen)
{
	DMEMIT("%s %s %u ", table->origin->name,
	       table->meta ? table->meta->name : "-", 1u << table->block_shift);
	return cbw_table_emit_features(table, sz, result, maxlen);
}
