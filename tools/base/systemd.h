/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef DMLIVE_SYSTEMD_H
#define DMLIVE_SYSTEMD_H

/*
 * What a service of systemd needs. The protocol of sd_notify(3) is one datagram, so
 * libsystemd is not required.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * This process is the main one of a service: take its socket from the environment. Without
 * one, the functions below do nothing.
 */
void notify_init(void);

/* The service has started. */
void notify_ready(void);

/* Starting takes longer: a minute from now. */
void notify_still_starting(void);

/* The line that systemctl status shows. Does not block. */
void notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The name of the unit for a path: @prefix, the path as systemd-escape --path writes it,
 * @suffix. False: too long, or not an absolute path.
 */
bool unit_name_of_path(const char *prefix, const char *path, const char *suffix,
		       char *name, size_t name_bytes);

/*
 * Start a unit, and return its systemctl's exit status; less than 0: a negative errno.
 * @wait: until the unit has started; else its job is only queued. @quiet: without
 * systemctl's messages.
 */
int unit_start(const char *name, bool wait, bool quiet);

/*
 * Mount the file systems that @path lies on, as far as systemd has units for them.
 */
void unit_start_mounts_of(const char *path);

/*
 * Is the machine running, and not about to stop? False also where systemd is not the init
 * process, as nobody can be asked then. Takes the time of a process.
 */
bool system_is_running(void);

/*
 * Put the process into a unit of its own, which nothing stops, not even a shutdown: the
 * one that it is in, a session or a service, would take it along when it ends. False:
 * systemd runs, but that was not possible.
 */
bool unit_separate(pid_t pid, const char *description);

#endif /* DMLIVE_SYSTEMD_H */
