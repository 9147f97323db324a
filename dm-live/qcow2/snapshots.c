// SPDX-License-Identifier: GPL-2.0-only
/* Entries of the table of internal snapshots, see snapshots.h. */
#include "bytes.h"
#include "snapshots.h"

#define ENTRY_FIELD(field) \
	((const u8 *)entry + offsetof(struct qcow2_snapshot_entry, field))

void qcow2_decode_snapshot(const void *entry, u64 image_size_bytes,
			   struct qcow2_snapshot_fields *fields)
{
	fields->l1_offset = be64_at(ENTRY_FIELD(l1_table_offset));
	fields->l1_entries = be32_at(ENTRY_FIELD(l1_size));
	fields->size_bytes = image_size_bytes;
	fields->vm_state_bytes = be32_at(ENTRY_FIELD(vm_state_size));
	fields->date_sec = be32_at(ENTRY_FIELD(date_sec));
	fields->date_nsec = be32_at(ENTRY_FIELD(date_nsec));
	fields->vm_clock_nsec = be64_at(ENTRY_FIELD(vm_clock_nsec));
	fields->extra_bytes = be32_at(ENTRY_FIELD(extra_data_size));
	fields->id_bytes = be16_at(ENTRY_FIELD(id_size));
	fields->name_bytes = be16_at(ENTRY_FIELD(name_size));
}

void qcow2_decode_snapshot_extra(const void *extra, u32 bytes,
				 struct qcow2_snapshot_fields *fields)
{
	const size_t disk_size = offsetof(struct qcow2_snapshot_extra,
					  disk_size);

	if (bytes >= sizeof(__be64))
		fields->vm_state_bytes = be64_at(extra);
	if (bytes >= disk_size + sizeof(__be64))
		fields->size_bytes = be64_at((const u8 *)extra + disk_size);
}
