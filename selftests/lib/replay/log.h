/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REPLAY_LOG_H
#define REPLAY_LOG_H

/*
 * A reader for logs of dm-log-writes.
 *
 * The log begins with a superblock in its first sector. The entries follow from the
 * second sector on: a sector that describes a write, and then the data, unless it was a
 * discard. Numbers are little-endian. The log's sectors have the logical block size of
 * the logged device.
 *
 * The order of entries: a write is logged when a flush completes that began after the
 * write had completed. It comes just before that flush, in order of completion. A write
 * with FUA is logged at once.
 *
 * The logged device has three parts (see replay.sh): the volume, the metadata device, and
 * a place for marks, which are written there as text, so that they are in order of
 * completion too. A flush in the log is one of the volume; a flush of the metadata device
 * is a mark "flush". Marks of dm-log-writes itself are ignored.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_FLUSH	(1u << 0)
#define LOG_FUA		(1u << 1)
#define LOG_DISCARD	(1u << 2)
#define LOG_MARK	(1u << 3)

#define LOG_SECTOR_BYTES 512

/* @sector and @nr_sectors are in sectors of 512 bytes. */
struct log_entry {
	uint64_t sector;
	uint64_t nr_sectors;
	uint32_t flags;
	uint64_t data_offset;	/* in the log, bytes; of a mark: its text */
	uint64_t data_bytes;	/* 0 for a discard */
};

enum log_device {
	LOG_VOLUME,
	LOG_META,
	LOG_MARKS,
};

#define LOG_TEXT_BYTES	64

struct log {
	int fd;
	uint64_t volume_sectors, meta_sectors;
	struct log_entry *entries;
	size_t nr_entries;
};

/* Ends the program, with a message, if the log is not valid. */
void log_open(struct log *log, const char *path);

/* Set where the parts of the device end. Must be called before the next three. */
void log_set_parts(struct log *log, uint64_t volume_sectors,
		   uint64_t meta_sectors);

/* The part of the device that the entry writes to. */
enum log_device log_device(const struct log *log, const struct log_entry *entry);

/* Returns true and reads the text if it is a mark. */
bool log_read_mark(const struct log *log, const struct log_entry *entry,
		   char text[LOG_TEXT_BYTES]);

/* Is it a flush of the volume, or of the metadata? */
bool log_is_flush(const struct log *log, const struct log_entry *entry,
		  enum log_device *device);

/* Reads the data of an entry, data_bytes. */
void log_read(const struct log *log, const struct log_entry *entry, void *data);

/* Is it a write that becomes durable only by a later flush? */
bool log_is_cached_write(const struct log_entry *entry);

#endif /* REPLAY_LOG_H */
