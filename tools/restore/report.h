/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_RESTORE_REPORT_H
#define DMLIVE_RESTORE_REPORT_H

/*
 * What the server reports to the front end: lines through a pipe. The first character is
 * the kind:
 *
 *   U		the device is usable
 *   E, W, I	an error, a warning, information: the text follows
 *   N		a note for the user: the text follows
 *   G		changes were not tracked: a JSON object follows, see meta_gap_json()
 *   S		the state of the stream job has changed: its name follows
 *   P		progress of checking the image's tables: bytes, total bytes
 *   D		the server has finished: the exit status follows
 *
 * The server never waits for the front end, which may be gone.
 */

#include <stdint.h>

#include "base/log.h"

/* Reports go to @fd; -1: they are dropped. */
void report_init(int fd);
void report_usable(void);
void report_note(const char *text);
void report_gap(const char *json);
void report_state(const char *state);
void report_check(uint64_t done_bytes, uint64_t total_bytes);
void report_done(int exit_status);

/*
 * From now on messages go to the log file of @name in /run/dmlive, to the system's log
 * if there is one, and to the front end.
 */
void report_take_messages(const char *name);

/* Write a line to the log file alone. Async-signal-safe. */
void report_from_signal_handler(const char *line);

#endif /* DMLIVE_RESTORE_REPORT_H */
