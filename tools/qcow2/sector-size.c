// SPDX-License-Identifier: GPL-2.0-only
/*
 * The sector size that the content of an image shows.
 *
 * A GPT shows it: its header is in sector 1. The other partition tables do not, but
 * with only one of the sizes do their partitions start where there is content. A file
 * system without a partition table cannot be used on a disk with sectors larger than
 * its blocks; that is what libblkid calls its block size, for XFS its sector size.
 *
 * libblkid needs a file: it gets a sparse one in memory, as large as the disk, with
 * what is at the start of the disk and of its partitions.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/io.h"
#include "base/log.h"
#include "sector-size.h"

/* Superblocks and the entries of a GPT lie within this. */
#define HEAD_BYTES	(1u << 20)
#define PARTITION_BYTES	(256u << 10)
#define TABLE_SECTOR	512u		/* unit of libblkid's partitions */

/* The sizes that disks have. */
static const uint32_t sector_sizes[] = { 512, 4096 };

#define NR_SIZES (sizeof(sector_sizes) / sizeof(sector_sizes[0]))

struct sample {
	struct image *image;
	uint64_t bytes;
	int fd;
};

/* What shows the size, as a phrase, and the sector size of a disk that it needs. */
struct finding {
	char what[96];
	uint32_t bytes;			/* 0: nothing shows it */
};

static int copy_range(const struct sample *sample, uint64_t offset,
		      uint64_t length)
{
	struct image_error err = { "" };
	char *buffer;
	int r;

	if (offset >= sample->bytes)
		return 0;
	if (length > sample->bytes - offset)
		length = sample->bytes - offset;
	buffer = malloc(length);
	if (!buffer)
		return -ENOMEM;
	r = image_read(sample->image, offset, buffer, length, &err);
	if (!r)
		r = io_write(sample->fd, "the start of the image", offset,
			     buffer, length);
	free(buffer);
	return r;
}

static bool make_sample(struct sample *sample)
{
	struct rlimit limit;

	/* Beyond it, a signal would end the process. */
	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < sample->bytes)
		return false;
	sample->fd = memfd_create("dmlive-sample", MFD_CLOEXEC);
	return sample->fd >= 0 && !ftruncate(sample->fd, sample->bytes) &&
	       !copy_range(sample, 0, HEAD_BYTES);
}

/* A probe of a part of the disk, with sectors of @sector_bytes. */
static blkid_probe new_probe(const struct sample *sample, uint64_t offset,
			     uint64_t length, uint32_t sector_bytes)
{
	blkid_probe probe = blkid_new_probe();

	if (probe && (blkid_probe_set_device(probe, sample->fd, offset,
					     length) ||
		      blkid_probe_set_sectorsize(probe, sector_bytes))) {
		blkid_free_probe(probe);
		return NULL;
	}
	return probe;
}

/* The type of a file system or the like at @offset; its block size, or 0. */
static bool find_content(const struct sample *sample, uint64_t offset,
			 uint64_t length, char *type, size_t type_bytes,
			 uint32_t *block_bytes)
{
	blkid_probe probe = new_probe(sample, offset, length, TABLE_SECTOR);
	const char *text;
	bool found;

	if (!probe)
		return false;
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	found = !blkid_do_safeprobe(probe) &&
		!blkid_probe_lookup_value(probe, "TYPE", &text, NULL);
	if (found) {
		snprintf(type, type_bytes, "%s", text);
		*block_bytes = blkid_probe_lookup_value(probe, "BLOCK_SIZE",
							&text, NULL) ?
			       0 : strtoul(text, NULL, 10);
	}
	blkid_free_probe(probe);
	return found;
}

/* Does a partition that starts in this sector have content? */
static bool has_content(const struct sample *sample, uint64_t start_bytes)
{
	uint32_t unused;
	char type[32];

	return start_bytes < sample->bytes &&
	       !copy_range(sample, start_bytes, PARTITION_BYTES) &&
	       find_content(sample, start_bytes, sample->bytes - start_bytes,
			    type, sizeof(type), &unused);
}

static bool any_has_content(const struct sample *sample, blkid_partlist list)
{
	int nr = blkid_partlist_numof_partitions(list), i;

	for (i = 0; i < nr; i++) {
		blkid_partition partition = blkid_partlist_get_partition(list, i);

		if (!blkid_partition_is_extended(partition) &&
		    has_content(sample, blkid_partition_get_start(partition) *
				(uint64_t)TABLE_SECTOR))
			return true;
	}
	return false;
}

