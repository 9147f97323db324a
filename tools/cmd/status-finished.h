/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_STATUS_FINISHED_H
#define DMLIVE_STATUS_FINISHED_H

#include "base/json.h"

/*
 * Print what became of a finished restore, or add it to @object if that is not NULL.
 * -ENOENT: @name is not one.
 */
int status_finished(const char *name, struct json_object *object);

#endif /* DMLIVE_STATUS_FINISHED_H */
