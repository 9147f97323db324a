/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef HOSTILE_SWEEP_H
#define HOSTILE_SWEEP_H

/*
 * Sweeps: an operation is repeated. In run n its nth allocation fails, until a run has
 * fewer than n allocations.
 */
#include <stdbool.h>
#include <stdint.h>

/**
 * struct step - one operation, whose allocations are made to fail
 * @name: its name in the output
 * @before: set up what it needs; may be NULL
 * @run: the operation; 0 or an errno
 * @after: undo @before and @run, which has succeeded in the end; may be NULL
 */
struct step {
	const char *name;
	void (*before)(void);
	int (*run)(void);
	void (*after)(void);
};

#define STEP(title, make, operate, undo)				\
	{ .name = title, .before = make, .run = operate, .after = undo }
/** sweep_must - report and count a failure if @error is not 0. Returns !@error. */
bool sweep_must(int error, const char *what);

/** struct devices - the devices of the command line */
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
 * make_device, make_view - create one without a table; drop_...: remove it
 *
 * A device that is only cleared is kept for the next step, since creating one is slow.
 * After removing it other than by drop_device(), call forget_device().
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

/** device_path - the path of the device under test, for a table line */
const char *device_path(void);

/** open_device, open_view - open it for direct I/O */
int open_device(void);
int open_view(void);

/** table - format the arguments of a table line, in one of a few static buffers */
__attribute__((format(printf, 1, 2)))
const char *table(const char *format, ...);

/* I/O on the open device @fd; 0 or an errno. */
int write_pattern(int fd, uint64_t offset, uint32_t bytes, unsigned char pattern);
int read_pattern(int fd, uint64_t offset, uint32_t bytes, unsigned char pattern);
int discard(int fd, uint64_t offset, uint64_t bytes);

/* Lists end with a step without a name. */
extern const struct step alloctrack_steps[], alloctrack_io_steps[];
extern const struct step server_steps[], cbw_steps[], cbw_io_steps[];
extern const struct step cbw_track_steps[];

#endif /* HOSTILE_SWEEP_H */
