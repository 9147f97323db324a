/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CBW_TABLE_H
#define DMLIVE_CBW_TABLE_H

/*
 * The table line of the target cbw: made from, and parsed into, a struct. Its meaning
 * is described in Documentation/dm-cbw.rst.
 *
 * To begin a session on a device: get its table, dm_get_line() and cbw_table_parse();
 * set @store, @store_device and whatever else is needed; cbw_table_format() and
 * dm_load(); dm_suspend(), dm_resume(). To end it: the same without a store, and
 * dm_swap().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/words.h"
#include "dm-live-words.h"

#define CBW_TARGET		"cbw"
#define CBW_VIEW_TARGET		"cbw-snapshot"

/* Room for any table line of cbw. */
#define CBW_PARAMS_BYTES	2048

enum cbw_store {
	CBW_STORE_NONE,			/* no session */
	CBW_STORE_TARGET,
	CBW_STORE_FLEECE,
};

/* A member that is 0 means the target's default, unless 0 is the default itself. */
struct cbw_features {
	enum cbw_store store;
	char store_device[STATUS_WORD_BYTES];
	char bitmap[STATUS_WORD_BYTES];		/* "": none */
	bool bitmap_is_new;			/* new_bitmap: it starts empty */
	uint64_t generation;			/* of the backup, 0: none */
	bool break_tracking;			/* on_meta_error */
	bool break_snapshot;			/* on_cbw_error */
	uint64_t timeout_ms;
	bool job;
	uint64_t job_speed;			/* bytes/s, 0: no limit */
	uint64_t job_workers;
	enum cbw_on_error on_source_error, on_target_error;
	bool has_low_water;			/* else the default */
	uint64_t low_water_percent;
};

struct cbw_table {
	char origin[STATUS_WORD_BYTES];		/* from the kernel: MAJOR:MINOR */
	char meta[STATUS_WORD_BYTES];		/* "-": none */
	uint64_t block_bytes;			/* 0: the default */
	struct cbw_features features;
};

/*
 * @params are the words after the target's name. Features of a newer kernel are
 * skipped: such a line must not be formatted again from @table.
 * Return: 0 or -EINVAL.
 */
int cbw_table_parse(const char *params, struct cbw_table *table);

/* Return: 0, or -EINVAL when it does not fit. */
int cbw_table_format(const struct cbw_table *table, char *params,
		     size_t params_bytes);

/*
 * Take the features at *@text, "[<#words> <feature>...]", of a table or status
 * line. Return: 0 or -EINVAL.
 */
int cbw_features_parse(const char **text, struct cbw_features *features);

#endif /* DMLIVE_CBW_TABLE_H */
