// SPDX-License-Identifier: GPL-2.0-only
/*
 * The steps of alloctrack. The backing is all BACKING_PATTERN, the file is not.
 */
#include <errno.h>
#include <unistd.h>

#include "dmctl.h"
#include "sweep.h"

#define BACKING_PATTERN	0xbb
#define GUEST_PATTERN	0x11

static int fd;
static unsigned int position;

static int load(const char *backing, const char *meta, const char *features)
{
	return load_device("alloctrack",
			   table("%s %s %s %u %s", devices.file, backing, meta,
				 devices.block_sectors, features));
}

static int load_bare(void)
{
	return load(devices.backing, "-", "0");
}

static int load_meta(void)
{
	return load(devices.backing, devices.meta, "0");
}

static int load_features(void)
{
	return load(devices.backing, "-", "5 copy_on_read stream_speed 1 on_error stop");
}

static void device_loaded_bare(void)
{
	make_device();
	sweep_must(load_bare(), "load");
}

static void device_loaded_meta(void)
{
	make_device();
	sweep_must(load_meta(), "load");
}

static void device_running_bare(void)
{
	device_loaded_bare();
	sweep_must(resume_device(), "resume");
	fd = open_device();
}

static void device_running_meta(void)
{
	device_loaded_meta();
	sweep_must(resume_device(), "resume");
	fd = open_device();
}

static void close_and_remove(void)
{
	close(fd);
	drop_device();
}

/* Earlier writes must be there after any suspend. */
static void device_written_meta(void)
{
	device_running_meta();
	sweep_must(write_pattern(fd, 0, 65536, GUEST_PATTERN), "write");
}

static void device_idle_meta(void)
{
	device_running_meta();
	sweep_must(write_pattern(fd, 0, 65536, GUEST_PATTERN), "write");
	close(fd);
}

static void still_written(void)
{
	sweep_must(resume_device(), "resume");
	sweep_must(read_pattern(fd, 0, 65536, GUEST_PATTERN), "read");
	close_and_remove();
}

static int reload_and_swap(void)
{
	return load_meta() ?: suspend_device() ?: resume_device();
}

static void still_written_after_swap(void)
{
	sweep_must(read_pattern(fd, 0, 65536, GUEST_PATTERN), "read");
	close_and_remove();
}

static int stream_start(void)
{
	return start_job("stream start");
}

static int set_speed(void)
{
	return dmctl_message(DEVICE, "stream_speed 4096");
}

static int read_backing(void)
{
	return read_pattern(fd, 3 << 20, 131072, BACKING_PATTERN);
}

/* At a new place each time, since a block is unallocated only once. */
static int write_parts(void)
{
	uint64_t offset = (uint64_t)(1 + position++ % 64) * 4096 * 5 + 512;

	return write_pattern(fd, offset, 12288, GUEST_PATTERN) ?:
	       read_pattern(fd, offset, 12288, GUEST_PATTERN);
}

static int discard_some(void)
{
	return discard(fd, 65536, 65536) ?:
	       read_pattern(fd, 65536, 65536, 0);
}

static int flush(void)
{
	int error = write_pattern(fd, 262144, 4096, GUEST_PATTERN);

	return error ?: fsync(fd) ? errno : 0;
}

const struct step alloctrack_steps[] = {
	STEP("load without metadata", make_device, load_bare, clear_device),
	STEP("load with metadata", make_device, load_meta, clear_device),
	STEP("load with features", make_device, load_features, clear_device),
	STEP("resume without metadata", device_loaded_bare, resume_device, drop_device),
	STEP("resume with metadata", device_loaded_meta, resume_device, drop_device),
	STEP("suspend with metadata", device_written_meta, suspend_device, still_written),
	STEP("another table", device_written_meta, reload_and_swap,
	     still_written_after_swap),
	STEP("stream start", device_running_bare, stream_start, close_and_remove),
	STEP("stream_speed", device_running_bare, set_speed, close_and_remove),
	STEP("status", device_running_meta, query_device, close_and_remove),
	STEP("remove", device_idle_meta, remove_device, forget_device),
	{ }
};

const struct step alloctrack_io_steps[] = {
	STEP("read", device_running_meta, read_backing, close_and_remove),
	STEP("write", device_running_meta, write_parts, close_and_remove),
	STEP("discard", device_running_meta, discard_some, close_and_remove),
	STEP("write and flush", device_running_meta, flush, close_and_remove),
	{ }
};
