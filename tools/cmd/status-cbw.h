/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_STATUS_CBW_H
#define DMLIVE_STATUS_CBW_H

/* What dmlive status shows of a cbw device. */

#include "base/json.h"

/*
 * Print it, or, with @object, add it there.
 * Return: 0; -ENOENT, without a message: it is not a cbw device; -EPROTO after a
 * message: its lines cannot be parsed; or another negative errno.
 */
int status_cbw(const char *name, struct json_object *object);

#endif /* DMLIVE_STATUS_CBW_H */
