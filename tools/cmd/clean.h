/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CLEAN_H
#define DMLIVE_CLEAN_H

/*
 * Remove the records in /run of mapped devices that are gone, unless a restore can be
 * resumed by one, or a process is at work. Called before each command that deals with
 * mapped devices. The only message is that an interrupted backup is not a backup.
 */
void clean_records(void);

#endif /* DMLIVE_CLEAN_H */
