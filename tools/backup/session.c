// SPDX-License-Identifier: GPL-2.0-only
/* The session of a device: its tables, and how it is ended. */
#include <errno.h>
#include <string.h>

#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "base/process.h"
#include "block/lvm.h"
#include "lines/cbw-table.h"
#include "lines/cbw-tracking.h"

static bool has_session(const char *params, const char *before,
			const char *old_data)
{
	struct cbw_table table, plain;

	return !cbw_table_parse(params, &table) &&
	       !cbw_table_parse(before, &plain) &&
	       table.features.store != CBW_STORE_NONE &&
	       !strcmp(table.features.store_device, old_data) &&
	       !strcmp(table.origin, plain.origin) &&
	       !strcmp(table.meta, plain.meta);
}

int session_find_table(const char *name, bool inactive, const char *before,
		       const char *old_data, struct dm_device *device)
{
	enum session_table found = SESSION_TABLE_OTHER;
	struct dm_table table;
	const char *params;
	int r = dm_get_table(name, inactive, &table, device);

	if (r)
		return r;
	params = table.lines[0].params;
	if (table.nr_lines == 1 && !strcmp(table.lines[0].target, CBW_TARGET)) {
		if (!strcmp(params, before))
			found = SESSION_TABLE_BEFORE;
		else if (has_session(params, before, old_data))
			found = SESSION_TABLE_DURING;
	}
	dm_table_free(&table);
	return found;
}

void session_say_suspended(const char *name)
{
	error("%s stays suspended: the kernel cannot resume it, see the kernel log; when the cause is fixed: dmsetup resume %s",
	      dm_name_now(name), dm_name_now(name));
}

static int swap(const char *name)
{
	int r = dm_swap(name);

	return r && dm_is_suspended(name) ? dm_resume_or_retry(name) : r;
}

/* The kernel also resumes a device whose metadata device fails. */
static void check_metadata(const char *name)
{
	struct cbw_tracking tracking = { 0 };
	struct dm_line line = { 0 };
	bool failed;

	failed = !dm_get_line(name, DM_LINE_STATUS, &line, NULL) &&
		 !cbw_tracking_parse(line.params, &tracking) &&
		 !strcmp(tracking.state, "failed");
	name = dm_name_now(name);
	if (failed)
		warning("%s: its metadata device has failed: changes are not recorded any more, and writes fail unless the table has on_meta_error break_tracking; when it works again: dmsetup suspend %s, dmsetup resume %s; to do without it: dmlive detach %s",
			name, name, name, name);
	cbw_tracking_free(&tracking);
	dm_line_free(&line);
}

int session_end_on(const char *name, uint64_t nr_sectors, const char *params,
		   bool read_only)
{
	int r = dm_load(name, nr_sectors, CBW_TARGET, params, read_only);
	struct process_state state;

	process_become_independent(&state, true);
	if (!r)
		r = swap(name);
	if (!r) {
		check_metadata(name);
	} else if (dm_is_suspended(name)) {
		session_say_suspended(name);
	} else {
		dm_clear(name);
		error("%s keeps its session; to end it, load the table '0 %llu %s %s' with dmsetup, then suspend and resume",
		      dm_name_now(name), (unsigned long long)nr_sectors,
		      CBW_TARGET, params);
	}
	process_become_ordinary(&state);
	return r;
}

/*
 * Has somebody else, such as lvm2, given the device another table? That has ended the
 * session, and the table from before may need devices that are gone.
 */
static bool is_replaced(const struct volume *volume)
{
	int r = session_find_table(volume->name, false, volume->before,
				   volume->old_data_number, NULL);

	return r == SESSION_TABLE_OTHER || r == -ENXIO || r == -ENODATA;
}

int session_end(struct volume *volume)
{
	struct lvm_locks locks;
	int r;

	if (!volume->in_session)
		return EXIT_OK;
	/* The session must end even if the lock cannot be taken. */
	lvm_lock(&volume->devt, 1, false, &locks);
	if (is_replaced(volume))
		volume->in_session = false;
	r = volume->in_session ?
	    session_end_on(volume->name, volume->bytes / SECTOR_BYTES,
			   volume->before, volume->read_only) : 0;
	lvm_unlock(&locks);
	volume->in_session = r;
	return r ? EXIT_ERROR : EXIT_OK;
}
