/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_BACKUP_VIEW_H
#define DMLIVE_BACKUP_VIEW_H

#include <sys/types.h>

/* The name of the view of the device @devt. */
void view_name(char name[32], dev_t devt);

#endif /* DMLIVE_BACKUP_VIEW_H */
