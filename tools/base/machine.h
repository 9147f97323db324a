/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_MACHINE_H
#define DMLIVE_MACHINE_H

#include <stdbool.h>

/* Hexadecimal digits, and the end of the text. */
#define MACHINE_ID_BYTES 33

/*
 * What identifies this installation of an operating system: a digest of machine-id(5),
 * which itself should not be written where others can read it, and of the UUID that the
 * firmware has for the machine, if it has one. False: there is none.
 */
bool machine_get_id(char id[MACHINE_ID_BYTES]);

/* Do clones of this installation on other machines have another id? */
bool machine_differs_from_clones(void);

#endif /* DMLIVE_MACHINE_H */
