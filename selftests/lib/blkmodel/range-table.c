// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of ranges: one entry per thread.
 */
#include "range-table.h"

#include <pthread.h>

static struct {
	uint64_t first;
	uint64_t nr;		/* 0: none */
	bool exclusive;
} held[MAX_THREADS];

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static bool is_free(uint64_t first, uint64_t nr, bool exclusive)
{
	unsigned int i;

	for (i = 0; i < MAX_THREADS; i++)
		if (held[i].nr && (exclusive || held[i].exclusive) &&
		    held[i].first < first + nr &&
		    first < held[i].first + held[i].nr)
			return false;
	return true;
}

void range_enter(unsigned int thread, uint64_t first, uint64_t nr,
		 bool exclusive)
{
	pthread_mutex_lock(&mutex);
	while (!is_free(first, nr, exclusive))
		pthread_cond_wait(&changed, &mutex);
	held[thread].first = first;
	held[thread].nr = nr;
	held[thread].exclusive = exclusive;
	pthread_mutex_unlock(&mutex);
}

void range_leave(unsigned int thread)
{
	pthread_mutex_lock(&mutex);
	held[thread].nr = 0;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}
