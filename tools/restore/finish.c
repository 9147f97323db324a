// SPDX-License-Identifier: GPL-2.0-only
/*
 * The swap to a linear mapping, and the end of the metadata.
 *
 * The new table is loaded before the device is suspended, so most failures happen while
 * I/O still runs. The kernel suspends, swaps and resumes in one step, so a killed process
 * leaves no suspended device. That step may fail and leave the device suspended, so this
 * process must not depend on it, see process_become_independent().
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "attach/swap.h"
#include "block/blockdev.h"
#include "block/dm.h"
#include "restore/finished.h"
#include "base/log.h"
#include "restore/runtime.h"
#include "lines/status-line.h"
#include "restore/finish.h"
#include "restore/metadata.h"
#include "restore/own-device.h"

static void say_incomplete(const char *name,
			   const struct alloctrack_status *status)
{
	const char *hint;

	switch (status->state) {
	case DM_ALLOCTRACK_RUNNING:
		hint = "wait until it is complete";
		break;
	case DM_ALLOCTRACK_PAUSED:
	case DM_ALLOCTRACK_STOPPED:
		hint = "resume the stream job: dmlive stream NAME resume";
		break;
	default:
		hint = "start the stream job: dmlive stream NAME start";
		break;
	}
	error("%s is not complete: %" PRIu64 " of %" PRIu64 " blocks are on the volume and the stream job is %s; %s",
	      name, status->allocated_blocks, status->total_blocks,
	      state_name(status->state), hint);
}

static int check_complete(const char *name)
{
	struct alloctrack_status status;
	struct dm_line line;
	int r = dm_get_line(name, DM_LINE_STATUS, &line, NULL);

	if (r) {
		error_errno(r, "%s: cannot get its status", name);
		return r;
	}
	r = status_line_parse(line.params, &status);
	if (r) {
		error("%s: its status line cannot be parsed: %s", name,
		      line.params);
	} else if (status.state != DM_ALLOCTRACK_COMPLETE) {
		say_incomplete(name, &status);
		r = -EAGAIN;
	}
	dm_line_free(&line);
	return r;
}

static int swap(const char *name, const struct dm_line *line,
		const struct alloctrack_table *table, bool read_only)
{
	char params[STATUS_WORD_BYTES + 8];
	int r;

	snprintf(params, sizeof(params), "%s 0", table->file);
	r = dm_load(name, line->nr_sectors, "linear", params, read_only);
	if (r)
		return r;
	return swap_loaded(name);
}

static int retire_metadata(const struct alloctrack_table *table)
{
	char path[PATH_MAX];

	return !strcmp(table->meta, "-") ? 0 :
	       metadata_retire(blockdev_path_of(table->meta, path,
						sizeof(path)));
}

/* For `dmlive status`. */
static void note_finished(const char *name, const struct dm_device *device,
			  const struct alloctrack_table *table)
{
	struct restore_options options;
	char path[PATH_MAX];

	if (runtime_load(name, &options))
		memset(&options, 0, sizeof(options));
	finished_save(name, device->uuid,
		      blockdev_path_of(table->file, path, sizeof(path)),
		      options.image);
	restore_options_free(&options);
}

int finish_device(const char *name)
{
	struct alloctrack_table table;
	struct dm_device device;
	struct dm_line line = { 0 };
	bool in_place, tidied;
	int r;

	if (own_tidy(name, &tidied))
		return -EIO;
	if (tidied)
		return 0;
	r = dm_get_line(name, DM_LINE_TABLE, &line, &device);
	if (r == -ENXIO) {
		error("there is no mapped device %s", name);
		return r;
	}
	if (r) {
		error_errno(r, "%s: cannot get its table", name);
		return r;
	}
	if (!strcmp(line.target, "linear")) {
		info("%s is a linear mapping already", name);
		goto free;
	}
	if (strcmp(line.target, "alloctrack") || line.nr_lines != 1 ||
	    table_line_parse(line.params, &table)) {
		error("%s is not an alloctrack device: its table is '%s %s'", name,
		      line.target, line.params);
		r = -EINVAL;
		goto free;
	}
	/* With a new table loaded it is an interrupted swap, which is repeated. */
	if (device.suspended && !device.has_inactive_table) {
		error("%s is suspended; resume it first: dmsetup resume %s",
		      name, name);
		r = -EBUSY;
		goto free;
	}
	r = check_complete(name);
	in_place = !r && own_is_live(name);
	if (!r)
		r = in_place ? own_finish(name) :
			       swap(name, &line, &table, device.read_only);
	if (!r && !in_place)
		note_finished(name, &device, &table);
	/* The record is kept while the metadata could be resumed. */
	if (!r && !retire_metadata(&table) && in_place)
		own_forget(name);
free:
	dm_line_free(&line);
	return r;
}
