// SPDX-License-Identifier: GPL-2.0-only
/*
 * The steps of a server of alloctrack: all ioctls of /dev/dm-alloctrack.
 */
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/server/server.h"
#include "dmctl.h"
#include "sweep.h"

#define SERVER_PATTERN	0x55
#define FILL_BYTES	(256u << 10)

static int device_fd = -1, server_fd = -1;
static char *data;

static int open_server(void)
{
	server_fd = server_open(0);
	return server_fd < 0 ? errno : 0;
}

static int attach(void)
{
	struct stat device;

	if (fstat(device_fd, &device))
		return errno;
	return server_attach(server_fd, device.st_rdev);
}

static void close_server(void)
{
	close(server_fd);
}

static void device_without_server(void)
{
	make_device();
	sweep_must(dmctl_load(DEVICE, devices.sectors, "alloctrack",
			      table("%s user - %u 0", devices.file,
				    devices.block_sectors), false), "load");
	sweep_must(dmctl_resume(DEVICE), "resume");
	device_fd = open_device();
}

static void not_attached(void)
{
	device_without_server();
	sweep_must(open_server(), "open the control device");
}

/* The data is populated, so that its page faults do not count as allocations. */
static void attached(void)
{
	not_attached();
	sweep_must(attach(), "ATTACH");
	data = mmap(NULL, FILL_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (data == MAP_FAILED)
		err(2, "mmap");
	memset(data, SERVER_PATTERN, FILL_BYTES);
}

static void remove_all(void)
{
	close(device_fd);
	close(server_fd);
	drop_device();
	if (data)
		munmap(data, FILL_BYTES);
	data = NULL;
}

static int info(void)
{
	struct dm_alloctrack_info info;

	return server_info(server_fd, &info);
}

static int next(void)
{
	struct dm_alloctrack_next next;

	return server_next(server_fd, DM_ALLOCTRACK_NEXT_UNALLOCATED, 0, &next);
}

static int zero(void)
{
	return server_zero(server_fd, 0, 1 << 20, 1 << 20, NULL);
}

static int fill(void)
{
	return server_fill(server_fd, 0, 0, FILL_BYTES, data, NULL);
}

static void filled(void)
{
	sweep_must(read_pattern(device_fd, 0, FILL_BYTES, SERVER_PATTERN), "read");
	remove_all();
}

static void zeroed(void)
{
	sweep_must(read_pattern(device_fd, 1 << 20, 1 << 20, 0), "read");
	remove_all();
}

/* A guest that reads unallocated blocks. */
static pthread_t guest;
static int guest_error;

static void *guest_reads(void *unused)
{
	char *buffer = aligned_alloc(4096, FILL_BYTES);

	(void)unused;
	guest_error = pread(device_fd, buffer, FILL_BYTES, 0) == FILL_BYTES ?
		      0 : errno;
	if (!guest_error && (unsigned char)buffer[FILL_BYTES - 1] != SERVER_PATTERN)
		guest_error = EBADMSG;
	free(buffer);
	return NULL;
}

static void guest_waits(void)
{
	attached();
	if (pthread_create(&guest, NULL, guest_reads, NULL))
		errx(2, "pthread_create");
	sweep_must(server_poll(server_fd, POLLIN, 60000) ? 0 : ETIME, "the fault");
}

static int wait_for_range(void)
{
	struct dm_alloctrack_range ranges[16];

	return server_wait(server_fd, 0, ranges, 16, NULL);
}

static void guest_is_served(void)
{
	sweep_must(fill(), "FILL");
	pthread_join(guest, NULL);
	sweep_must(guest_error, "the guest's read");
	remove_all();
}

/* A FILL that ends with an error fails the I/O that waits for it, as documented. */
static void guest_has_ended(void)
{
	pthread_join(guest, NULL);
	if (guest_error != ENOMEM && guest_error != EIO)
		sweep_must(guest_error, "the guest's read");
	filled();
}

static int fail(void)
{
	return server_fail(server_fd, 0, 0, FILL_BYTES, ENODATA);
}

static void guest_has_failed(void)
{
	pthread_join(guest, NULL);
	sweep_must(guest_error != ENODATA, "the guest's read must fail so");
	remove_all();
}

const struct step server_steps[] = {
	STEP("open", NULL, open_server, close_server),
	STEP("ATTACH", not_attached, attach, remove_all),
	STEP("INFO", attached, info, remove_all),
	STEP("NEXT", attached, next, remove_all),
	STEP("ZERO", attached, zero, zeroed),
	STEP("FILL", attached, fill, filled),
	STEP("WAIT", guest_waits, wait_for_range, guest_is_served),
	STEP("FILL that somebody waits for", guest_waits, fill, guest_has_ended),
	STEP("FAIL", guest_waits, fail, guest_has_failed),
	{ }
};
