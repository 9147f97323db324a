// SPDX-License-Identifier: GPL-2.0-only
/*
 * The block cache is set-associative: a key belongs to one set of WAYS places,
 * and the set's lock is all that a hit takes, for as long as it takes to look
 * at WAYS keys. Locks are held neither while a block is filled nor while it is
 * used. In a set the place that was used longest ago is replaced.
 *
 * States of a place: empty (no key), filling (pinned by the thread that fills
 * it; others that want this key wait), ready.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "block-cache.h"
#include "error.h"

#define WAYS 8

enum place_state {
	PLACE_EMPTY,
	PLACE_FILLING,
	PLACE_READY,
};

struct cached_block {
	uint64_t key;
	uint64_t used;		/* the set's clock at the last use */
	unsigned int pins;
	enum place_state state;
	struct cache_set *set;
	void *data;
};

struct cache_set {
	pthread_mutex_t lock;	/* protects everything but the data */
	pthread_cond_t changed;	/* a place became ready, empty or unpinned */
	unsigned int waiters;
	uint64_t clock;
	struct cached_block places[WAYS];
};

struct block_cache {
	size_t block_bytes;
	size_t nr_sets;
	struct cache_set *sets;
};

struct block_cache *block_cache_create(size_t block_bytes, uint64_t max_bytes)
{
	struct block_cache *cache = calloc(1, sizeof(*cache));
	uint64_t nr_sets = max_bytes / block_bytes / WAYS;
	size_t i, j;

	if (!cache)
		return NULL;
	cache->block_bytes = block_bytes;
	cache->nr_sets = nr_sets ? nr_sets : 1;
	cache->sets = calloc(cache->nr_sets, sizeof(*cache->sets));
	if (!cache->sets) {
		free(cache);
		return NULL;
	}
	for (i = 0; i < cache->nr_sets; i++) {
		struct cache_set *set = &cache->sets[i];

		pthread_mutex_init(&set->lock, NULL);
		pthread_cond_init(&set->changed, NULL);
		for (j = 0; j < WAYS; j++)
			set->places[j].set = set;
	}
	return cache;
}

void block_cache_destroy(struct block_cache *cache)
{
	size_t i, j;

	if (!cache)
		return;
	for (i = 0; i < cache->nr_sets; i++) {
		struct cache_set *set = &cache->sets[i];

		for (j = 0; j < WAYS; j++)
			free(set->places[j].data);
		pthread_cond_destroy(&set->changed);
		pthread_mutex_destroy(&set->lock);
	}
	free(cache->sets);
	free(cache);
}

static struct cache_set *set_of(struct block_cache *cache, uint64_t key)
{
	/* Keys are offsets, so their low bits say little: mix. */
	uint64_t hash = key * 0x9e3779b97f4a7c15ULL;

	return &cache->sets[(hash ^ (hash >> 32)) % cache->nr_sets];
}

static struct cached_block *find(struct cache_set *set, uint64_t key)
{
	int i;

	for (i = 0; i < WAYS; i++)
		if (set->places[i].state != PLACE_EMPTY &&
		    set->places[i].key == key)
			return &set->places[i];
	return NULL;
}

/* The place to use for a new block, or NULL if all are in use. */
static struct cached_block *choose_victim(struct cache_set *set)
{
	struct cached_block *victim = NULL;
	int i;

	for (i = 0; i < WAYS; i++) {
		struct cached_block *place = &set->places[i];

		if (place->pins)
			continue;
		if (place->state == PLACE_EMPTY)
			return place;
		if (!victim || place->used < victim->used)
			victim = place;
	}
	return victim;
}

static void wait_for_change(struct cache_set *set)
{
	set->waiters++;
	pthread_cond_wait(&set->changed, &set->lock);
	set->waiters--;
}

static void notify_change(struct cache_set *set)
{
	if (set->waiters)
		pthread_cond_broadcast(&set->changed);
}

/*
 * The block of @key, pinned: ready, or in state PLACE_FILLING, and then it is
 * the caller who must fill it.
 */
static struct cached_block *claim(struct cache_set *set, uint64_t key)
{
	struct cached_block *block;

	for (;;) {
		block = find(set, key);
		if (block && block->state == PLACE_READY)
			break;
		if (!block) {
			block = choose_victim(set);
			if (block) {
				block->key = key;
				block->state = PLACE_FILLING;
				break;
			}
		}
		wait_for_change(set);
	}
	block->pins++;
	block->used = ++set->clock;
	return block;
}

static int fill_block(struct block_cache *cache, struct cached_block *block,
		      block_cache_fill fill, void *context,
		      struct image_error *err)
{
	if (!block->data)
		block->data = malloc(cache->block_bytes);
	if (!block->data)
		return image_fail(err, -ENOMEM, "out of memory");
	return fill(context, block->key, block->data, err);
}

int block_cache_get(struct block_cache *cache, uint64_t key,
		    block_cache_fill fill, void *context,
		    struct cached_block **out, struct image_error *err)
{
	struct cache_set *set = set_of(cache, key);
	struct cached_block *block;
	bool filled;
	int ret;

	pthread_mutex_lock(&set->lock);
	block = claim(set, key);
	filled = block->state == PLACE_READY;
	pthread_mutex_unlock(&set->lock);
	if (filled) {
		*out = block;
		return 0;
	}

	ret = fill_block(cache, block, fill, context, err);

	pthread_mutex_lock(&set->lock);
	block->state = ret ? PLACE_EMPTY : PLACE_READY;
	if (ret)
		block->pins--;
	notify_change(set);
	pthread_mutex_unlock(&set->lock);
	if (!ret)
		*out = block;
	return ret;
}

void block_cache_put(struct cached_block *block)
{
	struct cache_set *set = block->set;

	pthread_mutex_lock(&set->lock);
	if (!--block->pins)
		notify_change(set);
	pthread_mutex_unlock(&set->lock);
}

const void *cached_block_data(const struct cached_block *block)
{
	return block->data;
}
