// SPDX-License-Identifier: GPL-2.0-only
/* The record of one image of a chain, see chain.h. */
#include <errno.h>
#include <string.h>

#include "store/chain.h"

int chain_read_record(struct image *image, unsigned int depth,
		      struct backup_record *record, struct image_error *err)
{
	const struct image_layer_info *info;
	int r;

	memset(record, 0, sizeof(*record));
	r = image_describe(image, depth, &info, err);
	if (r)
		return r;
	return backup_record_parse(info->backup_record, record) ? -ENOENT : 0;
}

bool chain_is_written_to(struct image *image, unsigned int depth,
			 const struct backup_record *record)
{
	const struct image_layer_info *info;

	return image_describe(image, depth, &info, NULL) ||
	       !backup_record_is_intact(record, info->autoclear_features,
					info->path);
}
