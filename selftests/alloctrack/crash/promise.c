// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the device may show after a crash, see promise.h.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/replay/replay.h"
#include "promise.h"

static void read_journal(struct promise *promise, const char *path)
{
	FILE *file = fopen(path, "r");
	long bytes = -1;

	if (file && !fseek(file, 0, SEEK_END))
		bytes = ftell(file);
	if (bytes < 0)
		err(2, "%s", path);
	rewind(file);
	promise->nr_records = bytes / sizeof(*promise->journal);
	promise->journal = replay_allocate(promise->nr_records,
					   sizeof(*promise->journal));
	if (fread(promise->journal, sizeof(*promise->journal),
		  promise->nr_records, file) != promise->nr_records)
		err(2, "%s", path);
	fclose(file);
}

static void sort_by_ack(struct promise *promise)
{
	uint64_t i;

	promise->by_ack = replay_allocate(promise->nr_records + 1,
					  sizeof(*promise->by_ack));
	for (i = 0; i < promise->nr_records; i++) {
		uint64_t ack = promise->journal[i].ack;

		if (ack > promise->nr_records)
			errx(2, "journal: record %llu is not valid",
			     (unsigned long long)i + 1);
		if (!ack)
			continue;
		promise->by_ack[ack] = i + 1;
		if (ack > promise->nr_acks)
			promise->nr_acks = ack;
	}
}

/* The numbers of a sector are in ascending order, as in the journal. */
static void sort_by_sector(struct promise *promise)
{
	uint64_t i, s, total = 0, *fill;

	promise->first = replay_allocate(promise->nr_sectors + 1,
					 sizeof(*promise->first));
	fill = replay_allocate(promise->nr_sectors, sizeof(*fill));
	for (i = 0; i < promise->nr_records; i++) {
		const struct stamp_record *record = &promise->journal[i];

		if (record->sector + record->nr_sectors > promise->nr_sectors)
			errx(2, "journal: record %llu is out of bounds",
			     (unsigned long long)i + 1);
		for (s = 0; s < record->nr_sectors; s++)
			fill[record->sector + s]++;
	}
	for (s = 0; s < promise->nr_sectors; s++) {
		promise->first[s] = total;
		total += fill[s];
		fill[s] = 0;
	}
	promise->first[s] = total;
	promise->index = replay_allocate(total, sizeof(*promise->index));
	for (i = 0; i < promise->nr_records; i++) {
		const struct stamp_record *record = &promise->journal[i];

		for (s = record->sector;
		     s < record->sector + record->nr_sectors; s++)
			promise->index[promise->first[s] + fill[s]++] = i + 1;
	}
	free(fill);
}

void promise_open(struct promise *promise, const char *journal_path,
		  uint64_t nr_sectors)
{
	*promise = (struct promise) { .nr_sectors = nr_sectors };
	read_journal(promise, journal_path);
	sort_by_ack(promise);
	sort_by_sector(promise);
	promise->durable = replay_allocate(nr_sectors, sizeof(*promise->durable));
}

static void make_durable(struct promise *promise, uint64_t number,
			 void (*raised)(void *context, uint64_t sector),
			 void *context)
{
	const struct stamp_record *record = &promise->journal[number - 1];
	uint64_t s;

	/* A discard promises nothing. */
	if (record->kind == STAMP_DISCARD)
		return;
	for (s = record->sector; s < record->sector + record->nr_sectors; s++) {
		if (promise->durable[s] >= number)
			continue;
		promise->durable[s] = number;
		raised(context, s);
	}
}

bool promise_mark(struct promise *promise, const char *text,
		  void (*raised)(void *context, uint64_t sector),
		  void *context)
{
	uint64_t number;
	char *end;

	if (*text != 'A' && *text != 'S')
		return false;
	number = strtoull(text + 1, &end, 10);
	if (*end || number > promise->nr_records)
		return false;
	if (*text == 'S') {
		make_durable(promise, number, raised, context);
		return true;
	}
	while (promise->nr_acks_done < number) {
		uint64_t next = promise->by_ack[++promise->nr_acks_done];

		make_durable(promise, next, raised, context);
	}
	return true;
}

/* Is write @number one of the writes to this sector? */
static bool is_written(const struct promise *promise, uint64_t sector,
		       uint64_t number)
{
	uint64_t i;

	for (i = promise->first[sector]; i < promise->first[sector + 1]; i++)
		if (promise->index[i] == number)
			return promise->journal[number - 1].kind == STAMP_WRITE;
	return false;
}

static bool is_zeroed(const struct promise *promise, uint64_t sector)
{
	uint64_t i;

	for (i = promise->first[sector]; i < promise->first[sector + 1]; i++)
		if (promise->index[i] >= promise->durable[sector] &&
		    promise->journal[promise->index[i] - 1].kind != STAMP_WRITE)
			return true;
	return false;
}

bool promise_allows(const struct promise *promise, uint64_t sector,
		    const void *data, const void *backing,
		    char text[PROMISE_TEXT_BYTES])
{
	uint64_t number, durable = promise->durable[sector];
	const char *what;

	if (!durable && !memcmp(data, backing, STAMP_SECTOR_BYTES))
		return true;
	number = stamp_read(data, sector);
	if (number && number >= durable && is_written(promise, sector, number))
		return true;
	if (stamp_is_zero(data) && is_zeroed(promise, sector))
		return true;

	if (number)
		what = "an older write";
	else if (!memcmp(data, backing, STAMP_SECTOR_BYTES))
		what = "the backing's data";
	else if (stamp_is_zero(data))
		what = "zeros";
	else
		what = "foreign data";
	snprintf(text, PROMISE_TEXT_BYTES,
		 "sector %llu shows %s (%llu, '%.8s'), durable is %llu",
		 (unsigned long long)sector, what, (unsigned long long)number,
		 (const char *)data, (unsigned long long)durable);
	return false;
}
