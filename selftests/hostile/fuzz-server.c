// SPDX-License-Identifier: GPL-2.0-only
/*
 * A random server of alloctrack: some threads call ioctls of /dev/dm-alloctrack with
 * arguments that are right, nearly right or wrong. It may be killed at any time.
 */
#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../lib/server/server.h"
#include "fuzz.h"

#define NR_THREADS	3
#define BUFFER_BYTES	(2u << 20)

struct thread {
	pthread_t id;
	struct rng rng;
	unsigned int nr_ioctls;
};

union argument {
	uint32_t size;
	struct dm_alloctrack_attach attach;
	struct dm_alloctrack_info info;
	struct dm_alloctrack_wait wait;
	struct dm_alloctrack_fill fill;
	struct dm_alloctrack_zero zero;
	struct dm_alloctrack_fail fail;
	struct dm_alloctrack_next next;
	uint64_t words[512];
};

static int server_fd = -1;
static char *buffer;

static uint64_t random_offset(struct rng *rng)
{
	static const uint64_t odd[] = {
		1, 512, 2048, DISK_SECTORS * 512ULL, DISK_SECTORS * 512ULL - 4096,
		1ULL << 32, 1ULL << 63, ~0ULL, ~4095ULL,
	};

	if (rng_chance(rng, 10))
		return RNG_PICK(rng, odd);
	return (uint64_t)rng_below(rng, DISK_SECTORS / 8) * 4096 &
	       -((uint64_t)4096 << rng_below(rng, 10));
}

static uint64_t random_length(struct rng *rng)
{
	static const uint64_t lengths[] = {
		4096, 8192, 65536, 65536, 131072, 524288, 2097152, 4194304,
	};
	static const uint64_t odd[] = {
		0, 1, 511, 64ULL << 20, (64ULL << 20) + 4096, ~0ULL,
	};

	return rng_chance(rng, 10) ? RNG_PICK(rng, odd) : RNG_PICK(rng, lengths);
}

static uint64_t random_pointer(struct rng *rng)
{
	/* Unaligned; in the kernel; unmapped; the buffer's last page. */
	switch (rng_below(rng, 20)) {
	case 0:
		return (uintptr_t)buffer + 1 + rng_below(rng, 4094);
	case 1:
		return 0xffff888000001000ULL;
	case 2:
		return 4096;
	case 3:
		return (uintptr_t)buffer + BUFFER_BYTES - 4096;
	case 4:
		return ~4095ULL;
	default:
		return (uintptr_t)buffer;
	}
}

/* Make a well-formed argument. Returns the command. */
static unsigned long make_argument(struct rng *rng, union argument *argument)
{
	dev_t device = devices[rng_below(rng, NR_DEVICES)];

	memset(argument, 0, sizeof(*argument));
	switch (rng_below(rng, 9)) {
	case 0:
		argument->attach = (struct dm_alloctrack_attach){
			.size = sizeof(argument->attach), .major = major(device),
			.minor = minor(device),
		};
		return DM_ALLOCTRACK_IOC_ATTACH;
	case 1:
		argument->info.size = sizeof(argument->info);
		return DM_ALLOCTRACK_IOC_INFO;
	case 2:
		argument->wait = (struct dm_alloctrack_wait){
			.size = sizeof(argument->wait),
			.max = 1 + rng_below(rng, 600),
			.ranges = random_pointer(rng),
		};
		return DM_ALLOCTRACK_IOC_WAIT;
	case 3:
		argument->zero = (struct dm_alloctrack_zero){
			.size = sizeof(argument->zero),
			.flags = rng_below(rng, 2),
			.offset = random_offset(rng),
			.length = random_length(rng),
		};
		return DM_ALLOCTRACK_IOC_ZERO;
	case 4:
		argument->fail = (struct dm_alloctrack_fail){
			.size = sizeof(argument->fail),
			.flags = rng_below(rng, 2),
			.offset = random_offset(rng),
			.length = random_length(rng),
			.error = 1 + rng_below(rng, 133),
		};
		return DM_ALLOCTRACK_IOC_FAIL;
	case 5:
		argument->next = (struct dm_alloctrack_next){
			.size = sizeof(argument->next),
			.flags = rng_below(rng, 2),
			.offset = random_offset(rng),
		};
		return DM_ALLOCTRACK_IOC_NEXT;
	default:
		argument->fill = (struct dm_alloctrack_fill){
			.size = sizeof(argument->fill),
			.flags = rng_below(rng, 2),
			.offset = random_offset(rng),
			.length = random_length(rng),
			.buffer = random_pointer(rng),
		};
		return DM_ALLOCTRACK_IOC_FILL;
	}
}

static void try_ioctl(struct rng *rng, int fd)
{
	union argument argument;
	unsigned long command = make_argument(rng, &argument);
	void *address = &argument;
	int error;

	if (rng_chance(rng, 10))
		argument.words[rng_below(rng, 8)] = rng_next(rng);
	if (rng_chance(rng, 5))
		argument.size = rng_below(rng, 5000);
	if (rng_chance(rng, 2))
		command = _IOC(rng_below(rng, 4), DM_ALLOCTRACK_IOC,
			       rng_below(rng, 256), rng_below(rng, 64));
	if (rng_chance(rng, 2))
		address = (void *)(uintptr_t)random_pointer(rng);
	error = server_call(fd, command, address);
	count(&counters->ioctls, &counters->ioctls_good, error);
	if (!error && command == DM_ALLOCTRACK_IOC_FILL && argument.fill.used_bytes)
		__atomic_fetch_add(&counters->served, 1, __ATOMIC_RELAXED);
}

static void *run_thread(void *data)
{
	struct thread *thread = data;
	struct rng *rng = &thread->rng;

	while (thread->nr_ioctls--) {
		try_ioctl(rng, server_fd);
		if (rng_chance(rng, 5))
			server_poll(server_fd, POLLIN | POLLPRI, 0);
	}
	return NULL;
}

static void attach_somewhere(struct rng *rng)
{
	dev_t device = devices[rng_below(rng, NR_DEVICES - 1)];

	count(&counters->attaches, &counters->attaches_good,
	      server_attach(server_fd, device));
}

/* With O_NONBLOCK, since a thread that waits in WAIT or for a resume would not end. */
void fuzz_server(struct rng *rng, unsigned int nr_ioctls)
{
	struct thread threads[NR_THREADS];
	unsigned int i;

	server_fd = server_open(O_NONBLOCK);
	if (server_fd < 0)
		return;
	buffer = mmap(NULL, BUFFER_BYTES + 4096, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffer == MAP_FAILED ||
	    mprotect(buffer + BUFFER_BYTES, 4096, PROT_NONE))
		err(2, "mmap");
	memset(buffer, 'f', BUFFER_BYTES / 2);

	attach_somewhere(rng);
	for (i = 0; i < NR_THREADS; i++) {
		rng_init(&threads[i].rng, rng_next(rng), i);
		threads[i].nr_ioctls = nr_ioctls / NR_THREADS;
		if (pthread_create(&threads[i].id, NULL, run_thread, &threads[i]))
			errx(2, "pthread_create");
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i].id, NULL);
}
