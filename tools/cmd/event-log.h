/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_EVENT_LOG_H
#define DMLIVE_CMD_EVENT_LOG_H

/*
 * Messages of `dmlive attach --event`: udev drops what programs print, so they also go to
 * the kernel's log.
 */

#include <stdbool.h>

/* From now on, or not any more. */
void event_log_use(bool use);

/* Drop messages, while event_log_use() is on. */
void event_log_hush(bool hush);

#endif /* DMLIVE_CMD_EVENT_LOG_H */
