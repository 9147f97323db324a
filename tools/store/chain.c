// SPDX-License-Identifier: GPL-2.0-only
/* Whether each image of a chain lies on the right one, see chain.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/chain.h"
#include "store/identity.h"
#include "qcow2/error.h"

/* What follows from each of the reasons, and the way out. */
static const char so_broken[] =
	"so its content is that of no point in time; if right (qemu-img commit, rebase): --force";

/* Is the part of the chain below @depth what a device was restored from? */
static int check_restored(struct image *image, unsigned int depth,
			  const char *path, const char *identity,
			  struct image_error *err)
{
	struct image_error reason;
	char *found;
	bool same;

	if (image_identity_text(image, depth + 1, &found, &reason))
		return image_fail(err, CHAIN_WRONG,
				  "%s: it cannot be found out whether it lies on the image that it was made for: %s",
				  path, reason.message);
	same = !strcmp(found, identity);
	free(found);
	if (same)
		return CHAIN_RESTORED;
	return image_fail(err, CHAIN_WRONG,
			  "%s: it is an increment of the image that the device was restored from, and its backing file %s is not that, or has changed, %s",
			  path, image_layer_path(image, depth + 1), so_broken);
}

static int check_base(struct image *image, unsigned int depth, const char *path,
		      const struct backup_record *record,
		      struct image_error *err)
{
	const char *below = image_layer_path(image, depth + 1);
	struct backup_record base;
	int r = chain_read_record(image, depth + 1, &base, err);

	if (r && r != -ENOENT)
		return r;
	if (r || !backup_record_follows(record, &base))
		r = image_fail(err, CHAIN_WRONG,
			       "%s: it is an increment of the backup with generation %" PRIu64 " of bitmap '%s', and its backing file is another one, %s, %s",
			       path, record->base_generation, record->bitmap,
			       below, so_broken);
	else if (chain_is_written_to(image, depth + 1, &base))
		r = image_fail(err, CHAIN_WRONG,
			       "%s: its backing file %s was written to after that backup was made, %s",
			       path, below, so_broken);
	else
		r = CHAIN_RIGHT;
	backup_record_free(&base);
	return r;
}

static int check_record(struct image *image, unsigned int depth,
			const struct backup_record *record,
			struct image_error *err)
{
	const char *path = image_layer_path(image, depth);
	bool is_last = depth + 1 == image_layers(image);

	if (!record->base_generation)
		return is_last ? CHAIN_UNKNOWN :
		       image_fail(err, CHAIN_WRONG,
				  "%s: it is a full backup, and somebody gave it a backing file, %s, %s",
				  path, image_layer_path(image, depth + 1),
				  so_broken);
	if (is_last)
		return image_fail(err, CHAIN_WRONG,
				  "%s: it is an increment of the %s generation %" PRIu64 " of bitmap '%s', and it has no backing file, %s",
				  path, record->base_identity ?
				  "image that the device was restored from, with" :
				  "backup with", record->base_generation,
				  record->bitmap, so_broken);
	if (record->base_identity)
		return check_restored(image, depth, path, record->base_identity,
				      err);
	return check_base(image, depth, path, record, err);
}

int chain_check_link(struct image *image, unsigned int depth,
		     struct image_error *err)
{
	struct backup_record record;
	int r = chain_read_record(image, depth, &record, err);

	if (!r)
		r = check_record(image, depth, &record, err);
	else if (r == -ENOENT)
		r = CHAIN_UNKNOWN;
	backup_record_free(&record);
	return r;
}

/* Return: 0, CHAIN_WRONG or a negative errno. */
static int check_links(struct image *image, struct image_error *err)
{
	unsigned int depth;
	int r = 0;

	for (depth = 0; depth < image_layers(image); depth++) {
		r = chain_check_link(image, depth, err);
		if (r == CHAIN_RESTORED)
			return 0;
		if (r == CHAIN_WRONG || r < 0)
			return r;
	}
	return 0;
}

static int warn_of_bitmaps(struct image *image, struct image_error *err)
{
	const struct image_layer_info *info;
	unsigned int depth;
	int r = 0;

	for (depth = 0; !r && depth < image_layers(image); depth++) {
		r = image_describe(image, depth, &info, err);
		if (!r && info->bitmaps_problem)
			warning("%s; its bitmaps cannot be read, its data can",
				info->bitmaps_problem);
	}
	return r;
}

static int check_top(struct image *image, bool *is_backup,
		     struct image_error *err)
{
	struct backup_record record;
	int r = chain_read_record(image, 0, &record, err);

	*is_backup = !r;
	if (!r && chain_is_written_to(image, 0, &record)) {
		warning("%s was written to after the backup was made: it is not what was backed up",
			image_layer_path(image, 0));
		*is_backup = false;
	}
	backup_record_free(&record);
	return r == -ENOENT ? 0 : r;
}

int chain_check(struct image *image, bool force, bool *is_backup)
{
	struct image_error err;
	bool ignored;
	int r;

	if (!is_backup)
		is_backup = &ignored;
	*is_backup = false;
	r = warn_of_bitmaps(image, &err);
	if (!r)
		r = check_top(image, is_backup, &err);
	if (!r)
		r = check_links(image, &err);
	if (r == CHAIN_WRONG && force) {
		warning("%s", err.message);
		*is_backup = false;
		return 0;
	}
	if (r)
		error("%s", err.message);
	return r == CHAIN_WRONG ? -EUCLEAN : r;
}
