// SPDX-License-Identifier: GPL-2.0-only
/*
 * The progress line. It is composed in memory and written at once, and only the
 * rest of the line is erased, so it does not flicker.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/time.h"
#include "base/progress.h"
#include "base/size.h"

#define MAX_COLUMNS	160
#define MIN_BAR		8
#define MAX_BAR		40

/* Time constant of the smoothed rate. */
#define SMOOTH_SECONDS	4.0

#define CLEAR_TO_END	"\033[K"

void progress_init(struct progress *progress, const char *name)
{
	memset(progress, 0, sizeof(*progress));
	progress->name = name;
	progress->on_terminal = isatty(STDERR_FILENO);
	progress->start_ns = monotonic_ns();
}

static void update_rate(struct progress *progress, uint64_t done_bytes)
{
	uint64_t now_ns = monotonic_ns();
	double seconds, rate, weight;

	if (progress->last_ns && now_ns > progress->last_ns &&
	    done_bytes >= progress->last_bytes) {
		seconds = (double)(now_ns - progress->last_ns) / NS_PER_SECOND;
		rate = (double)(done_bytes - progress->last_bytes) / seconds;
		weight = seconds / (seconds + SMOOTH_SECONDS);
		progress->rate = progress->rate ?
			progress->rate * (1 - weight) + rate * weight : rate;
	}
	progress->last_ns = now_ns;
	progress->last_bytes = done_bytes;
}

int64_t progress_seconds_left(const struct progress *progress,
			      uint64_t done_bytes, uint64_t total_bytes)
{
	if (progress->rate < 1)
		return -1;
	return (int64_t)((double)(total_bytes - done_bytes) / progress->rate);
}

static int terminal_columns(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) || !size.ws_col)
		return 80;
	return size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS;
}

/* What is shown right of the bar. */
static void compose_numbers(const struct progress *progress, uint64_t done_bytes,
			    uint64_t total_bytes, const char *state,
			    char *text, size_t text_bytes)
{
	char done[SIZE_TEXT_BYTES], total[SIZE_TEXT_BYTES];
	char rate[SIZE_TEXT_BYTES], left[SIZE_TEXT_BYTES];
	int64_t seconds = progress_seconds_left(progress, done_bytes,
						total_bytes);
	int length;

	length = snprintf(text, text_bytes, "%3u%%  %s of %s",
			  (unsigned int)((double)done_bytes * 100 /
					 (double)total_bytes),
			  size_format(done_bytes, done),
			  size_format(total_bytes, total));
	if (strcmp(state, "running"))
		snprintf(text + length, text_bytes - length, "  %s", state);
	else if (seconds >= 0)
		snprintf(text + length, text_bytes - length, "  %s/s  %s left",
			 size_format((uint64_t)progress->rate, rate),
			 duration_format(seconds, left));
}

void progress_compose(const struct progress *progress, uint64_t done_bytes,
		      uint64_t total_bytes, const char *state, char *line,
		      size_t line_bytes)
{
	char numbers[160], bar[MAX_BAR + 1];
	int columns, width, filled;

	compose_numbers(progress, done_bytes, total_bytes, state, numbers,
			sizeof(numbers));
	columns = terminal_columns();
	width = columns - 1 - (int)strlen(progress->name) - 5 -
		(int)strlen(numbers);
	if (width > MAX_BAR)
		width = MAX_BAR;
	if (width < MIN_BAR) {
		snprintf(line, line_bytes, "%.*s", columns - 1, numbers);
		return;
	}
	filled = (int)((double)done_bytes * width / (double)total_bytes);
	memset(bar, '#', filled);
	memset(bar + filled, '.', width - filled);
	bar[width] = '\0';
	snprintf(line, line_bytes, "%s  [%s] %s", progress->name, bar, numbers);
}

void progress_update(struct progress *progress, uint64_t done_bytes,
		     uint64_t total_bytes, const char *state)
{
	char line[512], drawn[528];
	int length;

	update_rate(progress, done_bytes);
	if (!progress->on_terminal || !total_bytes)
		return;
	progress_compose(progress, done_bytes, total_bytes, state, line,
			 sizeof(line));
	length = snprintf(drawn, sizeof(drawn), "\r%s" CLEAR_TO_END, line);
	if (write(STDERR_FILENO, drawn, length) == length)
		progress->drawn = true;
}

void progress_clear(struct progress *progress)
{
	static const char clear[] = "\r" CLEAR_TO_END;

	if (!progress->drawn)
		return;
	if (write(STDERR_FILENO, clear, sizeof(clear) - 1) > 0)
		progress->drawn = false;
}
