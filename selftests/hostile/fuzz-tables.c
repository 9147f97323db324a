// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random table lines and messages: mostly what the grammar allows, with words that
 * are missing, doubled, or something else.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dmctl.h"
#include "fuzz.h"

#define MAX_WORDS	32
#define WORD_BYTES	80
#define LINE_BYTES	8000

struct line {
	char words[MAX_WORDS][WORD_BYTES];
	unsigned int nr;
};

static const char *const odd_words[] = {
	"", "-", "0", "1", "-1", "user", "8", "128", "4097", "4294967296",
	"18446744073709551615", "18446744073709551616", "0x80", " ", "\\", "%s%n",
	"/dev/null", "/", "/dev/nullb0x", "stream", "target", "\xff\xfe", "1e9",
};

static const char *const block_sizes[] = {
	"8", "128", "128", "128", "128", "4096", "-",
};

/* The last one does not exist. */
static const char *const bitmaps[] = { "day", "week", "year" };

static const char *const policies[] = { "report", "ignore", "stop", "enospc" };

static const char *const numbers[] = {
	"0", "1", "2", "16", "50", "100", "65536", "10000000",
	"18446744073709551615",
};

static void add(struct line *line, const char *word)
{
	if (line->nr < MAX_WORDS)
		snprintf(line->words[line->nr++], WORD_BYTES, "%s", word);
}

static void add_alloctrack_feature(struct rng *rng, struct line *line)
{
	static const char *const flags[] = {
		"auto_remove", "copy_on_read", "stream", "target_is_zero",
		"no_detect_zeroes",
	};

	switch (rng_below(rng, 6)) {
	case 0:
		add(line, "stream_speed");
		add(line, RNG_PICK(rng, numbers));
		break;
	case 1:
		add(line, "on_error");
		add(line, RNG_PICK(rng, policies));
		break;
	case 2:
		add(line, "user_timeout");
		add(line, RNG_PICK(rng, numbers));
		break;
	default:
		add(line, RNG_PICK(rng, flags));
	}
}

static void add_cbw_feature(struct rng *rng, struct line *line)
{
	static const char *const with_number[] = {
		"cbw_timeout", "job_speed", "job_workers", "fleece_low_water",
	};

	switch (rng_below(rng, 6)) {
	case 0:
		add(line, "on_cbw_error");
		add(line, rng_chance(rng, 50) ? "break_guest_write" :
						"break_snapshot");
		break;
	case 1:
		add(line, rng_chance(rng, 50) ? "on_source_error" :
						"on_target_error");
		add(line, RNG_PICK(rng, policies));
		break;
	case 2:
		add(line, "job");
		break;
	default:
		add(line, RNG_PICK(rng, with_number));
		add(line, RNG_PICK(rng, numbers));
	}
}

/* The features follow their number. */
static void add_features(struct rng *rng, struct line *line,
			 void (*add_feature)(struct rng *rng, struct line *line),
			 unsigned int position)
{
	unsigned int nr = rng_below(rng, 4);

	while (nr--)
		add_feature(rng, line);
	snprintf(line->words[position], WORD_BYTES, "%u",
		 line->nr - position - 1);
}

static void make_alloctrack(struct rng *rng, struct line *line)
{
	unsigned int position;

	add(line, disks[rng_below(rng, 2)]);
	add(line, rng_chance(rng, 60) ? "user" :
		  rng_chance(rng, 20) ? "-" : disks[2]);
	add(line, rng_chance(rng, 30) ? disks[3] : "-");
	add(line, RNG_PICK(rng, block_sizes));
	position = line->nr;
	add(line, "0");
	add_features(rng, line, add_alloctrack_feature, position);
}

static void make_cbw(struct rng *rng, struct line *line)
{
	bool tracked = rng_chance(rng, 50);
	unsigned int position;

	add(line, disks[rng_below(rng, 2)]);
	add(line, tracked ? disks[4] : "-");
	add(line, RNG_PICK(rng, block_sizes));
	position = line->nr;
	add(line, "0");
	if (rng_chance(rng, 70)) {
		add(line, rng_chance(rng, 60) ? "target" : "fleece");
		add(line, disks[2 + rng_below(rng, 2)]);
		if (tracked && rng_chance(rng, 60)) {
			add(line, rng_chance(rng, 50) ? "bitmap" : "new_bitmap");
			add(line, RNG_PICK(rng, bitmaps));
			if (rng_chance(rng, 30)) {
				add(line, "generation");
				add(line, RNG_PICK(rng, block_sizes));
			}
		}
	}
	add_features(rng, line, add_cbw_feature, position);
}

