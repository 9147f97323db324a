// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where messages go. A line is formatted into a buffer on the stack and handed
 * on whole, so lines of several threads do not mix.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/time.h"

#define LINE_BYTES 1024

#define LIMIT_WINDOW_NS (10 * NS_PER_SECOND)
#define LIMIT_COUNT 5

/* A device that cannot be resumed causes half a dozen. */
#define MAX_HELD 64

static log_sink_fn current_sink;

/* Messages that are held; one thread holds and writes them. */
static struct {
	log_sink_fn sink;		/* to be restored */
	unsigned int nr;
	enum log_level levels[MAX_HELD];
	char lines[MAX_HELD][LINE_BYTES];
} held;

static void write_to_stderr(enum log_level level, const char *line)
{
	char text[LINE_BYTES + 32];
	int length;

	if (level == LOG_LEVEL_INFO)
		return;
	length = snprintf(text, sizeof(text), "dmlive: %s%s\n",
			  level == LOG_LEVEL_WARNING ? "warning: " : "", line);
	if (write(STDERR_FILENO, text, length) < 0)
		return;
}

void log_set_sink(log_sink_fn sink)
{
	__atomic_store_n(&current_sink, sink, __ATOMIC_RELEASE);
}

static void put(enum log_level level, const char *line)
{
	log_sink_fn sink = __atomic_load_n(&current_sink, __ATOMIC_ACQUIRE);

	(sink ? sink : write_to_stderr)(level, line);
}

static void keep(enum log_level level, const char *line)
{
	unsigned int i;

	/* A retry fails with the same message. */
	for (i = 0; i < held.nr; i++)
		if (!strncmp(held.lines[i], line, LINE_BYTES - 1))
			return;
	if (held.nr == MAX_HELD)
		return;
	held.levels[held.nr] = level;
	snprintf(held.lines[held.nr++], LINE_BYTES, "%s", line);
}

void log_hold(void)
{
	held.sink = __atomic_load_n(&current_sink, __ATOMIC_ACQUIRE);
	log_set_sink(keep);
}

void log_release(void)
{
	unsigned int i;

	log_set_sink(held.sink);
	for (i = 0; i < held.nr; i++)
		put(held.levels[i], held.lines[i]);
	held.nr = 0;
}

static void put_format(enum log_level level, const char *format, va_list args)
{
	char line[LINE_BYTES];

	vsnprintf(line, sizeof(line), format, args);
	put(level, line);
}

void error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_format(LOG_LEVEL_ERROR, format, args);
	va_end(args);
}

void warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_format(LOG_LEVEL_WARNING, format, args);
	va_end(args);
}

void info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_format(LOG_LEVEL_INFO, format, args);
	va_end(args);
}

void error_errno(int error_number, const char *format, ...)
{
	char line[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	error("%s: %s", line, strerrordesc_np(abs(error_number)));
}

bool log_allowed(struct log_limit *limit)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	uint64_t now_ns = monotonic_ns();
	unsigned int dropped = 0;
	bool allowed;

	pthread_mutex_lock(&lock);
	if (!limit->window_start_ns ||
	    now_ns - limit->window_start_ns > LIMIT_WINDOW_NS) {
		limit->window_start_ns = now_ns;
		limit->count = 0;
		dropped = limit->dropped;
		limit->dropped = 0;
	}
	allowed = limit->count++ < LIMIT_COUNT;
	if (!allowed)
		limit->dropped++;
	pthread_mutex_unlock(&lock);

	if (dropped)
		warning("%u messages like the next one were dropped", dropped);
	return allowed;
}
