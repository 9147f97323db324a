// SPDX-License-Identifier: GPL-2.0-only
/*
 * Wiping stale signatures behind the end of the restored device.
 *
 * libblkid examines the whole volume, since the place of these signatures, and the
 * content of some, depends on its size. What it finds before the end of the restored
 * device is hidden from it, in memory: it is overwritten anyway, and may hide something
 * behind it, as a GPT hides its copy, and a partition a superblock at its end.
 */
#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/io.h"
#include "base/log.h"
#include "restore/report.h"
#include "restore/stale-tail.h"

/* ZFS has hundreds, which libblkid finds one by one. */
#define MAX_SIGNATURES 5000
/* Each pass finds what was behind signatures that earlier ones wiped or hid. */
#define MAX_PASSES 10

/*
 * @wiped: in this pass
 * @hidden: the offset that was hidden from libblkid last
 * @noted: the kind that was reported last
 */
struct tail {
	const struct blockdev *volume;
	uint64_t from_bytes;
	blkid_probe probe;
	unsigned int nr_found;
	bool wiped;
	uint64_t hidden;
	char noted[64];
};

struct signature {
	uint64_t offset;
	char name[64];
};

static int fail(const struct tail *tail)
{
	error("%s: cannot be searched for stale signatures behind the end of the image",
	      tail->volume->path);
	return EXIT_ERROR;
}

/* What the last probe found. False: it has no offset. */
static bool locate(const struct tail *tail, struct signature *found)
{
	const char *offset, *name;

	if (blkid_probe_lookup_value(tail->probe, "SBMAGIC_OFFSET", &offset,
				     NULL) &&
	    blkid_probe_lookup_value(tail->probe, "PTMAGIC_OFFSET", &offset,
				     NULL))
		return false;
	if (blkid_probe_lookup_value(tail->probe, "TYPE", &name, NULL) &&
	    blkid_probe_lookup_value(tail->probe, "PTTYPE", &name, NULL))
		name = "unknown";
	found->offset = strtoull(offset, NULL, 10);
	snprintf(found->name, sizeof(found->name), "%s", name);
	return true;
}

/* libblkid then looks for the same kind again: there may be copies. */
static int hide(struct tail *tail, const struct signature *found)
{
	/* Found again: libblkid does not read it from where it was hidden. */
	if (tail->hidden == found->offset)
		return EXIT_OK;
	tail->hidden = found->offset;
	return blkid_do_wipe(tail->probe, true) ? fail(tail) : EXIT_OK;
}

static int wipe(struct tail *tail, const struct signature *found)
{
	char text[512];

	if (blkid_do_wipe(tail->probe, false)) {
		error("%s: cannot wipe the stale %s signature at byte %" PRIu64,
		      tail->volume->path, found->name, found->offset);
		return EXIT_ERROR;
	}
	tail->wiped = true;
	/* libblkid has read the device again, so nothing is hidden any longer. */
	tail->hidden = UINT64_MAX;
	if (!strcmp(found->name, tail->noted))
		return EXIT_OK;
	snprintf(tail->noted, sizeof(tail->noted), "%s", found->name);
	snprintf(text, sizeof(text),
		 "wiped a stale %s signature of %.300s at byte %" PRIu64 ", behind the end of the image",
		 found->name, tail->volume->path, found->offset);
	report_note(text);
	return EXIT_OK;
}

static int pass(struct tail *tail)
{
	struct signature found;
	int status = EXIT_OK, r = 0;

	tail->wiped = false;
	tail->hidden = UINT64_MAX;
	blkid_reset_probe(tail->probe);
	while (!status && !(r = blkid_do_probe(tail->probe))) {
		if (!locate(tail, &found))
			continue;
		if (tail->nr_found++ == MAX_SIGNATURES)
			return fail(tail);
		status = found.offset < tail->from_bytes ?
			 hide(tail, &found) : wipe(tail, &found);
	}
	return r < 0 ? fail(tail) : status;
}

static int search(struct tail *tail, int fd)
{
	unsigned int passes = 0;
	int status;

	tail->probe = blkid_new_probe();
	if (!tail->probe || blkid_probe_set_device(tail->probe, fd, 0, 0)) {
		blkid_free_probe(tail->probe);
		return fail(tail);
	}
	blkid_probe_enable_superblocks(tail->probe, 1);
	blkid_probe_set_superblocks_flags(tail->probe, BLKID_SUBLKS_TYPE |
					  BLKID_SUBLKS_MAGIC |
					  BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(tail->probe, 1);
	blkid_probe_set_partitions_flags(tail->probe, BLKID_PARTS_MAGIC |
					 BLKID_PARTS_FORCE_GPT);
	/* At least twice: the second pass finds what was behind something hidden. */
	do {
		status = pass(tail);
	} while (!status && ++passes < MAX_PASSES &&
		 (tail->wiped || passes < 2));
	blkid_free_probe(tail->probe);
	return status;
}

int stale_tail_wipe(const struct blockdev *volume, uint64_t from_bytes)
{
	struct tail tail = { .volume = volume, .from_bytes = from_bytes };
	int fd, status;

	if (volume->bytes <= from_bytes)
		return EXIT_OK;
	fd = open(volume->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (fd < 0) {
		error_errno(errno, "%s", volume->path);
		return EXIT_ERROR;
	}
	status = search(&tail, fd);
	if (!status && io_sync(fd, volume->path))
		status = EXIT_ERROR;
	close(fd);
	return status;
}
