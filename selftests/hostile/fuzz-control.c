// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz-control: random tables, messages, suspends and resumes of alloctrack, cbw and
 * cbw-snapshot; random ioctls of servers that start, end and are killed; and random
 * guest I/O; all at the same time. The test checks that everything ends, and that the
 * devices can be removed afterwards. The kernel's own checks do the rest.
 *
 * Each actor is a process. Operators change tables, and end after a number of
 * operations. Guests and servers are replaced when they end, as long as an operator
 * runs. Others may block an actor, but not for ever: servers end by themselves, and
 * each device has a keeper, which resumes it when it is suspended. So no process waits
 * for I/O below a device that stays suspended.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dmctl.h"
#include "fuzz.h"

#define MAX_IO_BYTES	(1u << 20)

/* How often a keeper looks, and when it gives up a table that is refused. */
#define KEEPER_NAP_US	20000
#define MAX_REFUSALS	10

enum kind { OPERATOR, KEEPER, SERVER, GUEST };

static struct actor {
	enum kind kind;
	pid_t pid;
} actors[] = {
	{ OPERATOR, 0 }, { OPERATOR, 0 }, { OPERATOR, 0 },
	{ KEEPER, 0 }, { KEEPER, 0 }, { KEEPER, 0 },
	{ SERVER, 0 }, { SERVER, 0 }, { SERVER, 0 },
	{ GUEST, 0 }, { GUEST, 0 }, { GUEST, 0 }, { GUEST, 0 },
};

#define NR_ACTORS (sizeof(actors) / sizeof(actors[0]))

struct counters *counters;
const char *disks[NR_DISKS];
const char *const device_names[NR_DEVICES] = { "fuzz-a", "fuzz-b", "fuzz-view" };
dev_t devices[NR_DEVICES];

static uint64_t seed, nr_started;
static unsigned int nr_operations;

static void operate(struct rng *rng)
{
	unsigned int device = rng_below(rng, NR_DEVICES);
	const char *name = device_names[device];
	unsigned int what = rng_below(rng, 100);
	char text[1000];

	if (what < 35)
		fuzz_table(rng, device);
	else if (what < 62)
		count(&counters->resumes, &counters->resumes_good,
		      dmctl_resume(name));
	else if (what < 72)
		dmctl_suspend(name, rng_below(rng, 4));
	else if (what < 88)
		fuzz_message(rng, device);
	else if (what < 97)
		dmctl_status(name, rng_chance(rng, 50), text, sizeof(text));
	else
		dmctl_clear(name);
}

static void run_operator(struct rng *rng)
{
	unsigned int i;

	for (i = 0; i < nr_operations; i++)
		operate(rng);
}

static void run_keeper(unsigned int device)
{
	const char *name = device_names[device];
	unsigned int refusals = 0;

	for (;;) {
		usleep(KEEPER_NAP_US);
		if (!dmctl_resume(name)) {
			refusals = 0;
		} else if (++refusals > MAX_REFUSALS) {
			dmctl_load(name, DISK_SECTORS, "error", "", false);
			refusals = 0;
		}
	}
}

static int do_io(struct rng *rng, int fd, void *buffer)
{
	uint64_t offset = rng_below(rng, DISK_SECTORS) * 512ULL;
	uint64_t bytes = (1 + rng_below(rng, 1u << rng_below(rng, 12))) * 512ULL;
	uint64_t range[2] = { offset, bytes };

	if (bytes > MAX_IO_BYTES)
		bytes = MAX_IO_BYTES;
	switch (rng_below(rng, 8)) {
	case 0:
		return ioctl(fd, BLKDISCARD, range);
	case 1:
		return ioctl(fd, BLKZEROOUT, range);
	case 2:
		return fsync(fd);
	case 3:
	case 4:
	case 5:
		return pwrite(fd, buffer, bytes, offset) < 0;
	default:
		return pread(fd, buffer, bytes, offset) < 0;
	}
}

static void run_guest(struct rng *rng)
{
	unsigned int device = rng_below(rng, NR_DEVICES), i;
	void *buffer;
	char path[32];
	int fd;

	dmctl_path(devices[device], path);
	fd = open(path, O_DIRECT | O_CLOEXEC |
		  (device == NR_DEVICES - 1 ? O_RDONLY : O_RDWR));
	if (fd < 0 || posix_memalign(&buffer, 4096, MAX_IO_BYTES))
		return;
	memset(buffer, 'g', MAX_IO_BYTES);
	for (i = 0; i < 20; i++)
		count(&counters->ios, &counters->ios_good,
		      do_io(rng, fd, buffer));
}