static void make_view(struct rng *rng, struct line *line)
{
	char path[32];

	add(line, dmctl_path(devices[rng_below(rng, NR_DEVICES - 1)], path));
}

static void mutate(struct rng *rng, struct line *line)
{
	unsigned int at = rng_below(rng, line->nr);
	char word[WORD_BYTES];

	switch (rng_below(rng, 4)) {
	case 0:
		line->nr--;
		memmove(line->words[at], line->words[at + 1],
			(line->nr - at) * WORD_BYTES);
		break;
	case 1:
		memcpy(word, line->words[at], WORD_BYTES);
		add(line, word);
		break;
	case 2:
		line->words[at][rng_below(rng, WORD_BYTES - 1)] = rng_next(rng);
		break;
	default:
		snprintf(line->words[at], WORD_BYTES, "%s",
			 RNG_PICK(rng, odd_words));
	}
}

static const char *join(struct rng *rng, const struct line *line, char *text)
{
	unsigned int i, length = 0;

	text[0] = '\0';
	for (i = 0; i < line->nr; i++)
		length += snprintf(text + length, LINE_BYTES - length, "%s%s",
				   i ? " " : "", line->words[i]);
	/* Sometimes a word without an end. */
	if (rng_chance(rng, 1)) {
		memset(text + length, 'x', LINE_BYTES - length);
		text[LINE_BYTES - 1] = '\0';
	}
	return text;
}

void fuzz_table(struct rng *rng, unsigned int device)
{
	static const uint64_t odd_sizes[] = {
		0, 1, 7, 8, 4096, DISK_SECTORS - 1, DISK_SECTORS + 1, 1ULL << 40,
		~0ULL,
	};
	uint64_t sectors = DISK_SECTORS;
	struct line line = { .nr = 0 };
	char text[LINE_BYTES];
	const char *target;

	if (device == NR_DEVICES - 1) {
		target = "cbw-snapshot";
		make_view(rng, &line);
	} else if (rng_chance(rng, 50)) {
		target = "alloctrack";
		make_alloctrack(rng, &line);
	} else {
		target = "cbw";
		make_cbw(rng, &line);
	}
	while (line.nr && rng_chance(rng, 15))
		mutate(rng, &line);
	if (rng_chance(rng, 10))
		sectors = RNG_PICK(rng, odd_sizes);
	count(&counters->loads, &counters->loads_good,
	      dmctl_load(device_names[device], sectors, target,
			 join(rng, &line, text), rng_chance(rng, 5)));
}

void fuzz_message(struct rng *rng, unsigned int device)
{
	static const char *const messages[][2] = {
		{ "stream", "start" }, { "stream", "start" },
		{ "stream", "pause" }, { "stream", "resume" },
		{ "stream", "cancel" }, { "stream_speed", "1000000" },
		{ "stream_speed", "0" }, { "on_error", "ignore" },
		{ "on_error", "stop" }, { "on_error", "report" },
		{ "job", "start" }, { "job", "start" }, { "job", "pause" },
		{ "job", "resume" }, { "job", "cancel" },
		{ "job_speed", "1000000" }, { "job_speed", "0" },
		{ "session", "cancel" }, { "bitmap", "enable" },
		{ "bitmap", "disable" }, { "bitmap", "clear" },
		{ "bitmap", "merge" }, { "backup", "commit" },
		{ "backup", "commit" }, { "backup", "abort" },
	};
	unsigned int message = rng_below(rng, sizeof(messages) / sizeof(messages[0]));
	struct line line = { .nr = 0 };
	char text[LINE_BYTES];

	add(&line, messages[message][0]);
	add(&line, messages[message][1]);
	/* The number is the generation of a commit. */
	if (!strcmp(messages[message][0], "bitmap") ||
	    !strcmp(messages[message][0], "backup")) {
		add(&line, RNG_PICK(rng, bitmaps));
		if (!strcmp(messages[message][1], "merge"))
			add(&line, RNG_PICK(rng, bitmaps));
		else if (!strcmp(messages[message][1], "commit"))
			add(&line, "77");
	}
	while (line.nr && rng_chance(rng, 15))
		mutate(rng, &line);
	count(&counters->messages, &counters->messages_good,
	      dmctl_message(device_names[device], join(rng, &line, text)));
}
