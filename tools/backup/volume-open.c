// SPDX-License-Identifier: GPL-2.0-only
/* Opening a device for a backup, and its table with a session. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "backup/recovery.h"
#include "backup/volume.h"
#include "base/exit.h"
#include "base/log.h"
#include "block/device-name.h"
#include "lines/cbw-status.h"
#include "restore/runtime.h"

/* More than this the target refuses. */
#define MAX_JOB_WORKERS 16u

static int lock(struct volume *volume)
{
	volume->lock_fd = recovery_lock_and_clear(volume->name);
	if (volume->lock_fd >= 0)
		return EXIT_OK;
	return volume->lock_fd == -EBUSY ? EXIT_REFUSED : EXIT_ERROR;
}

static int take_table(struct volume *volume, const struct dm_line *line)
{
	struct cbw_table table;

	if (line->nr_lines != 1 || strcmp(line->target, CBW_TARGET)) {
		error("%s has the target %s, but a backup needs %s; attach it first: dmlive attach %s",
		      volume->name, line->target, CBW_TARGET, volume->name);
		return EXIT_REFUSED;
	}
	if (cbw_table_parse(line->params, &table)) {
		error("%s: cannot parse its table line: %s", volume->name,
		      line->params);
		return EXIT_ERROR;
	}
	if (table.features.store != CBW_STORE_NONE) {
		error("%s has a session that was not begun by dmlive backup; end it first: load a table without a session, with dmsetup load, suspend and resume",
		      volume->name);
		return EXIT_REFUSED;
	}
	volume->before = strdup(line->params);
	volume->bytes = line->nr_sectors * SECTOR_BYTES;
	return volume->before ? EXIT_OK : EXIT_ERROR;
}

static int take_block_size(struct volume *volume)
{
	struct cbw_status status;
	int r = cbw_status_get(volume->name, &status, NULL);

	if (r) {
		error_errno(r, "%s: cannot get its status", volume->name);
		return EXIT_ERROR;
	}
	volume->block_bytes = status.block_bytes;
	return EXIT_OK;
}

static int inspect(struct volume *volume)
{
	struct dm_device device;
	struct dm_line line;
	int status, r;

	r = dm_get_line(volume->name, DM_LINE_TABLE, &line, &device);
	if (r == -ENXIO) {
		error("%s: no such mapped device; make one: dmlive attach DEVICE --name %s",
		      volume->name, volume->name);
		return EXIT_ERROR;
	}
	if (r) {
		error_errno(r, "%s: cannot get its table", volume->name);
		return EXIT_ERROR;
	}
	status = take_table(volume, &line);
	dm_line_free(&line);
	if (status)
		return status;
	if (device.suspended) {
		error("%s is suspended; resume it first: dmsetup resume %s",
		      volume->name, volume->name);
		return EXIT_REFUSED;
	}
	volume->devt = makedev(device.major, device.minor);
	volume->read_only = device.read_only;
	view_name(volume->view, volume->devt);
	return take_block_size(volume);
}

int volume_open(struct volume *volume, const struct backup_pair *pair)
{
	int status;

	volume->output = pair->output;
	volume->lock_fd = -1;
	volume->view_fd = -1;
	volume->old_data_fd = -1;
	volume->old_data_lock_fd = -1;
	volume->output_fd = -1;
	status = device_name_find(pair->name, volume->name);
	if (status == EXIT_REFUSED)
		error("attach the device first: dmlive attach %s --name NAME",
		      pair->name);
	if (!status)
		status = lock(volume);
	if (!status)
		status = inspect(volume);
	if (!status && extents_add(&volume->scope, 0, volume->bytes))
		status = EXIT_ERROR;
	return status;
}

void volume_close(struct volume *volume)
{
	if (volume->old_data_fd >= 0)
		close(volume->old_data_fd);
	if (volume->old_data_lock_fd >= 0)
		close(volume->old_data_lock_fd);
	if (volume->output_fd >= 0)
		close(volume->output_fd);
	extents_free(&volume->scope);
	increment_close(&volume->increment);
	free(volume->before);
	free(volume->during);
	if (volume->lock_fd >= 0)
		runtime_unlock(volume->name, volume->lock_fd);
	volume->lock_fd = -1;
}

int volume_compose(struct volume *volume, const struct backup_request *request,
		   uint64_t job_speed)
{
	char params[CBW_PARAMS_BYTES];
	struct cbw_table table;

	/* Cannot fail, since take_table() has parsed it. */
	cbw_table_parse(volume->before, &table);
	table.features.store = volume->by_job ? CBW_STORE_TARGET :
						CBW_STORE_FLEECE;
	snprintf(table.features.store_device,
		 sizeof(table.features.store_device), "%s",
		 volume->old_data_number);
	if (volume->increment.bitmap)
		snprintf(table.features.bitmap, sizeof(table.features.bitmap),
			 "%s", volume->increment.bitmap);
	table.features.generation = volume->increment.generation;
	table.features.bitmap_is_new = !volume->increment.base;
	table.features.break_snapshot = !request->break_guest_write;
	table.features.timeout_ms = request->cbw_timeout_ms;
	table.features.job = volume->by_job;
	table.features.job_speed = job_speed;
	table.features.job_workers = request->nr_threads < MAX_JOB_WORKERS ?
				     request->nr_threads : MAX_JOB_WORKERS;
	if (cbw_table_format(&table, params, sizeof(params)))
		return EXIT_ERROR;
	volume->during = strdup(params);
	return volume->during ? EXIT_OK : EXIT_ERROR;
}
