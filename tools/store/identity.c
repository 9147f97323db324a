// SPDX-License-Identifier: GPL-2.0-only
/*
 * The identity of an image, see identity.h. Reading all of a foreign image would take
 * as long as restoring it. So it is identified by what every write changes, and by
 * samples, since files of the same size may have the same time where times are coarse.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "qcow2/backup-record.h"
#include "store/chain.h"
#include "store/identity.h"
#include "qcow2/error.h"

#define HEAD_BYTES	(1u << 20)
#define SAMPLE_BYTES	4096u
#define NR_SAMPLES	16

/* FNV-1a */
#define HASH_START	0xcbf29ce484222325ull
#define HASH_PRIME	0x100000001b3ull

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes)
{
	const uint8_t *at = data;

	while (bytes--)
		hash = (hash ^ *at++) * HASH_PRIME;
	return hash;
}

/* Hash as much of the range as there is. */
static int hash_range(int fd, uint64_t offset, size_t bytes, uint64_t *hash)
{
	uint8_t buffer[SAMPLE_BYTES];
	ssize_t n = 1;

	for (; bytes && n; bytes -= n, offset += n) {
		n = pread(fd, buffer, bytes < sizeof(buffer) ? bytes :
			  sizeof(buffer), offset);
		if (n < 0)
			return -errno;
		*hash = hash_bytes(*hash, buffer, n);
	}
	return 0;
}

static int hash_content(int fd, const struct stat *st, uint64_t *hash)
{
	const uint64_t facts[] = {
		st->st_size, st->st_mtim.tv_sec, st->st_mtim.tv_nsec,
	};
	uint64_t i;
	int r;

	*hash = hash_bytes(*hash, facts, sizeof(facts));
	r = hash_range(fd, 0, HEAD_BYTES, hash);
	for (i = 1; !r && st->st_size > HEAD_BYTES && i <= NR_SAMPLES; i++)
		r = hash_range(fd, (uint64_t)st->st_size / NR_SAMPLES * i -
			       SAMPLE_BYTES / 2, SAMPLE_BYTES, hash);
	return r;
}

static int hash_open_file(struct image *image, const char *path, int fd,
			  uint64_t *hash, struct image_error *err)
{
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return image_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (!image_uses_file(image, fd))
		return image_fail(err, -ESTALE, "%s: it was replaced just now",
				  path);
	if (!S_ISREG(st.st_mode))
		return image_fail(err, -ENOTSUP,
				  "%s is a block device: nothing would tell that it was written to",
				  path);
	r = hash_content(fd, &st, hash);
	return r ? image_fail(err, r, "%s: %s", path, strerror(-r)) : 0;
}

static int hash_file(struct image *image, const char *path, uint64_t *hash,
		     struct image_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	if (fd < 0)
		return image_fail(err, -errno, "%s: %s", path, strerror(errno));
	r = hash_open_file(image, path, fd, hash, err);
	close(fd);
	return r;
}

static int hash_layer(struct image *image, unsigned int depth, uint64_t *hash,
		      struct image_error *err)
{
	const struct image_layer_info *info;
	const char *data;
	int r;

	r = image_describe(image, depth, &info, err);
	if (r)
		return r;
	*hash = hash_bytes(*hash, info->format, strlen(info->format) + 1);
	*hash = hash_bytes(*hash, &info->size, sizeof(info->size));
	r = hash_file(image, info->path, hash, err);
	data = image_data_path(image, depth);
	if (!r && info->data_file && data)
		r = hash_file(image, data, hash, err);
	return r;
}

static int describe_files(struct image *image, unsigned int depth, char **text,
			  struct image_error *err)
{
	const unsigned int nr = image_layers(image);
	uint64_t hash = HASH_START;
	int r = 0;

	for (; !r && depth < nr; depth++)
		r = hash_layer(image, depth, &hash, err);
	if (r)
		return r;
	if (asprintf(text, "files %016" PRIx64, hash) >= 0)
		return 0;
	*text = NULL;
	image_fail_memory(err, "the identity of an image");
	return -ENOMEM;
}

/* The record of a backup that was not written to since. */
static int read_record(struct image *image, unsigned int depth,
		       struct backup_record *record, struct image_error *err)
{
	const char *what = depth ? image_layer_path(image, depth) : "it";
	int r = chain_read_record(image, depth, record, err);

	if (r == -ENOENT)
		return image_fail(err, -EINVAL, "%s does not say which backup it is",
				  what);
	if (!r && chain_is_written_to(image, depth, record))
		r = image_fail(err, -EINVAL,
			       "%s was written to after the backup was made",
			       what);
	return r;
}

/* The image at @depth is what a device was restored from. */
static int check_restored(struct image *image, unsigned int depth,
			  const char *identity, struct image_error *err)
{
	char *found;
	bool same;
	int r;

	r = image_identity_text(image, depth, &found, err);
	if (r)
		return r;
	same = !strcmp(found, identity);
	free(found);
	return same ? 0 :
	       image_fail(err, -EINVAL,
			  "what it lies on is not, or not any more, the image that the device was restored from (dmlive image chain)");
}

int image_check_backups(struct image *image, unsigned int depth,
			struct image_error *err)
{
	const unsigned int nr = image_layers(image);
	struct backup_record record, base;
	int r;

	r = read_record(image, depth, &record, err);
	while (!r && ++depth < nr && !record.base_identity) {
		r = read_record(image, depth, &base, err);
		if (!r && !backup_record_follows(&record, &base))
			r = image_fail(err, -EINVAL,
				       "its chain is broken (dmlive image chain)");
		backup_record_free(&record);
		record = base;
	}
	if (!r && depth < nr)
		r = check_restored(image, depth, record.base_identity, err);
	else if (!r && record.base_generation)
		r = image_fail(err, -EINVAL,
			       "its chain does not end with a full backup (dmlive image chain)");
	backup_record_free(&record);
	return r;
}

int image_identity_text(struct image *image, unsigned int depth, char **text,
			struct image_error *err)
{
	struct backup_record record;
	int r;

	*text = NULL;
	if (image_check_backups(image, depth, err))
		return describe_files(image, depth, text, err);
	r = read_record(image, depth, &record, err);
	if (!r && asprintf(text, "backup %s %" PRIu64 " %s", record.store,
			   record.generation, record.bitmap) < 0) {
		*text = NULL;
		image_fail_memory(err, "the identity of an image");
		r = -ENOMEM;
	}
	backup_record_free(&record);
	return r;
}
