// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state of each sector is the set of contents that it may have, nearly always only
 * one. Checks reduce the sets, under a mutex.
 */
#include "model.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stamp.h"

#define MAX_WRITES	3
#define FILE_MAGIC	0x4c45444f4d4b4c42ULL	/* "BLKMODEL" */
#define NO_POISON	(-1)

enum {
	MAY_BE_INITIAL	= 1,
	MAY_BE_ZERO	= 2,
	/* More writes than can be recorded: any stamp of this model. */
	MAY_BE_ANY	= 4,
};

struct state {
	uint32_t writes[MAX_WRITES];	/* sequence numbers */
	uint8_t nr_writes;
	uint8_t flags;
	uint16_t reserved;
};

struct model {
	uint64_t id;
	uint64_t nr_sectors;
	uint32_t sequence;
	int poison;
	unsigned char *initial;
	uint64_t initial_sectors;
	struct state *states;
	pthread_mutex_t mutex;		/* a choice is decided; a report */
};

struct file_header {
	uint64_t magic;
	uint64_t id;
	uint64_t nr_sectors;
	uint64_t sequence;
};

static const unsigned char zeros[SECTOR_BYTES];

static void read_all(int fd, void *buffer, uint64_t bytes, const char *path)
{
	ssize_t r;

	for (; bytes; bytes -= r, buffer = (char *)buffer + r) {
		r = read(fd, buffer, bytes);
		if (r < 0)
			err(2, "%s", path);
		if (!r)
			errx(2, "%s is too short", path);
	}
}

static void *allocate(uint64_t nr, size_t size)
{
	void *memory = calloc(nr ? nr : 1, size);

	if (!memory)
		err(2, "memory for %" PRIu64 " sectors", nr);
	return memory;
}

static void read_initial(struct model *model, const char *path)
{
	uint64_t bytes;
	off_t end;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(2, "%s", path);
	end = lseek(fd, 0, SEEK_END);
	if (end < 0 || lseek(fd, 0, SEEK_SET) < 0)
		err(2, "%s", path);
	bytes = end;
	if (bytes > model->nr_sectors * SECTOR_BYTES)
		bytes = model->nr_sectors * SECTOR_BYTES;
	model->initial_sectors = (bytes + SECTOR_BYTES - 1) / SECTOR_BYTES;
	model->initial = allocate(model->initial_sectors, SECTOR_BYTES);
	read_all(fd, model->initial, bytes, path);
	close(fd);
}

struct model *model_new(uint64_t nr_sectors, uint64_t id, const char *initial)
{
	struct model *model = allocate(1, sizeof(*model));
	uint64_t i;

	model->id = id;
	model->nr_sectors = nr_sectors;
	model->sequence = 1;
	model->poison = NO_POISON;
	pthread_mutex_init(&model->mutex, NULL);
	read_initial(model, initial);
	model->states = allocate(nr_sectors, sizeof(*model->states));
	for (i = 0; i < nr_sectors; i++)
		model->states[i].flags = MAY_BE_INITIAL;
	return model;
}

void model_free(struct model *model)
{
	pthread_mutex_destroy(&model->mutex);
	free(model->initial);
	free(model->states);
	free(model);
}

struct model *model_load(const char *path, const char *initial)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct file_header header;
	struct model *model;

	if (fd < 0)
		err(2, "%s", path);
	read_all(fd, &header, sizeof(header), path);
	if (header.magic != FILE_MAGIC)
		errx(2, "%s is not a model of blkmodel", path);
	model = model_new(header.nr_sectors, header.id, initial);
	model->sequence = header.sequence;
	read_all(fd, model->states, header.nr_sectors * sizeof(*model->states),
		 path);
	close(fd);
	return model;
}

void model_save(struct model *model, const char *path)
{
	struct file_header header = {
		.magic = FILE_MAGIC,
		.id = model->id,
		.nr_sectors = model->nr_sectors,
		.sequence = model->sequence,
	};
	FILE *file = fopen(path, "we");

	if (!file ||
	    fwrite(&header, sizeof(header), 1, file) != 1 ||
	    fwrite(model->states, sizeof(*model->states), model->nr_sectors,
		   file) != model->nr_sectors ||
	    fclose(file))
		err(2, "%s", path);
}

uint64_t model_nr_sectors(const struct model *model)
{
	return model->nr_sectors;
}

uint64_t model_id(const struct model *model)
{
	return model->id;
}

void model_poison(struct model *model, int byte)
{
	model->poison = byte;
}

uint32_t model_next_sequence(struct model *model)
{
	return __atomic_fetch_add(&model->sequence, 1, __ATOMIC_RELAXED);
}

void model_stamp(const struct model *model, uint64_t first, uint64_t nr,
		 uint32_t sequence, void *data)
{
	struct stamp *stamp = data;
	uint64_t i;

	for (i = 0; i < nr; i++)
		stamp_make(&stamp[i], model->id, first + i, sequence);
}

static void add_write(struct state *state, uint32_t sequence)
{
	if (state->nr_writes < MAX_WRITES)
		state->writes[state->nr_writes++] = sequence;
	else
		state->flags |= MAY_BE_ANY;
}

void model_written(struct model *model, uint64_t first, uint64_t nr,
		   uint32_t sequence, bool sure)
{
	struct state *state = &model->states[first];

	for (; nr; nr--, state++) {
		if (sure)
			*state = (struct state){ 0 };
		add_write(state, sequence);
	}
}

void model_zeroed(struct model *model, uint64_t first, uint64_t nr, bool sure)
{
	struct state *state = &model->states[first];

	for (; nr; nr--, state++) {
		if (sure)
			*state = (struct state){ 0 };
		state->flags |= MAY_BE_ZERO;
	}
}

