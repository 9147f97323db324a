// SPDX-License-Identifier: GPL-2.0-only
/*
 * libFuzzer: any table line of alloctrack and any messages to it are accepted, or refused
 * with a reason, and no device stays open without a reference. The table that the target
 * shows, also after messages, makes the same table again.
 */
#include "dm-alloctrack/alloctrack.h"
#include "dm-alloctrack/device.h"
#include "dm-alloctrack/message.h"
#include "dm-alloctrack/metadata.h"
#include "dm-alloctrack/stream.h"
#include "dm-alloctrack/table.h"
#include "libfuzzer.h"
#include "text.h"

#define LINE_BYTES	4096

struct fixture {
	struct dm_table dm_table;
	struct dm_target ti;
	struct at_table table;
	struct at_device device;
};

/* Functions of other files that the parsers call. */

int at_stream_message(struct at_table *table, const char *verb)
{
	if (table->read_only)
		return -EROFS;
	if (strcmp(verb, "start"))
		return -EINVAL;
	if (table->device->stream.state == DM_ALLOCTRACK_RUNNING)
		return -EALREADY;
	table->device->stream.state = DM_ALLOCTRACK_RUNNING;
	return 0;
}

void at_stream_kick(struct at_table *table)
{
	(void)table;
}

void at_stream_set_speed(struct at_device *device, u64 bytes_per_second)
{
	device->stream.rate.bytes_per_second = bytes_per_second;
}

void at_stream_set_on_error(struct at_device *device,
			    enum dm_alloctrack_on_error on_error)
{
	device->stream.on_error = on_error;
}

u64 dm_live_rate_get(const struct dm_live_rate *rate)
{
	return rate->bytes_per_second;
}

int at_meta_open(struct at_table *table, unsigned int block_shift)
{
	if (block_shift < 3 || block_shift > 12 || !table->meta)
		abort();
	if (!(fake_options & FAKE_BAD_META))
		return 0;
	table->ti->error = "The metadata device is bad";
	return -EIO;
}

/* The arguments must be consistent. */
struct at_device *at_device_get(struct at_table *table,
				const struct at_geometry *geometry)
{
	struct fixture *fixture = container_of(table, struct fixture, table);

	if (geometry->nr_sectors != FAKE_SECTORS || !geometry->volume_devt ||
	    !geometry->meta_devt != !table->meta ||
	    geometry->nr_blocks != ((FAKE_SECTORS - 1) >> geometry->block_shift) + 1)
		abort();
	if (fake_options & FAKE_NO_MEMORY) {
		table->ti->error = "Out of memory";
		return ERR_PTR(-ENOMEM);
	}
	fixture->device.geometry = *geometry;
	return &fixture->device;
}

/* The fuzzer. */

static void begin(struct fixture *fixture, unsigned int options)
{
	memset(fixture, 0, sizeof(*fixture));
	fake_begin(options);
	fixture->dm_table.mode = BLK_OPEN_READ |
				 (options & FAKE_READ_ONLY ? 0 : BLK_OPEN_WRITE);
	fixture->ti = (struct dm_target){
		.table = &fixture->dm_table,
		.len = FAKE_SECTORS,
		.private = &fixture->table,
	};
	fixture->table.ti = &fixture->ti;
}

static bool parse(struct fixture *fixture, struct text *text)
{
	struct at_table *table = &fixture->table;
	int r = at_table_parse(table, text->nr_words, text->words);
	struct dm_dev *const devices[] = {
		table->volume, table->backing_dev, table->meta,
	};

	fake_check_open(table->ti->table, devices, ARRAY_SIZE(devices));
	if (!r != !!table->device)
		abort();
	if (r)
		text_refusal(r, fixture->ti.error);
	return !r;
}

static char *show(struct fixture *fixture, size_t room)
{
	char *line = malloc(room);

	if (!line || at_table_emit(&fixture->table, 0, line, room) > room)
		abort();
	return line;
}

static void check_shown(struct fixture *fixture)
{
	char *line = show(fixture, LINE_BYTES), *words = strdup(line), *line_again;
	struct fixture again;
	struct text text;

	free(show(fixture, strlen(line) / 2 + 1));
	text_split(&text, words);
	begin(&again, fake_options);
	if (!parse(&again, &text))
		abort();
	line_again = show(&again, LINE_BYTES);
	if (strcmp(line, line_again))
		abort();
	fake_end(&again.dm_table);
	free(line);
	free(line_again);
	free(words);
}

static void check_message(struct fixture *fixture, struct text *text)
{
	struct at_device before = fixture->device;
	char result[64];
	int r = at_message(&fixture->ti, text->nr_words, text->words, result,
			   sizeof(result));

	/* A refused message changes nothing. */
	if (r > 0 || (r && memcmp(&before, &fixture->device, sizeof(before))))
		abort();
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
	if (parse(&fixture, &text)) {
		check_shown(&fixture);
		/* As at the first resume. */
		fixture.table.resumed = true;
		fixture.device.stream.rate.bytes_per_second = fixture.table.stream_speed;
		fixture.device.stream.on_error = fixture.table.on_error;
		while (text_next(&text)) {
			if (!text.nr_words)
				continue;
			check_message(&fixture, &text);
			check_shown(&fixture);
		}
	}
	fake_end(&fixture.dm_table);
	free(copy);
	return 0;
}
