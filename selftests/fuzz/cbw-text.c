// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer: any table line of cbw and any messages to it are accepted, or refused with a
 * reason, and no device stays open without a reference. The table that the target shows
 * makes the same table again. Nothing stays locked; a bitmap has all bits that were merged
 * into it.
 */
#include "dm-cbw/cbw.h"
#include "dm-cbw/message.h"
#include "dm-cbw/table.h"
#include "dm-cbw/track-record.h"
#include "dm-cbw/track-session.h"
#include "fake-cbw.h"
#include "libfuzzer.h"
#include "text.h"

#define LINE_BYTES	4096

struct fixture {
	struct dm_table dm_table;
	struct dm_target ti;
	struct cbw_table table;
};

static void begin(struct fixture *fixture, unsigned int options)
{
	fake_begin(options);
	fixture->dm_table = (struct dm_table){
		.mode = BLK_OPEN_READ |
			(options & FAKE_READ_ONLY ? 0 : BLK_OPEN_WRITE),
	};
	fixture->ti = (struct dm_target){
		.table = &fixture->dm_table,
		.len = FAKE_SECTORS,
		.private = &fixture->table,
	};
	fixture->table = (struct cbw_table){ .ti = &fixture->ti };
}

/* All open devices are known. */
static void check_devices(const struct cbw_table *table)
{
	struct dm_dev *const devices[] = {
		table->origin, table->meta, table->target, table->fleece,
	};

	fake_check_open(table->ti->table, devices, ARRAY_SIZE(devices));
}

static bool parse(struct fixture *fixture, struct text *text)
{
	int r = cbw_table_parse(&fixture->table, text->nr_words, text->words);

	check_devices(&fixture->table);
	if (r)
		text_refusal(r, fixture->ti.error);
	return !r;
}

static char *show(struct fixture *fixture)
{
	char *line = malloc(LINE_BYTES);
	unsigned int bytes;

	if (!line)
		abort();
	bytes = cbw_table_emit(&fixture->table, 0, line, LINE_BYTES);
	if (bytes >= LINE_BYTES || line[bytes])
		abort();
	return line;
}

/* A small buffer does no harm. */
static void show_short(struct fixture *fixture, size_t room)
{
	char *line = malloc(room);

	if (cbw_table_emit(&fixture->table, 0, line, room) > room)
		abort();
	free(line);
}

static void check_shown(struct fixture *fixture, unsigned int options)
{
	struct fixture again;
	struct text text;
	char *line = show(fixture), *words = strdup(line), *line_again;

	show_short(fixture, strlen(line) / 2 + 1);
	text_split(&text, words);
	begin(&again, options);
	if (!parse(&again, &text))
		abort();
	again.table.session = fake_session(&again.table);
	line_again = show(&again);
	if (strcmp(line, line_again))
		abort();
	fake_session_free(again.table.session);
	kfree(again.table.config.bitmap);
	fake_end(&again.dm_table);
	free(line);
	free(line_again);
	free(words);
}

/* Each byte that is set in the source is set in @to. */
static void check_merged(const struct cbw_track *track,
			 const struct cbw_bitmap *to,
			 const struct cbw_bitmap *from)
{
	u64 nr = dm_live_bitmap_nr_blocks(from->bits), bit, end;

	for (bit = 0; bit < nr; bit++) {
		if (!dm_live_bitmap_test(from->bits, bit))
			continue;
		end = min((bit + 1) << from->shift, track->size_bytes);
		if (!dm_live_bitmap_test(to->bits, bit << from->shift >> to->shift) ||
		    !dm_live_bitmap_test(to->bits, (end - 1) >> to->shift))
			abort();
	}
}

static struct cbw_bitmap *find(struct cbw_track *track, const char *name)
{
	struct cbw_bitmap *bitmap;

	mutex_lock(&track->admin);
	bitmap = cbw_track_find(track, name);
	mutex_unlock(&track->admin);
	return bitmap;
}

static void check_message(struct cbw_table *table, struct text *text)
{
	char result[64];
	unsigned int i;
	int r = cbw_message(table->ti, text->nr_words, text->words, result,
			    sizeof(result));

	if (shim_mutexes || shim_noio || r > 0)
		abort();
	if (r)
		return;
	if (text->nr_words > 3 && !strcmp(text->words[1], "merge"))
		for (i = 3; i < text->nr_words; i++)
			check_merged(table->track,
				     find(table->track, text->words[2]),
				     find(table->track, text->words[i]));
}

static void use(struct fixture *fixture, struct text *text, unsigned int options)
{
	struct cbw_table *table = &fixture->table;

	table->session = fake_session(table);
	table->track = table->meta ? fake_track(table) : NULL;
	check_shown(fixture, options);
	if (table->config.bitmap && table->track->active)
		cbw_track_begin(table->track, table->session);
	while (text_next(text))
		if (text->nr_words)
			check_message(table, text);
	fake_track_free(table->track);
	fake_session_free(table->session);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct fixture fixture;
	struct text text;
	char *copy;

	if (size < 2)
		return 0;
	begin(&fixture, data[0] - ' ');
	text_begin(&text, data + 1, size - 1, &copy);
	text_next(&text);
	if (parse(&fixture, &text))
		use(&fixture, &text, data[0] - ' ');
	kfree(fixture.table.config.bitmap);
	fake_end(&fixture.dm_table);
	free(copy);
	return 0;
}
