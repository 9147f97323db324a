/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_CMD_RESTORE_VM_H
#define DMLIVE_CMD_RESTORE_VM_H

#include <stdbool.h>

/* What `dmlive restore --help` prints after its own text. */
extern const char restore_vm_help[];

/* Is --vm among the arguments of `dmlive restore`? */
bool restore_vm_is_meant(int argc, char **argv);

int cmd_restore_vm(int argc, char **argv);

#endif /* DMLIVE_CMD_RESTORE_VM_H */
