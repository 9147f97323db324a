/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_STATUS_RECOVERY_H
#define DMLIVE_STATUS_RECOVERY_H

#include "base/json.h"

/*
 * What killed commands have left, and how each is cleaned up: inner devices that
 * nothing uses, sessions and views of backups, devices without a table or suspended.
 * Nothing that another process is at work on.
 *
 * @name: only what belongs to this mapped device; NULL: all
 * @array: add objects to it; NULL: print
 * Return: how many there are.
 */
unsigned int status_recovery(const char *name, struct json_object *array);

#endif /* DMLIVE_STATUS_RECOVERY_H */
