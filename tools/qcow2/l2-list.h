/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_L2_LIST_H
#define DMLIVE_L2_LIST_H

/*
 * The L2 tables that a check has found, each with a count, so that a table that
 * many snapshots share is read only once.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct l2_reference {
	uint64_t offset;
	uint32_t times;
	bool visited;		/* for code that walks the list */
};

struct l2_list {
	struct l2_reference *references;
	size_t nr;
	size_t room;
};

/* 0 or -ENOMEM. */
int l2_list_add(struct l2_list *list, uint64_t offset);

/* Sort by offset and join equal ones. To be called once, after the last add. */
void l2_list_join(struct l2_list *list);

/* The reference with this offset, or NULL; the list must have been joined. */
struct l2_reference *l2_list_find(const struct l2_list *list, uint64_t offset);

void l2_list_release(struct l2_list *list);

#endif /* DMLIVE_L2_LIST_H */
