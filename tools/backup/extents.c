// SPDX-License-Identifier: GPL-2.0-only
/* Lists of ranges, see extents.h. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "backup/extents.h"

int extents_add(struct extents *extents, uint64_t offset, uint64_t length)
{
	struct extent *last, *list;

	last = extents->nr ? &extents->list[extents->nr - 1] : NULL;
	extents->total_bytes += length;
	if (last && last->offset + last->length == offset) {
		last->length += length;
		return 0;
	}
	/* The list is full at each power of two. */
	if (!(extents->nr & (extents->nr - 1))) {
		list = reallocarray(extents->list, extents->nr ?
				    extents->nr * 2 : 1, sizeof(*list));
		if (!list)
			return -ENOMEM;
		extents->list = list;
	}
	assert(extents->list);
	extents->list[extents->nr++] = (struct extent){ offset, length };
	return 0;
}

void extents_free(struct extents *extents)
{
	free(extents->list);
	*extents = (struct extents){ 0 };
}
