/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_KERNEL_LOG_H
#define DMLIVE_KERNEL_LOG_H

/* What the kernel says about something that it refuses, from its log. */

#include <stddef.h>

/* Remember where the log ends. A file descriptor, or -1 when it cannot be read. */
int kernel_log_mark(void);

/*
 * Find the last line since the mark that begins with @prefix. Closes @mark.
 * Returns @text, the rest of that line: "" when there is none.
 */
const char *kernel_log_find(int mark, const char *prefix, char *text,
			    size_t text_bytes);

#endif /* DMLIVE_KERNEL_LOG_H */
