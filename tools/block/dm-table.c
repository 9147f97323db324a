// SPDX-License-Identifier: GPL-2.0-only
/* Tables and status lines of mapped devices: reading and loading them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "block/dm.h"
#include "block/dm-task.h"
#include "base/kernel-log.h"
#include "base/log.h"

static int append_line(struct dm_table *table, uint64_t start_sector,
		       uint64_t nr_sectors, const char *target,
		       const char *params)
{
	struct dm_table_line *lines, *line;

	lines = realloc(table->lines, (table->nr_lines + 1) * sizeof(*lines));
	if (!lines)
		return -ENOMEM;
	table->lines = lines;
	line = &lines[table->nr_lines];
	line->start_sector = start_sector;
	line->nr_sectors = nr_sectors;
	snprintf(line->target, sizeof(line->target), "%s", target);
	line->params = strdup(params ? params : "");
	if (!line->params)
		return -ENOMEM;
	table->nr_lines++;
	return 0;
}

static int take_lines(struct dm_task *task, struct dm_table *table)
{
	uint64_t start, length;
	char *target, *params;
	void *next = NULL;
	int r;

	do {
		next = dm_get_next_target(task, next, &start, &length, &target,
					  &params);
		if (!target)
			break;
		r = append_line(table, start, length, target, params);
		if (r)
			return r;
	} while (next);
	return table->nr_lines ? 0 : -ENODATA;
}

static int get_lines(const char *name, int type, bool inactive,
		     struct dm_table *table, struct dm_device *device)
{
	struct dm_task *task = task_new(type, name);
	int r;

	memset(table, 0, sizeof(*table));
	if (!task)
		return -ENOMEM;
	/* A status must not wait for I/O that the device itself has to serve. */
	dm_task_no_flush(task);
	/*
	 * Tables may have keys: buffers are wiped, here and in the kernel, and neither core
	 * dumps nor debuggers of other users get them. Processes that are forked inherit it.
	 */
	dm_task_secure_data(task);
	if (type == DM_DEVICE_TABLE)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (inactive)
		dm_task_query_inactive_table(task);
	r = task_run(task);
	if (!r)
		r = task_get_info(task, device);
	if (!r)
		r = take_lines(task, table);
	dm_task_destroy(task);
	if (r)
		dm_table_free(table);
	return r;
}

int dm_get_table(const char *name, bool inactive, struct dm_table *table,
		 struct dm_device *device)
{
	return get_lines(name, DM_DEVICE_TABLE, inactive, table, device);
}

/* There may be a key in it. */
static void wipe(char *params)
{
	if (params)
		explicit_bzero(params, strlen(params));
	free(params);
}

void dm_table_free(struct dm_table *table)
{
	unsigned int i;

	for (i = 0; i < table->nr_lines; i++)
		wipe(table->lines[i].params);
	free(table->lines);
	memset(table, 0, sizeof(*table));
}

bool dm_table_equal(const struct dm_table *a, const struct dm_table *b)
{
	unsigned int i;

	for (i = 0; i < a->nr_lines && i < b->nr_lines; i++)
		if (a->lines[i].start_sector != b->lines[i].start_sector ||
		    a->lines[i].nr_sectors != b->lines[i].nr_sectors ||
		    strcmp(a->lines[i].target, b->lines[i].target) ||
		    strcmp(a->lines[i].params, b->lines[i].params))
			return false;
	return a->nr_lines == b->nr_lines;
}

uint64_t dm_table_sectors(const struct dm_table *table)
{
	const struct dm_table_line *last = &table->lines[table->nr_lines - 1];

	return last->start_sector + last->nr_sectors;
}

int dm_get_line(const char *name, enum dm_line_kind kind, struct dm_line *line,
		struct dm_device *device)
{
	struct dm_table table;
	int r;

	memset(line, 0, sizeof(*line));
	r = get_lines(name, kind == DM_LINE_TABLE ? DM_DEVICE_TABLE :
		      DM_DEVICE_STATUS, false, &table, device);
	if (r)
		return r;
	line->nr_lines = table.nr_lines;
	line->start_sector = table.lines[0].start_sector;
	line->nr_sectors = table.lines[0].nr_sectors;
	memcpy(line->target, table.lines[0].target, sizeof(line->target));
	line->params = table.lines[0].params;
	table.lines[0].params = NULL;
	dm_table_free(&table);
	return 0;
}

void dm_line_free(struct dm_line *line)
{
	wipe(line->params);
	line->params = NULL;
}

bool dm_runs_target(const char *name, const char *target)
{
	struct dm_line line = { 0 };
	bool found = !dm_get_line(name, DM_LINE_TABLE, &line, NULL) &&
		     !strcmp(line.target, target);

	dm_line_free(&line);
	return found;
}

/* The device's "MAJOR:MINOR: " in front of the reason is left out. */
static void say_refused(int r, const char *name, const char *reason)
{
	const char *rest = reason + strspn(reason, "0123456789:");

	if (!reason[0])
		task_say_failed(r, name, "load the table; the kernel log may say why");
	else
		error("%s: the kernel refuses the table: %s", name,
		      rest + strspn(rest, " "));
}

int dm_load_table(const char *name, const struct dm_table *table,
		  bool read_only)
{
	struct dm_task *task = task_new(DM_DEVICE_RELOAD, name);
	const struct dm_table_line *line;
	char reason[256];
	int mark, r = 0;

	if (!task)
		return -ENOMEM;
	dm_task_secure_data(task);
	for (line = table->lines; line < table->lines + table->nr_lines; line++)
		if (!dm_task_add_target(task, line->start_sector,
					line->nr_sectors, line->target,
					line->params))
			r = -EINVAL;
	if (read_only && !dm_task_set_ro(task))
		r = -EINVAL;
	mark = kernel_log_mark();
	if (!r)
		r = task_run(task);
	kernel_log_find(mark, "device-mapper: table: ", reason, sizeof(reason));
	if (r)
		say_refused(r, name, reason);
	dm_task_destroy(task);
	return r;
}

int dm_load(const char *name, uint64_t nr_sectors, const char *target,
	    const char *params, bool read_only)
{
	struct dm_table_line line = {
		.nr_sectors = nr_sectors,
		.params = (char *)params,
	};
	struct dm_table table = { .nr_lines = 1, .lines = &line };

	snprintf(line.target, sizeof(line.target), "%s", target);
	return dm_load_table(name, &table, read_only);
}
