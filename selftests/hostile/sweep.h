/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOSTILE_SWEEP_H
#define HOSTILE_SWEEP_H

/*
 * Sweeps: an operation is repeated, and the first time its first allocation fails,
 * the second time its second, until it ends before the one that is to fail.
 */
#include <stdbool.h>
#include <stdint.h>

/**
 * struct step - one operation, whose allocations are made to fail
 * @name: what it is
 * @before: makes what it needs; NULL: nothing
 * @run: the operation; 0 or an errno
 * @after: undoes @before and @run, which has succeeded in the end; NULL: nothing
 */
struct step {
	const char *name;
	void (*before)(void);
	int (*run)(void);
	void (*after)(void);
};

#define STEP(title, make, operate, undo)				\
	{ .name = title, .before = make, .run = operate, .after = undo }
/** sweep_must - complain, and count a failure, if @error is not 0. Returns !@error. */
bool sweep_must(int error, const char *what);

/** struct devices - what the command line named */
struct devices {
	const char *file, *backing, *meta;
	uint64_t sectors;
	unsigned int block_sectors;
};

extern struct devices devices;

/* The device under test, and a view of it. */
#define DEVICE	"sweep"
#define VIEW	"sweep-view"

/**
 * make_device, make_view - without a table; drop_...: remove them
 *
 * A device that a step has only cleared is there for the next one, since making one
 * takes long. Who removes it otherwise than by drop_device() calls forget_device().
 */
void make_device(void);
void clear_device(void);
void forget_device(void);
void drop_device(void);
void make_view(void);
void drop_view(void);

/* Operations on the device under test; 0 or an errno. */
int load_device(const char *target, const char *arguments);
int suspend_device(void);
int resume_device(void);
int query_device(void);
int remove_device(void);

/** start_job - send a message that starts a job, which may have been started before */
int start_job(const char *message);

/** device_path - of the device under test, as an argument of a table line */
const char *device_path(void);

/** open_device - opened for direct I/O; open_view: for reading, and for discards */
int open_device(void);
int open_view(void);

/** table - arguments of a table line, in one of a few static buffers */
__attribute__((format(printf, 1, 2)))
const char *table(const char *format, ...);

/* I/O in whole bytes to the device that @fd is open on; 0 or an errno. */
int write_pattern(int fd, uint64_t offset, uint32_t bytes, unsigned char pattern);
int read_pattern(int fd, uint64_t offset, uint32_t bytes, unsigned char pattern);
int discard(int fd, uint64_t offset, uint64_t bytes);

/* Lists end with a step without a name. */
extern const struct step alloctrack_steps[], alloctrack_io_steps[];
extern const struct step server_steps[], cbw_steps[], cbw_io_steps[];
extern const struct step cbw_track_steps[];

#endif /* HOSTILE_SWEEP_H */
