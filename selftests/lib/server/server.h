/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SERVER_H
#define SERVER_H

/*
 * The core of programs that serve a device through /dev/dm-alloctrack: one function for
 * each ioctl. All of it also works in a 32-bit program.
 *
 * Unless a function says otherwise, it returns 0 or an errno.
 */
#include <linux/dm-alloctrack.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVER_NODE	"/dev/" DM_ALLOCTRACK_NODE

/* "ok" for 0, else the name of the errno. */
const char *server_error_name(int error);

/* Reads "MAJOR:MINOR". Exits with status 2 if @text is something else. */
dev_t server_parse_device(const char *text);

/* Open the control device, also with @flags of open(). Returns -1 with errno set on error. */
int server_open(int flags);

int server_attach(int fd, dev_t device);

/* Open, and attach to a device. These exit with status 2 when they fail. */
int server_must_open(int flags);
int server_open_attached(dev_t device, int flags);

/* Any ioctl, with any argument. */
int server_call(int fd, unsigned long command, void *argument);

int server_info(int fd, struct dm_alloctrack_info *info);
int server_next(int fd, uint32_t flags, uint64_t offset, struct dm_alloctrack_next *next);

/* @nr: how many of @max ranges were written; may be NULL. */
int server_wait(int fd, uint32_t flags, struct dm_alloctrack_range *ranges, uint32_t max,
		uint32_t *nr);

/* @used_bytes: how many bytes became allocated, also on error; may be NULL. */
int server_fill(int fd, uint32_t flags, uint64_t offset, uint64_t length,
		const void *buffer, uint64_t *used_bytes);
int server_zero(int fd, uint32_t flags, uint64_t offset, uint64_t length,
		uint64_t *used_bytes);

int server_fail(int fd, uint32_t flags, uint64_t offset, uint64_t length, uint32_t error);

/* Wait for ranges, and call @serve for each, until WAIT fails. Returns why it failed. */
int server_loop(int fd, void (*serve)(const struct dm_alloctrack_range *range));

/* Returns those of @events that poll() reports within @timeout_ms; -1: no limit. */
short server_poll(int fd, short events, int timeout_ms);

#endif /* SERVER_H */
