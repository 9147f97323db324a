/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_LOG_H
#define DMLIVE_LOG_H

/*
 * Messages to people: one line each, naming the object, the reason and the way out.
 * They go to standard error, unless log_set_sink() sends them elsewhere. Any thread
 * may call these.
 */

#include <stdarg.h>
#include <stdbool.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,		/* dropped unless there is a sink */
};

/* @line has no newline. */
typedef void (*log_sink_fn)(enum log_level level, const char *line);

void log_set_sink(log_sink_fn sink);

/*
 * Keep messages in memory, as far as there is room, until log_release() writes them:
 * for the time that a device is suspended that the log may lie on.
 */
void log_hold(void);
void log_release(void);

void error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void info(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* error(), then ": " and the text of a positive or negative errno. */
void error_errno(int error_number, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Messages of one kind that could come in thousands: a few every ten seconds.
 * Initialize it with zeros.
 */
struct log_limit {
	unsigned long long window_start_ns;
	unsigned int count;
	unsigned int dropped;
};

/* May another message be printed now? Says how many were not, when it may. */
bool log_allowed(struct log_limit *limit);

#endif /* DMLIVE_LOG_H */
