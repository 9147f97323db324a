/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_REPORT_H
#define DMLIVE_RESTORE_REPORT_H

/*
 * What the server process reports to the process that was started in the terminal:
 * lines through a pipe. The first character is the kind:
 *
 *   U		the device is usable
 *   E, W, I	an error, a warning, a remark: the text follows
 *   N		a note that people want to see: the text follows
 *   G		changes were not tracked: a JSON object follows, see meta_gap_json()
 *   S		the stream job has another state: its name follows
 *   P		how far the image's tables have been looked through: bytes of bytes
 *   D		all done: the exit status follows
 *
 * The server never waits for the reader and does not care if there is one.
 */

#include <stdint.h>

#include "base/log.h"

/* For the server: reports go to @fd; fd -1: to nobody. */
void report_init(int fd);
void report_usable(void);
void report_note(const char *text);
void report_gap(const char *json);
void report_state(const char *state);
void report_check(uint64_t done_bytes, uint64_t total_bytes);
void report_done(int exit_status);

/*
 * From now on messages go to the log file of @name in /run/dmlive, to the
 * system's log if there is one, and to the reader.
 */
void report_take_messages(const char *name);

/* Write a line to the log file alone. Async-signal-safe. */
void report_from_signal_handler(const char *line);

#endif /* DMLIVE_RESTORE_REPORT_H */
