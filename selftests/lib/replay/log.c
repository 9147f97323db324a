// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of dm-log-writes, see log.h.
 */
#include <endian.h>
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define MAGIC	0x6a736677736872ULL
#define VERSION	1

struct disk_super {
	uint64_t magic;
	uint64_t version;
	uint64_t nr_entries;
	uint32_t sector_bytes;
};

struct disk_entry {
	uint64_t sector;
	uint64_t nr_sectors;
	uint64_t flags;
	uint64_t data_bytes;
};

static void read_at(const struct log *log, void *data, size_t bytes,
		    uint64_t offset)
{
	if (bytes && pread(log->fd, data, bytes, offset) != (ssize_t)bytes)
		err(2, "log: cannot read %zu bytes at %llu", bytes,
		    (unsigned long long)offset);
}

static uint64_t read_entry(struct log *log, struct log_entry *entry,
			   uint64_t at, uint32_t sector_bytes)
{
	const uint32_t scale = sector_bytes / LOG_SECTOR_BYTES;
	struct disk_entry disk;

	read_at(log, &disk, sizeof(disk), at);
	entry->sector = le64toh(disk.sector) * scale;
	entry->nr_sectors = le64toh(disk.nr_sectors) * scale;
	entry->flags = le64toh(disk.flags);
	if (entry->flags & LOG_MARK) {
		entry->data_offset = at + sizeof(disk);
		entry->data_bytes = le64toh(disk.data_bytes);
		return at + sector_bytes;
	}
	entry->data_offset = at + sector_bytes;
	if (!(entry->flags & LOG_DISCARD))
		entry->data_bytes = entry->nr_sectors * LOG_SECTOR_BYTES;
	return entry->data_offset + entry->data_bytes;
}

void log_open(struct log *log, const char *path)
{
	struct disk_super super;
	uint32_t sector_bytes;
	uint64_t at;
	size_t i;

	log->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (log->fd < 0)
		err(2, "%s", path);
	read_at(log, &super, sizeof(super), 0);
	sector_bytes = le32toh(super.sector_bytes);
	if (le64toh(super.magic) != MAGIC || le64toh(super.version) != VERSION ||
	    (sector_bytes != 512 && sector_bytes != 4096))
		errx(2, "%s: not a log of dm-log-writes", path);
	log->nr_entries = le64toh(super.nr_entries);
	log->entries = calloc(log->nr_entries, sizeof(*log->entries));
	if (!log->entries)
		errx(2, "%s: out of memory", path);
	at = sector_bytes;
	for (i = 0; i < log->nr_entries; i++)
		at = read_entry(log, &log->entries[i], at, sector_bytes);
}

void log_set_parts(struct log *log, uint64_t volume_sectors,
		   uint64_t meta_sectors)
{
	log->volume_sectors = volume_sectors;
	log->meta_sectors = meta_sectors;
}

enum log_device log_device(const struct log *log, const struct log_entry *entry)
{
	if (entry->sector < log->volume_sectors)
		return LOG_VOLUME;
	return entry->sector < log->volume_sectors + log->meta_sectors ?
	       LOG_META : LOG_MARKS;
}

bool log_read_mark(const struct log *log, const struct log_entry *entry,
		   char text[LOG_TEXT_BYTES])
{
	if (!entry->nr_sectors || entry->flags & (LOG_MARK | LOG_DISCARD) ||
	    log_device(log, entry) != LOG_MARKS)
		return false;
	read_at(log, text, LOG_TEXT_BYTES - 1, entry->data_offset);
	text[LOG_TEXT_BYTES - 1] = 0;
	text[strcspn(text, "\n")] = 0;
	return true;
}

bool log_is_flush(const struct log *log, const struct log_entry *entry,
		  enum log_device *device)
{
	char text[LOG_TEXT_BYTES];

	*device = LOG_VOLUME;
	if (entry->flags & LOG_FLUSH)
		return true;
	*device = LOG_META;
	return log_read_mark(log, entry, text) && !strcmp(text, "flush");
}

void log_read(const struct log *log, const struct log_entry *entry, void *data)
{
	read_at(log, data, entry->data_bytes, entry->data_offset);
}

bool log_is_cached_write(const struct log_entry *entry)
{
	return entry->nr_sectors &&
	       !(entry->flags & (LOG_FLUSH | LOG_FUA | LOG_MARK));
}