static void start(struct actor *actor)
{
	struct rng rng;

	rng_init(&rng, seed, nr_started++);
	actor->pid = fork();
	if (actor->pid < 0)
		err(2, "fork");
	if (actor->pid)
		return;
	switch (actor->kind) {
	case OPERATOR:
		run_operator(&rng);
		break;
	case KEEPER:
		run_keeper((actor - actors) % NR_DEVICES);
		break;
	case SERVER:
		fuzz_server(&rng, 120);
		break;
	case GUEST:
		run_guest(&rng);
		break;
	}
	_exit(0);
}

/* Wait for an actor to end, and for no other child. */
static struct actor *wait_for_one(void)
{
	pid_t pid = wait(NULL);
	unsigned int i;

	if (pid < 0)
		err(2, "wait");
	for (i = 0; i < NR_ACTORS; i++)
		if (actors[i].pid == pid)
			break;
	if (i == NR_ACTORS)
		errx(2, "an unknown child");
	actors[i].pid = 0;
	return &actors[i];
}

static bool is_running(enum kind kind)
{
	unsigned int i;

	for (i = 0; i < NR_ACTORS; i++)
		if (actors[i].kind == kind && actors[i].pid)
			return true;
	return false;
}

static void kill_some(struct rng *rng, enum kind kind, unsigned int percent)
{
	unsigned int i;

	for (i = 0; i < NR_ACTORS; i++)
		if (actors[i].kind == kind && actors[i].pid &&
		    rng_chance(rng, percent))
			kill(actors[i].pid, SIGKILL);
}

static void run_all(struct rng *rng)
{
	struct actor *actor;
	unsigned int i;

	for (i = 0; i < NR_ACTORS; i++)
		start(&actors[i]);
	while (is_running(OPERATOR)) {
		actor = wait_for_one();
		if (actor->kind == GUEST)
			kill_some(rng, SERVER, 10);
		if (actor->kind != OPERATOR)
			start(actor);
	}
}

/* All I/O that waits for a device fails. */
static bool let_go(const char *name)
{
	int error = dmctl_load(name, DISK_SECTORS, "error", "", false) ?:
		    dmctl_suspend(name, DMCTL_NOFLUSH | DMCTL_NOLOCKFS) ?:
		    dmctl_resume(name);

	if (error)
		printf("# %s: cannot be replaced by errors: %s\n", name,
		       strerrorname_np(error));
	return !error;
}

static bool clean_up(struct rng *rng)
{
	bool good = true;
	int i, error;

	kill_some(rng, KEEPER, 100);
	while (is_running(KEEPER))
		wait_for_one();
	kill_some(rng, SERVER, 100);
	/* The view first, since it has its device open. */
	for (i = NR_DEVICES - 1; i >= 0; i--)
		good &= let_go(device_names[i]);
	while (is_running(SERVER) || is_running(GUEST))
		wait_for_one();
	for (i = NR_DEVICES - 1; i >= 0; i--) {
		error = dmctl_remove(device_names[i]);
		if (!error)
			continue;
		printf("# %s: cannot be removed: %s\n", device_names[i],
		       strerrorname_np(error));
		good = false;
	}
	return good;
}

static void make_devices(void)
{
	int i, error;

	for (i = 0; i < NR_DEVICES; i++) {
		error = dmctl_create(device_names[i], &devices[i]);
		if (error)
			errx(2, "%s: %s", device_names[i], strerrorname_np(error));
	}
}

/* Each kind of operation must have succeeded at least once. */
static bool reached(void)
{
	const struct counters *c = counters;

	printf("# accepted: %u of %u tables, %u of %u resumes, %u of %u messages, %u of %u I/Os, %u of %u servers, %u of %u ioctls, %u of them FILLs with effect\n",
	       c->loads_good, c->loads, c->resumes_good, c->resumes,
	       c->messages_good, c->messages, c->ios_good, c->ios,
	       c->attaches_good, c->attaches, c->ioctls_good, c->ioctls,
	       c->served);
	return c->loads_good && c->resumes_good && c->ios_good &&
	       c->attaches_good && c->ioctls_good;
}

int main(int argc, char **argv)
{
	struct rng rng;
	bool good;
	int i;

	if (argc != 3 + NR_DISKS)
		errx(2, "usage: fuzz-control SEED OPERATIONS FILE FILE BACKING META TRACK");
	seed = strtoull(argv[1], NULL, 10);
	nr_operations = strtoul(argv[2], NULL, 10);
	for (i = 0; i < NR_DISKS; i++)
		disks[i] = argv[3 + i];
	counters = mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counters == MAP_FAILED)
		err(2, "mmap");
	setvbuf(stdout, NULL, _IOLBF, 0);

	make_devices();
	rng_init(&rng, seed, nr_started++);
	run_all(&rng);
	good = clean_up(&rng);
	good &= reached();
	printf("%sok - seed %llu\n", good ? "" : "not ", (unsigned long long)seed);
	return !good;
}
