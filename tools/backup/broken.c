// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why a session is broken. If its old data could not be written, the reason may be a full
 * fleece device, a full file system, or a full thin pool.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "backup/volume.h"
#include "base/log.h"
#include "base/size.h"
#include "lines/cbw-status.h"

/* A copy may need this many slots at once. */
#define FULL_SLOTS 256

/* A file system with less free space than this is full. */
#define FULL_BYTES (1u << 20)

static bool explain_device(const struct volume *volume,
			   const struct cbw_status *status)
{
	char used[SIZE_TEXT_BYTES], size[SIZE_TEXT_BYTES];
	char way[LVM_NAME_BYTES + 64] = "name a larger one";

	if (!status->slots || status->slots - status->slots_used >= FULL_SLOTS)
		return false;
	if (volume->fleece_volume.name[0])
		snprintf(way, sizeof(way),
			 "give it a larger share, --fleece %s:SIZE%%",
			 volume->fleece_volume.group);
	error("%s: the session broke: %s is full (%s of %s: %" PRIu64 " of %" PRIu64 " blocks of old data); %s, or back up when guests write less",
	      volume->name, volume->old_data,
	      size_format(status->slots_used * status->block_bytes, used),
	      size_format(status->slots * status->block_bytes, size),
	      status->slots_used, status->slots, way);
	return true;
}

static bool explain_folder(const struct volume *volume,
			   const struct cbw_status *status)
{
	char free[SIZE_TEXT_BYTES], size[SIZE_TEXT_BYTES];
	char used[SIZE_TEXT_BYTES];
	struct statvfs st;
	uint64_t free_bytes;

	if (statvfs(volume->old_data_folder, &st))
		return false;
	free_bytes = (uint64_t)st.f_bavail * st.f_frsize;
	if (free_bytes >= FULL_BYTES)
		return false;
	error("%s: the session broke: the file system of %s is full (%s free of %s), and %s has %s of old data; free space there, name another folder or a device with --fleece, or back up when guests write less",
	      volume->name, volume->old_data_folder,
	      size_format(free_bytes, free),
	      size_format((uint64_t)st.f_blocks * st.f_frsize, size),
	      volume->old_data,
	      size_format(status->slots_used * status->block_bytes, used));
	return true;
}

/* The pool of the thin volume @number. False: that is not a thin volume. */
static bool find_pool(const char *number, char pool[DM_NAME_BYTES])
{
	unsigned int major, minor, pool_major, pool_minor;
	struct dm_line line = { 0 };
	char name[DM_NAME_BYTES];
	bool found;

	found = sscanf(number, "%u:%u", &major, &minor) == 2 &&
		dm_name_of(major, minor, name) &&
		!dm_get_line(name, DM_LINE_TABLE, &line, NULL) &&
		!strcmp(line.target, "thin") &&
		sscanf(line.params, "%u:%u", &pool_major, &pool_minor) == 2 &&
		dm_name_of(pool_major, pool_minor, pool);
	dm_line_free(&line);
	return found;
}

static bool explain_pool(const struct volume *volume)
{
	uint64_t meta_used, meta_total, data_used, data_total;
	char pool[DM_NAME_BYTES];
	struct dm_line line = { 0 };
	bool full;

	if (!find_pool(volume->old_data_number, pool))
		return false;
	full = !dm_get_line(pool, DM_LINE_STATUS, &line, NULL) &&
	       !strcmp(line.target, "thin-pool") &&
	       sscanf(line.params, "%*u %" SCNu64 "/%" SCNu64 " %" SCNu64
		      "/%" SCNu64, &meta_used, &meta_total, &data_used,
		      &data_total) == 4 && data_total && meta_total &&
	       (data_used >= data_total || meta_used >= meta_total);
	dm_line_free(&line);
	if (!full)
		return false;
	error("%s: the session broke: %s is in the thin pool %s, which is full (%.1f%% of its data, %.1f%% of its metadata); extend the pool (lvextend), or name another place with --fleece",
	      volume->name, volume->old_data, pool,
	      100.0 * (double)data_used / (double)data_total,
	      100.0 * (double)meta_used / (double)meta_total);
	return true;
}

static bool explain_no_space(const struct volume *volume, const struct cbw_status *status)
{
	/* The file is as large as the volume, so its file system is full first. */
	if (volume->old_data_folder[0])
		return explain_folder(volume, status);
	return explain_pool(volume) || explain_device(volume, status);
}

void session_explain_broken(const struct volume *volume, const struct cbw_status *status)
{
	if (status->target_errors && explain_no_space(volume, status))
		return;
	if (status->target_errors)
		error("%s: the session broke: old data could not be written to %s; see the kernel log",
		      volume_called(volume), volume->old_data);
	else if (status->source_errors)
		error("%s: the session broke: old data could not be read from the device; see the kernel log",
		      volume_called(volume));
	else
		error("%s: the session broke: it was cancelled, or a guest write waited too long (--cbw-timeout)",
		      volume_called(volume));
}
