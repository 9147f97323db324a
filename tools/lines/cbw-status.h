/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CBW_STATUS_H
#define DMLIVE_CBW_STATUS_H

/*
 * The status line of the target cbw. Words that a newer kernel adds at the end are
 * ignored; anything else unknown is an error.
 */

#include <stdint.h>

#include "lines/cbw-table.h"

struct cbw_status {
	enum cbw_session_state session;
	uint64_t copied_blocks;
	uint64_t scope_blocks;
	uint64_t block_bytes;
	enum cbw_job_state job;
	uint64_t job_bytes;
	uint64_t job_total_bytes;
	uint64_t cow_writes;
	uint64_t source_errors;
	uint64_t target_errors;
	uint64_t slots_used;
	uint64_t slots;			/* 0: no fleece device */
	struct cbw_features features;
};

/*
 * @params are the words after the target's name. Return: 0 or -EINVAL.
 */
int cbw_status_parse(const char *params, struct cbw_status *status);

struct dm_device;

/*
 * Ask the mapped device @name. @device, if not NULL, is filled in too. Return: 0, a
 * negative errno of the kernel, or -EINVAL: its table is not a single cbw target.
 */
int cbw_status_get(const char *name, struct cbw_status *status,
		   struct dm_device *device);

const char *cbw_session_name(enum cbw_session_state state);
const char *cbw_job_name(enum cbw_job_state state);

#endif /* DMLIVE_CBW_STATUS_H */
