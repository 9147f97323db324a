/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DM_LIVE_SHIM_USER_LIST_H
#define DM_LIVE_SHIM_USER_LIST_H

/*
 * Lists and the interval tree in user space; part of shim-user.h.
 */

#include <stdbool.h>
#include <stddef.h>

#ifndef container_of
#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - offsetof(type, member)))
#endif

/* A ring of elements; the head is one of them. */
struct list_head {
	struct list_head *next;
	struct list_head *prev;
};

#define LIST_HEAD(name)	struct list_head name = { &(name), &(name) }

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

static inline void list_add_tail(struct list_head *new, struct list_head *head)
{
	new->next = head;
	new->prev = head->prev;
	head->prev->next = new;
	head->prev = new;
}

/* As in the kernel, the element must not be used afterwards. */
static inline void list_del(struct list_head *entry)
{
	entry->prev->next = entry->next;
	entry->next->prev = entry->prev;
	entry->next = NULL;
	entry->prev = NULL;
}

/* @next_pos is read before the body runs: the body may free @pos, no other. */
#define list_for_each_entry_safe(pos, next_pos, head, member)		\
	for (pos = container_of((head)->next, __typeof__(*pos), member),	\
	     next_pos = container_of(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head);					\
	     pos = next_pos,						\
	     next_pos = container_of(next_pos->member.next, __typeof__(*pos), member))

/*
 * The "tree" is a list in order of the interval's start, without a head of its
 * own: the root points to the first node, the last node to NULL. It answers as
 * the kernel's augmented red-black tree does, in the same order; only the cost
 * differs: a search walks all nodes that start early enough. The member in
 * which the kernel keeps the subtree's last value is not used.
 */
struct rb_node {
	struct rb_node *next;
	struct rb_node **link;	/* what points to this node */
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
};

#define RB_ROOT_CACHED		((struct rb_root_cached){ { NULL } })
#define RB_EMPTY_ROOT(root)	(!(root)->rb_node)

#define INTERVAL_TREE_DEFINE(type, rb, number, subtree, START, LAST, scope, prefix) \
									\
scope void prefix##_insert(type *new, struct rb_root_cached *root)	\
{									\
	struct rb_node **link = &root->rb_root.rb_node;			\
									\
	while (*link && START(container_of(*link, type, rb)) <= START(new)) \
		link = &(*link)->next;					\
	new->rb.next = *link;						\
	new->rb.link = link;						\
	if (*link)							\
		(*link)->link = &new->rb.next;				\
	*link = &new->rb;						\
}									\
									\
scope void prefix##_remove(type *old, struct rb_root_cached *root)	\
{									\
	(void)root;							\
	*old->rb.link = old->rb.next;					\
	if (old->rb.next)						\
		old->rb.next->link = old->rb.link;			\
}									\
									\
/* The first interval from @node on that overlaps [first, last]. */	\
scope type *prefix##_find_from(struct rb_node *node, number first, number last) \
{									\
	for (; node; node = node->next) {				\
		type *found = container_of(node, type, rb);		\
									\
		if (START(found) > last)				\
			break;						\
		if (LAST(found) >= first)				\
			return found;					\
	}								\
	return NULL;							\
}									\
									\
scope type *prefix##_iter_first(struct rb_root_cached *root, number first, \
				number last)				\
{									\
	return prefix##_find_from(root->rb_root.rb_node, first, last);	\
}									\
									\
scope type *prefix##_iter_next(type *node, number first, number last)	\
{									\
	return prefix##_find_from(node->rb.next, first, last);		\
}

#endif /* DM_LIVE_SHIM_USER_LIST_H */