/* Is there a partition table that is valid with sectors of this size? */
static bool table_fits(const struct sample *sample, uint32_t sector_bytes,
		       bool *is_gpt)
{
	blkid_probe probe = new_probe(sample, 0, 0, sector_bytes);
	blkid_parttable table = NULL;
	blkid_partlist list;
	const char *type;
	bool fits;

	if (!probe)
		return false;
	blkid_probe_enable_partitions(probe, 1);
	list = blkid_probe_get_partitions(probe);
	if (list)
		table = blkid_partlist_get_table(list);
	type = table ? blkid_parttable_get_type(table) : NULL;
	*is_gpt = type && !strcmp(type, "gpt");
	fits = *is_gpt || (type && any_has_content(sample, list));
	blkid_free_probe(probe);
	return fits;
}

/* A GPT takes precedence, and one that fits the target ends the search. */
static bool find_table(const struct sample *sample, uint32_t wanted,
		       struct finding *finding)
{
	bool is_gpt, was_gpt = false;
	size_t i;

	if (table_fits(sample, wanted, &was_gpt))
		finding->bytes = wanted;
	for (i = 0; i < NR_SIZES && !(finding->bytes == wanted && was_gpt); i++) {
		if (sector_sizes[i] == wanted ||
		    !table_fits(sample, sector_sizes[i], &is_gpt) ||
		    (finding->bytes && !is_gpt))
			continue;
		finding->bytes = sector_sizes[i];
		was_gpt = is_gpt;
	}
	snprintf(finding->what, sizeof(finding->what),
		 "a %s for sectors of %u bytes",
		 was_gpt ? "GPT" : "partition table", finding->bytes);
	return finding->bytes;
}

static void find_file_system(const struct sample *sample, uint32_t wanted,
			     struct finding *finding)
{
	uint32_t block_bytes;
	char type[32];

	if (!find_content(sample, 0, 0, type, sizeof(type), &block_bytes) ||
	    !block_bytes || block_bytes >= wanted)
		return;
	finding->bytes = sector_sizes[0];
	snprintf(finding->what, sizeof(finding->what),
		 "a file system (%s) in blocks of %u bytes", type,
		 block_bytes);
}

/* Is it made for other sectors than @wanted? */
static bool differs(struct image *image, uint32_t wanted,
		    struct finding *finding)
{
	struct sample sample = {
		.image = image,
		.bytes = image_size(image),
		.fd = -1,
	};

	finding->bytes = 0;
	/* Read errors are reported when the data are copied. */
	if (make_sample(&sample) && !find_table(&sample, wanted, finding))
		find_file_system(&sample, wanted, finding);
	if (sample.fd >= 0)
		close(sample.fd);
	return finding->bytes && finding->bytes != wanted;
}

static void warn(const char *source, const struct finding *finding,
		 const struct blockdev *target)
{
	warning("%s holds %s, and %s has sectors of %u: it can be used where others are presented, as by losetup --sector-size %u",
		source, finding->what, target->path,
		target->logical_block_bytes, finding->bytes);
}

void sector_size_warn(const struct blockdev *source, const char *name,
		      const struct blockdev *target)
{
	/* Even if it is in use meanwhile. */
	const struct image_options options = { .format = "raw", .force = true };
	struct finding finding;
	struct image *image;

	if (source->logical_block_bytes == target->logical_block_bytes ||
	    image_open(source->path, &options, &image, NULL))
		return;
	if (differs(image, target->logical_block_bytes, &finding))
		warn(name, &finding, target);
	image_close(image);
}

int sector_size_check(struct image *image, const struct blockdev *target,
		      bool force)
{
	uint32_t wanted = target->logical_block_bytes;
	struct finding finding;

	if (!differs(image, wanted, &finding))
		return EXIT_OK;
	if (force) {
		warn("the image", &finding, target);
		return EXIT_OK;
	}
	error("the image holds %s, and %s has sectors of %u, with which it cannot be used; to restore it all the same use --force, and present the restored device with other sectors: to a VM as a disk with logical_block_size=%u, to this host by losetup --find --show --partscan --sector-size %u DEVICE",
	      finding.what, target->path, wanted, finding.bytes,
	      finding.bytes);
	return EXIT_REFUSED;
}
