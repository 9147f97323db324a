/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CLEAN_H
#define DMLIVE_CLEAN_H

/*
 * Remove the records in /run of mapped devices that are gone, unless they are needed to
 * resume a restore, or a process works on the device. Called before each command that
 * deals with mapped devices. The only message says that an interrupted backup is not a
 * backup.
 */
void clean_records(void);

#endif /* DMLIVE_CLEAN_H */
