// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading the table of internal snapshots: entries of variable length one after
 * the other. The table's length is not recorded anywhere, so it is bounded as
 * it is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../dm-live/qcow2/snapshots.h"
#include "error.h"
#include "qcow2-snapshot.h"

struct reader {
	const struct host_file *file;
	const struct qcow2_header_info *info;
	struct image_error *err;
	uint64_t at;		/* offset in the file */
};

/* Read @length bytes that must lie within the table's bound and the file. */
static int take(struct reader *r, void *buffer, size_t length)
{
	uint64_t end = r->at + length;

	if (end - r->info->snapshots_offset > QCOW2_MAX_SNAPSHOT_TABLE_BYTES)
		return image_fail(r->err, -EFBIG, "%s: snapshot table too large",
				  host_file_path(r->file));
	if (end > host_file_size(r->file))
		return image_fail(r->err, -EINVAL,
				  "%s: the snapshot table reaches beyond the end of the file",
				  host_file_path(r->file));
	if (buffer) {
		int ret = host_file_read(r->file, r->at, buffer, length, r->err);

		if (ret)
			return ret;
	}
	r->at = end;
	return 0;
}

static int take_string(struct reader *r, size_t length, char **string)
{
	*string = calloc(1, length + 1);
	if (!*string)
		return image_fail_memory(r->err, host_file_path(r->file));
	return take(r, *string, length);
}

static int take_extra(struct reader *r, struct qcow2_snapshot_fields *fields)
{
	unsigned char extra[sizeof(struct qcow2_snapshot_extra)];
	size_t length = fields->extra_bytes;
	size_t known = length < sizeof(extra) ? length : sizeof(extra);
	int ret;

	if (length > QCOW2_MAX_SNAPSHOT_EXTRA_BYTES)
		return image_fail(r->err, -EFBIG,
				  "%s: a snapshot has %zu bytes of extra data, at most %u are supported",
				  host_file_path(r->file), length,
				  QCOW2_MAX_SNAPSHOT_EXTRA_BYTES);
	ret = take(r, extra, known);
	if (ret)
		return ret;
	qcow2_decode_snapshot_extra(extra, known, fields);
	return take(r, NULL, length - known);
}

static int take_snapshot(struct reader *r, struct qcow2_snapshot *snapshot)
{
	unsigned char entry[sizeof(struct qcow2_snapshot_entry)];
	struct qcow2_snapshot_fields fields;
	int ret;

	r->at = qcow2_snapshot_start(r->at);
	ret = take(r, entry, sizeof(entry));
	if (ret)
		return ret;
	qcow2_decode_snapshot(entry, r->info->size_bytes, &fields);
	ret = take_extra(r, &fields);
	if (ret)
		return ret;
	snapshot->l1_offset = fields.l1_offset;
	snapshot->l1_entries = fields.l1_entries;
	snapshot->date_sec = fields.date_sec;
	snapshot->date_nsec = fields.date_nsec;
	snapshot->vm_clock_nsec = fields.vm_clock_nsec;
	snapshot->vm_state_bytes = fields.vm_state_bytes;
	snapshot->size_bytes = fields.size_bytes;
	ret = take_string(r, fields.id_bytes, &snapshot->id);
	if (ret)
		return ret;
	return take_string(r, fields.name_bytes, &snapshot->name);
}

int qcow2_snapshots_read(const struct host_file *file,
			 const struct qcow2_header_info *info,
			 struct qcow2_snapshot_table *table,
			 struct image_error *err)
{
	struct reader r = {
		.file = file,
		.info = info,
		.err = err,
		.at = info->snapshots_offset,
	};
	int ret;

	memset(table, 0, sizeof(*table));
	if (!info->nr_snapshots)
		return 0;
	table->snapshots = calloc(info->nr_snapshots, sizeof(*table->snapshots));
	if (!table->snapshots)
		return image_fail_memory(err, host_file_path(file));
	while (table->nr < info->nr_snapshots) {
		ret = take_snapshot(&r, &table->snapshots[table->nr++]);
		if (ret) {
			qcow2_snapshots_release(table);
			return ret;
		}
	}
	table->bytes = r.at - info->snapshots_offset;
	return 0;
}

void qcow2_snapshots_release(struct qcow2_snapshot_table *table)
{
	unsigned int i;

	for (i = 0; i < table->nr; i++) {
		free(table->snapshots[i].id);
		free(table->snapshots[i].name);
	}
	free(table->snapshots);
	memset(table, 0, sizeof(*table));
}

const struct qcow2_snapshot *
qcow2_snapshot_find(const struct qcow2_snapshot_table *table, const char *key)
{
	unsigned int i;

	for (i = 0; i < table->nr; i++)
		if (!strcmp(table->snapshots[i].id, key))
			return &table->snapshots[i];
	for (i = 0; i < table->nr; i++)
		if (!strcmp(table->snapshots[i].name, key))
			return &table->snapshots[i];
	return NULL;
}