static const unsigned char *initial_of(const struct model *model, uint64_t sector)
{
	return sector < model->initial_sectors ?
	       model->initial + sector * SECTOR_BYTES : zeros;
}

static bool is_write(const struct model *model, uint64_t sector,
		     uint32_t sequence, const void *data)
{
	struct stamp stamp;

	stamp_make(&stamp, model->id, sector, sequence);
	return !memcmp(&stamp, data, sizeof(stamp));
}

static bool is_any_write(const struct model *model, uint64_t sector,
			 const void *data, uint32_t *sequence)
{
	struct stamp stamp;

	memcpy(&stamp, data, sizeof(stamp));
	*sequence = stamp.sequence;
	return stamp_is_whole(&stamp) && stamp.id == model->id &&
	       stamp.sector == sector;
}

/*
 * The one state that @data shows, out of those that @state allows. An initial content of
 * zeros and a discard cannot be told apart, and need not be.
 */
static bool decide(const struct model *model, uint64_t sector,
		   const struct state *state, const void *data,
		   struct state *decided)
{
	unsigned int i;

	*decided = (struct state){ 0 };
	for (i = 0; i < state->nr_writes; i++) {
		if (!is_write(model, sector, state->writes[i], data))
			continue;
		add_write(decided, state->writes[i]);
		return true;
	}
	if (state->flags & MAY_BE_ZERO && !memcmp(data, zeros, SECTOR_BYTES)) {
		decided->flags = MAY_BE_ZERO;
		return true;
	}
	if (state->flags & MAY_BE_INITIAL &&
	    !memcmp(data, initial_of(model, sector), SECTOR_BYTES)) {
		decided->flags = MAY_BE_INITIAL;
		return true;
	}
	if (state->flags & MAY_BE_ANY &&
	    is_any_write(model, sector, data, &decided->writes[0])) {
		decided->nr_writes = 1;
		return true;
	}
	return false;
}

static bool is_open(const struct state *state)
{
	return state->nr_writes + !!(state->flags & MAY_BE_INITIAL) +
	       !!(state->flags & MAY_BE_ZERO) +
	       !!(state->flags & MAY_BE_ANY) > 1;
}

static bool check_sector(struct model *model, uint64_t sector, const void *data)
{
	struct state *state = &model->states[sector];
	struct state decided;
	bool good;

	if (!is_open(state) && decide(model, sector, state, data, &decided))
		return true;

	/* Another check may have decided meanwhile, so look again under the mutex. */
	pthread_mutex_lock(&model->mutex);
	good = decide(model, sector, state, data, &decided);
	if (good && is_open(state))
		*state = decided;
	pthread_mutex_unlock(&model->mutex);
	return good;
}

static void report_expected(const struct model *model, uint64_t sector)
{
	const struct state *state = &model->states[sector];
	unsigned int i;

	for (i = 0; i < state->nr_writes; i++)
		fprintf(stderr, "  wanted: write %u\n", state->writes[i]);
	if (state->flags & MAY_BE_ZERO)
		fprintf(stderr, "  wanted: zeros\n");
	if (state->flags & MAY_BE_ANY)
		fprintf(stderr, "  wanted: any whole write\n");
	if (state->flags & MAY_BE_INITIAL) {
		fprintf(stderr, "  wanted: the initial content: ");
		stamp_describe(stderr, initial_of(model, sector));
	}
}

static bool is_poison(const struct model *model, const unsigned char *data)
{
	return model->poison != NO_POISON && data[0] == model->poison &&
	       !memcmp(data, data + 1, SECTOR_BYTES - 1);
}

/* Print where else these bytes belong. */
static void report_origin(const struct model *model, uint64_t sector,
			  const void *data)
{
	uint64_t i = sector;

	if (is_poison(model, data)) {
		fprintf(stderr, "  that is poison: on the device before\n");
		return;
	}
	if (memcmp(data, initial_of(model, sector), SECTOR_BYTES))
		for (i = 0; i < model->initial_sectors; i++)
			if (!memcmp(data, initial_of(model, i), SECTOR_BYTES))
				break;
	if (i == sector || i < model->initial_sectors)
		fprintf(stderr, "  that is the initial content of sector %"
			PRIu64 "\n", i);
}

static void report(struct model *model, uint64_t sector, uint64_t nr_bad,
		   const unsigned char *data, const char *what)
{
	pthread_mutex_lock(&model->mutex);
	fprintf(stderr, "blkmodel: %s: sector %" PRIu64 " (offset %" PRIu64
		") is wrong, the first of %" PRIu64 "; seed %" PRIu64 "\n",
		what, sector, sector * SECTOR_BYTES, nr_bad, model->id);
	report_expected(model, sector);
	fprintf(stderr, "  got: ");
	stamp_describe(stderr, data);
	report_origin(model, sector, data);
	pthread_mutex_unlock(&model->mutex);
}

bool model_check(struct model *model, uint64_t first, uint64_t nr,
		 const void *data, const char *what)
{
	const unsigned char *bytes = data;
	uint64_t i, first_bad = 0, nr_bad = 0;

	for (i = 0; i < nr; i++) {
		if (check_sector(model, first + i, bytes + i * SECTOR_BYTES))
			continue;
		if (!nr_bad++)
			first_bad = i;
	}
	if (nr_bad)
		report(model, first + first_bad, nr_bad,
		       bytes + first_bad * SECTOR_BYTES, what);
	return !nr_bad;
}

uint64_t model_count_open(const struct model *model)
{
	uint64_t i, nr = 0;

	for (i = 0; i < model->nr_sectors; i++)
		nr += is_open(&model->states[i]);
	return nr;
}
