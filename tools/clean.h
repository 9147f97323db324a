/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CLEAN_H
#define DMLIVE_CLEAN_H

/*
 * Remove what is on record in /run of mapped devices that are gone, unless a restore can
 * be gone on with by it, or somebody is at work. Called before each command that has to
 * do with mapped devices. Says nothing, but that an interrupted backup is no backup.
 */
void clean_records(void);

#endif /* DMLIVE_CLEAN_H */
