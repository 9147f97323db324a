/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_QCOW2_SNAPSHOT_H
#define DMLIVE_QCOW2_SNAPSHOT_H

/* The table of internal snapshots of a qcow2 image. */

#include "host-file.h"
#include "image.h"
#include "qcow2-header.h"

struct qcow2_snapshot {
	char *id;
	char *name;
	uint64_t l1_offset;
	unsigned int l1_entries;
	uint64_t size_bytes;		/* virtual size when it was taken */
	uint64_t vm_state_bytes;
	uint64_t date_sec;
	unsigned int date_nsec;
	uint64_t vm_clock_nsec;
};

struct qcow2_snapshot_table {
	unsigned int nr;
	struct qcow2_snapshot *snapshots;
	uint64_t bytes;			/* length of the table in the file */
};

/* Read and check the table; an image without snapshots gives an empty one. */
int qcow2_snapshots_read(const struct host_file *file,
			 const struct qcow2_header_info *info,
			 struct qcow2_snapshot_table *table,
			 struct image_error *err);
void qcow2_snapshots_release(struct qcow2_snapshot_table *table);

/* By id, else by name, as QEMU looks; NULL if there is none. */
const struct qcow2_snapshot *
qcow2_snapshot_find(const struct qcow2_snapshot_table *table, const char *key);

#endif /* DMLIVE_QCOW2_SNAPSHOT_H */
