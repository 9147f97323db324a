/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOSTILE_DMCTL_H
#define HOSTILE_DMCTL_H

/*
 * Device mapper's ioctls, each as one function. A process that runs a whole test by
 * itself can inject faults into single allocations, and does not start programs, which
 * is slow on a debug kernel.
 *
 * All return 0 or a positive errno. Any thread may call them at any time.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * dmctl_create - a mapped device without a table; @device: its number
 *
 * Its node comes with the first table.
 */
int dmctl_create(const char *name, dev_t *device);

/** dmctl_load - load a table of one line, which becomes active with dmctl_resume() */
int dmctl_load(const char *name, uint64_t sectors, const char *target,
	       const char *arguments, bool read_only);

/** dmctl_clear - drop the inactive table */
int dmctl_clear(const char *name);

#define DMCTL_NOFLUSH	(1u << 0)
#define DMCTL_NOLOCKFS	(1u << 1)

int dmctl_suspend(const char *name, unsigned int flags);
int dmctl_resume(const char *name);
int dmctl_remove(const char *name);
int dmctl_message(const char *name, const char *text);

/** dmctl_status - the status after the target's name; @table: the table instead */
int dmctl_status(const char *name, bool table, char *text, size_t bytes);

/** dmctl_path - the path of its node; @path has room for 32 bytes */
const char *dmctl_path(dev_t device, char *path);

#endif /* HOSTILE_DMCTL_H */
