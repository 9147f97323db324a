// SPDX-License-Identifier: GPL-2.0-only
/* A growing array of L2 table offsets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "l2-list.h"

int l2_list_add(struct l2_list *list, uint64_t offset)
{
	struct l2_reference *grown;
	size_t room;

	if (list->nr == list->room) {
		room = list->room ? 2 * list->room : 256;
		grown = realloc(list->references, room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		list->references = grown;
		list->room = room;
	}
	list->references[list->nr++] = (struct l2_reference) {
		.offset = offset,
		.times = 1,
	};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct l2_reference *left = a, *right = b;

	return left->offset < right->offset ? -1 :
	       left->offset > right->offset;
}

void l2_list_join(struct l2_list *list)
{
	size_t from, to = 0;

	if (!list->nr)
		return;
	qsort(list->references, list->nr, sizeof(*list->references), compare);
	for (from = 1; from < list->nr; from++) {
		if (list->references[from].offset == list->references[to].offset)
			list->references[to].times++;
		else
			list->references[++to] = list->references[from];
	}
	list->nr = to + 1;
}

struct l2_reference *l2_list_find(const struct l2_list *list, uint64_t offset)
{
	struct l2_reference key = { .offset = offset };

	if (!list->nr)
		return NULL;
	return bsearch(&key, list->references, list->nr, sizeof(key), compare);
}

void l2_list_release(struct l2_list *list)
{
	free(list->references);
	memset(list, 0, sizeof(*list));
}
