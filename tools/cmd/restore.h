/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_RESTORE_H
#define DMLIVE_CMD_RESTORE_H

/* What the command lines of `dmlive restore` and `dmlive resume` have in common. */

#include <stdbool.h>

#include "block/dm.h"
#include "restore/processes.h"

/* The options of resume. Negative: help was shown; else an exit status. */
int restore_parse_resume(int argc, char **argv,
			 struct restore_request *request);

/* Names of mapped devices and VG/LV become paths. An exit status, after a message. */
int restore_find_paths(struct restore_request *request);

/* The name of the mapped device at @path. False: it is none. */
bool restore_find_mapped(const char *path, char name[DM_NAME_BYTES]);

#endif /* DMLIVE_CMD_RESTORE_H */
