// SPDX-License-Identifier: GPL-2.0-only
/*
 * The base of an increment: the previous backup, since which the bitmap has recorded
 * the changes. Its record must have the same bitmap store, bitmap and generation. Each
 * backup that it is itself based on must match too, down to a full backup. The base of
 * the first increment of a restored device is the image that the device was restored
 * from. The base is kept open, so that QEMU cannot write to it meanwhile.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backup/volume.h"
#include "base/log.h"
#include "block/named-path.h"
#include "qcow2/backup-record.h"
#include "qcow2/error.h"
#include "store/chain.h"
#include "store/identity.h"

static int check_record(const struct volume *volume,
			const struct backup_record *record,
			struct image_error *err)
{
	const struct increment *increment = &volume->increment;

	assert(record->bitmap);
	if (strcmp(record->store, increment->store))
		return image_fail(err, -EINVAL,
				  "it belongs to another bitmap store, %s; that of %s is %s",
				  record->store, volume->name,
				  increment->store);
	if (strcmp(record->bitmap, increment->bitmap))
		return image_fail(err, -EINVAL,
				  "it belongs to another bitmap, '%s'",
				  record->bitmap);
	if (record->generation != increment->present)
		return image_fail(err, -EINVAL,
				  "it has generation %llu, but the bitmap '%s' records the changes since generation %llu: this is an older backup, or one that was not committed",
				  (unsigned long long)record->generation,
				  increment->bitmap,
				  (unsigned long long)increment->present);
	return 0;
}

static int read_record(struct image *image, struct backup_record *record,
		       struct image_error *err)
{
	int r = chain_read_record(image, 0, record, err);

	if (r == -ENOENT)
		return image_fail(err, -EINVAL,
				  "it does not say which backup it is");
	return r ? -EINVAL : 0;
}

/* Is this the image that the device was restored from? */
static int check_restored(struct image *image, const char *identity,
			  struct image_error *err)
{
	char *found;
	int r = 0;

	if (image_identity_text(image, 0, &found, err))
		return -EINVAL;
	if (strcmp(found, identity))
		r = image_fail(err, -EINVAL,
			       "it is not, or no longer, the image that the device was restored from");
	free(found);
	return r;
}

/* Does the bitmap record the changes since this image, and does its chain match? */
static int check_chain(const struct volume *volume, struct image *image,
		       struct image_error *err)
{
	const char *identity = volume->increment.origin.identity;
	struct backup_record record;
	int r;

	if (identity)
		return check_restored(image, identity, err);
	r = read_record(image, &record, err);
	if (!r)
		r = check_record(volume, &record, err);
	backup_record_free(&record);
	if (!r && image_check_backups(image, 0, err))
		r = -EINVAL;
	return r;
}

static int check_size(const struct volume *volume, const struct image *image,
		      struct image_error *err)
{
	/*
	 * A volume that has grown counts as changed there, see meta_resize(). A restored
	 * device may be larger than the image: it had zeros there.
	 */
	if (image_size(image) <= volume->bytes)
		return 0;
	return image_fail(err, -EINVAL,
			  "it has %" PRIu64 " bytes, and %s has become smaller: %" PRIu64,
			  image_size(image), volume->name, volume->bytes);
}

/* An increment must not replace an image of its own chain. */
static int check_output(const struct volume *volume, const struct image *image)
{
	bool is_used;
	int fd = open(volume->output, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return 0;
	is_used = image_uses_file(image, fd);
	close(fd);
	if (!is_used)
		return 0;
	error("%s belongs to the chain of backups that the new one is based on; name another output",
	      volume->output);
	return -EBUSY;
}

/*
 * The path of @base relative to the folder of @output, so that a folder with a chain
 * can be moved. Both are absolute.
 */
static char *relative_name(const char *output, const char *base)
{
	size_t i, common = 0;
	size_t ups = 0;
	char *name, *at;

	for (i = 0; output[i] && output[i] == base[i]; i++)
		if (output[i] == '/')
			common = i + 1;
	for (i = common; output[i]; i++)
		ups += output[i] == '/';
	name = malloc(strlen(base) + 3 * ups + 3);
	if (!name)
		return NULL;
	at = name;
	base += common;
	/* QEMU takes what precedes a colon for a protocol. */
	if (!ups && strchr(base, ':'))
		at = stpcpy(at, "./");
	while (ups--)
		at = stpcpy(at, "../");
	strcpy(at, base);
	return name;
}

/*
 * A stable name of a device; the real path of a file, because a symbolic link may point
 * elsewhere later.
 */
static char *find_base(const char *path)
{
	char *real;

	if (path_is_blockdev(path))
		return path_make_stable(path);
	real = realpath(path, NULL);
	if (!real)
		error_errno(errno, "%s", path);
	return real;
}

static int name_base(struct volume *volume, const char *path)
{
	bool is_absolute = path_is_blockdev(volume->output) ||
			   path_is_blockdev(path);
	char *real = find_base(path);

	if (!real)
		return -ENOENT;
	volume->increment.base_name = is_absolute ? strdup(real) :
				      relative_name(volume->output_path, real);
	if (!path_is_beside(volume->output_path, real))
		warning("%s is not beside its base, %s: restoring it will need --allow-paths",
			volume->output, real);
	free(real);
	if (volume->increment.base_name)
		return 0;
	error("out of memory");
	return -ENOMEM;
}

int base_open(struct volume *volume, const char *path, struct image_error *err)
{
	const char *format = volume->increment.origin.format;
	struct image_options options = { .format = format ? format : "qcow2" };
	struct image *image;
	int r;

	if (image_open(path, &options, &image, err))
		return -EINVAL;
	r = check_output(volume, image);
	if (!r)
		r = check_chain(volume, image, err);
	if (!r)
		r = check_size(volume, image, err);
	if (!r)
		r = name_base(volume, path);
	if (r)
		image_close(image);
	else
		volume->increment.base = image;
	return r;
}

void base_record_of(const char *path, struct backup_record *record)
{
	struct image_options options = {
		.format = "qcow2",
		.metadata_only = true,
	};
	const struct image_layer_info *info;
	struct image_error err;
	struct image *image;

	memset(record, 0, sizeof(*record));
	if (image_open(path, &options, &image, &err))
		return;
	if (!image_describe(image, 0, &info, &err) &&
	    backup_record_parse(info->backup_record, record)) {
		backup_record_free(record);
		memset(record, 0, sizeof(*record));
	}
	image_close(image);
}

uint64_t base_generation_of(const char *path)
{
	struct backup_record record;

	base_record_of(path, &record);
	backup_record_free(&record);
	return record.generation;
}

uint64_t base_time_of(const char *path)
{
	struct backup_record record;

	base_record_of(path, &record);
	backup_record_free(&record);
	return record.time_s;
}
