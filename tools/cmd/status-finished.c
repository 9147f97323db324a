// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive status` of a restored device, which is a linear mapping. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/size.h"
#include "block/blockdev.h"
#include "block/dm-uuid.h"
#include "cmd/status.h"
#include "restore/finished.h"

#define CBW_UUID_PREFIX DM_UUID_PREFIX "cbw-"

struct report {
	struct status_device device;
	char target[PATH_MAX];
	struct finished finished;
};

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

static int collect(const char *name, struct report *report)
{
	struct dm_line line = { 0 };
	char number[32] = "";
	bool linear;
	int r;

	memset(report, 0, sizeof(*report));
	report->device.name = name;
	r = dm_get_line(name, DM_LINE_TABLE, &line, &report->device.dm);
	if (r)
		return r;
	linear = line.nr_lines == 1 && !strcmp(line.target, "linear") &&
		 sscanf(line.params, "%31s", number) == 1;
	report->device.bytes = line.nr_sectors * 512;
	dm_line_free(&line);
	if (!linear)
		return -ENOENT;
	blockdev_path_of(number, report->target, sizeof(report->target));
	finished_load(name, report->device.dm.uuid, &report->finished);
	/* Without a record, the UUID tells a restored device. */
	if (report->finished.time_s ||
	    (dm_uuid_is_ours(report->device.dm.uuid) &&
	     !has_prefix(report->device.dm.uuid, CBW_UUID_PREFIX)))
		return 0;
	return -ENOENT;
}

static const char *image_of(const struct report *report)
{
	const char *image = report->finished.image;

	return image && *image ? image : NULL;
}

static void add_report(const struct report *report, struct json_object *object)
{
	status_device_add(&report->device, "restore", object);
	json_add_string(object, "state", "finished");
	json_add_number(object, "size_bytes", report->device.bytes);
	json_add_string(object, "target", report->target);
	json_add_string(object, "image", image_of(report));
	if (report->finished.time_s)
		json_add_number(object, "finished_time",
				report->finished.time_s);
	else
		json_add(object, "finished_time", NULL);
}

static void print_report(const struct report *report)
{
	time_t when = report->finished.time_s;
	char size[SIZE_TEXT_BYTES], date[64] = "";
	struct tm tm;

	if (when && localtime_r(&when, &tm))
		strftime(date, sizeof(date), " at %F %T", &tm);
	printf("%s: restored%s%s; finished%s, linear over %s, %s%s\n",
	       report->device.name, image_of(report) ? " from " : "",
	       image_of(report) ?: "", date, report->target,
	       size_format(report->device.bytes, size),
	       report->device.dm.suspended ? " (suspended)" : "");
}

int status_finished(const char *name, struct json_object *object)
{
	struct report report;
	int r = collect(name, &report);

	if (!r && object)
		add_report(&report, object);
	else if (!r)
		print_report(&report);
	finished_free(&report.finished);
	return r;
}
