// SPDX-License-Identifier: GPL-2.0-only
/* Counts of the sectors that were written to a block device, see counters.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "block/blockdev.h"
#include "block/counters.h"

#define INSTANCE_PATH "/sys/module/dm_live/parameters/instance"
#define MAPPED_COUNTS_PATH "/sys/module/dm_live/parameters/mapped_counts"

static bool read_number(dev_t devt, const char *name, unsigned long long *number)
{
	char text[64];

	return blockdev_read_attribute(devt, name, text, sizeof(text)) &&
	       sscanf(text, "%llu", number) == 1;
}

static bool read_sectors(dev_t devt, struct qcow2_seal_device *counters)
{
	unsigned long long written, discarded;
	char text[512];

	/* reads, merges, sectors, ms; the same of writes; 3 of all; of discards */
	if (!blockdev_read_attribute(devt, "stat", text, sizeof(text)) ||
	    sscanf(text,
		   "%*u %*u %*u %*u %*u %*u %llu %*u %*u %*u %*u %*u %*u %llu",
		   &written, &discarded) != 2)
		return false;
	counters->written = written;
	counters->discarded = discarded;
	return true;
}

/* Kernels differ in whether they say this for mapped devices: use what dm_live says. */
static bool mapped_always_counts(void)
{
	char text[8];

	return sysfs_read(text, sizeof(text), MAPPED_COUNTS_PATH) &&
	       text[0] == 'Y';
}

/* @disk: the device, or that which it is a partition of */
static bool is_counted(dev_t devt, dev_t disk)
{
	unsigned long long counts;
	char name[256];

	if (disk == devt &&
	    blockdev_read_attribute(devt, "dm/name", name, sizeof(name)) &&
	    mapped_always_counts())
		return true;
	return read_number(disk, "queue/iostats", &counts) && counts;
}

bool blockdev_count(dev_t devt, struct qcow2_seal_device *counters)
{
	const dev_t disk = sysfs_disk_of(devt);
	unsigned long long seq, partition;

	memset(counters, 0, sizeof(*counters));
	counters->written = QCOW2_DMLIVE_SEAL_UNCOUNTED;
	counters->discarded = QCOW2_DMLIVE_SEAL_UNCOUNTED;
	if (read_number(devt, "partition", &partition))
		counters->partition = partition;
	if (!read_number(disk, "diskseq", &seq))
		return false;
	counters->seq = seq;
	return is_counted(devt, disk) && read_sectors(devt, counters);
}

bool dm_live_read_instance(uint8_t instance[QCOW2_DMLIVE_UUID_BYTES])
{
	FILE *file = fopen(INSTANCE_PATH, "re");
	unsigned int i, byte;
	bool good = file;

	for (i = 0; good && i < QCOW2_DMLIVE_UUID_BYTES; i++) {
		good = fscanf(file, "%2x", &byte) == 1;
		instance[i] = byte;
		if (good && (i == 3 || i == 5 || i == 7 || i == 9))
			good = getc(file) == '-';
	}
	if (file)
		fclose(file);
	return good;
}
