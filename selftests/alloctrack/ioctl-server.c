// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl-server TEST [ARGUMENT]... - how /dev/dm-alloctrack treats its servers.
 * Devices are MAJOR:MINOR.
 *
 *	attach DEVICE OTHER NOT-USER NO-TARGET
 *	faults DEVICE NODE NAME		a fresh, active device
 *	suspended DEVICE		a suspended device
 *	removed DEVICE			prints "ready"; then the caller removes it
 *	unprivileged DEVICE
 *
 * DEVICE and OTHER have the backing user, NOT-USER is an alloctrack device
 * without it. Exit status: 0 passed, 1 failed, 2 could not run.
 */
#include <linux/capability.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "ioctl-test.h"

#define DEADLINE_MS	20000
#define NR_RIVALS	16
#define MAX_RANGES	300	/* of one WAIT */

/* attach */

static void is_attach(int fd, unsigned int major_number,
		      unsigned int minor_number, int wanted)
{
	struct dm_alloctrack_attach argument = {
		.size = sizeof(argument),
		.major = major_number,
		.minor = minor_number,
	};

	expect_error(fd, DM_ALLOCTRACK_IOC_ATTACH, &argument, wanted,
		     "ATTACH to %#x:%#x", major_number, minor_number);
}

static void attach_refused(dev_t device, dev_t not_user, dev_t no_target)
{
	unsigned int ma = major(device), mi = minor(device);
	int fd = server_must_open(0);

	is_attach(fd, 0, 0, ENODEV);
	is_attach(fd, ma, 0xfffff, ENODEV);
	is_attach(fd, 0xfff, mi, ENODEV);
	is_attach(fd, UINT32_MAX, mi, ENODEV);
	is_attach(fd, ma, UINT32_MAX, ENODEV);
	is_attach(fd, UINT32_MAX, UINT32_MAX, ENODEV);
	is_attach(fd, mi, ma, ENODEV);
	is_attach(fd, major(no_target), minor(no_target), ENODEV);
	is_attach(fd, major(not_user), minor(not_user), EOPNOTSUPP);
	end_group("ATTACH: devices that have no use for a server");

	/* The kernel's own device numbers have 12 and 20 bits. */
	is_attach(fd, ma + (1u << 12), mi, ENODEV);
	is_attach(fd, ma + (1u << 19), mi, ENODEV);
	is_attach(fd, ma - 1, mi + (1u << 20), ENODEV);
	is_attach(fd, ma, mi + (1u << 20), ENODEV);
	is_attach(fd, ma, mi + (1u << 31), ENODEV);
	end_group("ATTACH: numbers too large are not cut off");
	close(fd);
}

static void attach_once(dev_t device, dev_t other)
{
	int first = server_must_open(0), second = server_must_open(0), pipe_fds[2];
	pid_t child;
	char byte;

	is_error(server_attach(first, device), 0, "ATTACH");
	is_error(server_attach(first, device), EISCONN, "ATTACH again");
	is_error(server_attach(first, other), EISCONN, "ATTACH to another one");
	is_error(server_attach(second, device), EBUSY, "ATTACH of a second server");
	is_error(server_attach(second, other), 0, "ATTACH of it to the other device");
	close(second);
	second = server_must_open(0);
	end_group("ATTACH: one server a device, one device a server");

	/* The binding belongs to the open file, not to a process. */
	if (pipe(pipe_fds))
		err(2, "pipe");
	child = fork();
	if (!child) {
		close(pipe_fds[1]);
		_exit(read(pipe_fds[0], &byte, 1) != 0);
	}
	close(pipe_fds[0]);
	close(first);
	is_error(server_attach(second, device), EBUSY, "ATTACH while a child holds it");
	close(pipe_fds[1]);
	waitpid(child, NULL, 0);
	is_error(server_attach(second, device), 0, "ATTACH when the child has ended");
	close(second);
	end_group("ATTACH: the binding ends with the last reference");
}

struct rival {
	pthread_t thread;
	dev_t device;
	int fd;
	int error;
};

static pthread_barrier_t start;

static void *compete(void *argument)
{
	struct rival *rival = argument;

	pthread_barrier_wait(&start);
	rival->error = server_attach(rival->fd, rival->device);
	return NULL;
}

static void attach_raced(dev_t device)
{
	struct rival rivals[NR_RIVALS];
	unsigned int round, i, winners;

	pthread_barrier_init(&start, NULL, NR_RIVALS);
	for (round = 0; round < 20; round++) {
		for (winners = 0, i = 0; i < NR_RIVALS; i++) {
			rivals[i].fd = server_must_open(0);
			rivals[i].device = device;
			pthread_create(&rivals[i].thread, NULL, compete, &rivals[i]);
		}
		for (i = 0; i < NR_RIVALS; i++) {
			pthread_join(rivals[i].thread, NULL);
			winners += !rivals[i].error;
			expect(!rivals[i].error || rivals[i].error == EBUSY,
			       "ATTACH: %s", server_error_name(rivals[i].error));
		}
		expect(winners == 1, "%u servers attached", winners);
		for (i = 0; i < NR_RIVALS; i++)
			close(rivals[i].fd);
	}
	end_group("ATTACH: of many at the same time one succeeds");
}

/* faults */

struct reader {
	pthread_t thread;
	const char *node;
	uint64_t offset;
	int error;
	char *buffer;
};

static void *read_page(void *argument)
{
	struct reader *reader = argument;
	int fd = open(reader->node, O_RDONLY | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		err(2, "%s", reader->node);
	errno = 0;
	if (pread(fd, reader->buffer, PAGE, reader->offset) != PAGE)
		reader->error = errno ? errno : ENODATA;
	close(fd);
	return NULL;
}

static void start_reader(struct reader *reader, const char *node, uint64_t offset)
{
	memset(reader, 0, sizeof(*reader));
	reader->node = node;
	reader->offset = offset;
	reader->buffer = map_pages(1, PROT_READ | PROT_WRITE);
	memset(reader->buffer, 0x77, PAGE);
	if (pthread_create(&reader->thread, NULL, read_page, reader))
		errx(2, "pthread_create");
}

/* Wait until the read ends. It must have read @byte only. */
static void end_reader(struct reader *reader, int error, int byte)
{
	pthread_join(reader->thread, NULL);
	is_error(reader->error, error, "the waiting read");
	if (!error)
		expect(reader->buffer[0] == byte && reader->buffer[PAGE - 1] == byte,
		       "the read got %#x, not %#x", reader->buffer[0], byte);
	munmap(reader->buffer, PAGE);
}

static struct dm_alloctrack_range *ranges;

static void is_told(int fd, uint64_t offset)
{
	unsigned int nr = 0;

	memset(ranges, 0, sizeof(*ranges));
	is_error(server_wait(fd, 0, ranges, MAX_RANGES, &nr), 0, "WAIT");
	expect(nr == 1 && ranges->offset <= offset &&
	       offset < ranges->offset + ranges->length,
	       "%u ranges, the first is %llu + %llu, wanted %llu", nr,
	       (unsigned long long)ranges->offset,
	       (unsigned long long)ranges->length, (unsigned long long)offset);
}

static void events_are(int fd, short wanted, const char *when)
{
	short events = server_poll(fd, POLLIN | POLLPRI, wanted ? DEADLINE_MS : 0);

	expect(events == wanted, "poll says %#x, not %#x: %s", events, wanted, when);
}

static void faults_are_polled(dev_t device, const char *node)
{
	uint64_t block = 0;
	struct reader reader;
	int fd = server_must_open(O_NONBLOCK);

	events_are(fd, POLLERR, "not attached");
	is_error(server_attach(fd, device), 0, "ATTACH");
	events_are(fd, POLLPRI, "the control state was not asked for");
	block = info_of(fd).block_bytes;
	events_are(fd, 0, "nothing to do");
	is_error(server_wait(fd, 0, ranges, MAX_RANGES, NULL), EAGAIN, "WAIT for nothing");

	start_reader(&reader, node, block);
	events_are(fd, POLLIN, "a read waits");
	expect(info_of(fd).fault_count == 1, "one fault is counted");
	is_told(fd, block);
	events_are(fd, 0, "the range was told");
	is_error(server_wait(fd, 0, ranges, MAX_RANGES, NULL), EAGAIN, "WAIT after it");
	close(fd);

	fd = server_open_attached(device, O_NONBLOCK);
	info_of(fd);
	events_are(fd, POLLIN, "told to the last server only");
	is_told(fd, block);
	is_error(server_zero(fd, 0, block, block, NULL), 0, "ZERO");
	end_reader(&reader, 0, 0);
	expect(!info_of(fd).fault_count, "no fault is counted any more");
	close(fd);
	end_group("poll and WAIT: a fault is told, and told again to the next server");
}

/* The file descriptor is in blocking mode. If the flag did not work, this would hang. */
static void wait_need_not_sleep(dev_t device, const char *node)
{
	int fd = server_open_attached(device, 0);
	uint64_t block = info_of(fd).block_bytes;
	struct dm_alloctrack_wait wait = {
		.size = sizeof(wait), .flags = DM_ALLOCTRACK_WAIT_NONBLOCK,
		.max = 4, .ranges = (uintptr_t)ranges,
	};
	struct reader reader;

	expect_error(fd, DM_ALLOCTRACK_IOC_WAIT, &wait, EAGAIN,
		     "WAIT for nothing, without sleeping");
	start_reader(&reader, node, 5 * block);
	events_are(fd, POLLIN, "a read waits");
	expect_error(fd, DM_ALLOCTRACK_IOC_WAIT, &wait, 0,
		     "WAIT for a read, without sleeping");
	expect(wait.nr == 1 && ranges->offset == 5 * block,
	       "%u ranges, the first at %llu", wait.nr,
	       (unsigned long long)ranges->offset);
	expect_error(fd, DM_ALLOCTRACK_IOC_WAIT, &wait, EAGAIN,
		     "WAIT after it, without sleeping");
	is_error(server_zero(fd, 0, 5 * block, block, NULL), 0, "ZERO");
	end_reader(&reader, 0, 0);
	close(fd);
	end_group("WAIT: does not sleep when the flag says so");
}

/* A range that could not be copied to the server does not count as told. */
static void faults_are_not_lost(dev_t device, const char *node)
{
	int fd = server_open_attached(device, O_NONBLOCK);
	uint64_t block = info_of(fd).block_bytes;
	char *pages = map_guarded(1);
	struct reader reader;

	start_reader(&reader, node, 2 * block);
	events_are(fd, POLLIN, "a read waits");
	is_error(server_wait(fd, 0, NULL, MAX_RANGES, NULL), EFAULT, "WAIT into NULL");
	events_are(fd, POLLIN, "after WAIT into NULL");
	is_error(server_wait(fd, 0, (void *)(pages + PAGE), MAX_RANGES, NULL), EFAULT,
		 "WAIT into a page without access");
	is_error(server_wait(fd, 0, (void *)(pages + PAGE - 8), MAX_RANGES, NULL), EFAULT,
		 "WAIT into a page's end");
	is_error(server_wait(fd, 0, KERNEL_POINTER, MAX_RANGES, NULL), EFAULT,
		 "WAIT into the kernel");
	events_are(fd, POLLIN, "after all of these");
	is_told(fd, 2 * block);
	is_error(server_zero(fd, 0, 2 * block, block, NULL), 0, "ZERO");
	end_reader(&reader, 0, 0);
	munmap(pages, 2 * PAGE);
	close(fd);
	end_group("WAIT: a fault is not lost when the array is bad");
}

static void faults_outlive_a_bad_struct(dev_t device, const char *node)
{
	struct dm_alloctrack_wait wait = {
		.size = sizeof(wait), .max = 1, .ranges = (uintptr_t)ranges,
	};
	int fd = server_open_attached(device, O_NONBLOCK);
	uint64_t block = info_of(fd).block_bytes;
	char *page = map_pages(1, PROT_READ | PROT_WRITE);
	struct reader reader;

	memcpy(page, &wait, sizeof(wait));
	mprotect(page, PAGE, PROT_READ);
	start_reader(&reader, node, 3 * block);
	events_are(fd, POLLIN, "a read waits");
	expect_error(fd, DM_ALLOCTRACK_IOC_WAIT, page, EFAULT,
		     "WAIT of a struct in read-only memory");
	expect(server_poll(fd, POLLIN | POLLPRI, 0) == POLLIN, "the fault is told again");
	is_error(server_zero(fd, 0, 3 * block, block, NULL), 0, "ZERO");
	end_reader(&reader, 0, 0);
	munmap(page, PAGE);
	close(fd);
	end_group("WAIT: a fault is not lost when the struct cannot be written");
}

static void answers_reach_the_read(dev_t device, const char *node)
{
	int fd = server_open_attached(device, 0);
	uint64_t block = info_of(fd).block_bytes;
	struct dm_alloctrack_fail fail = {
		.size = sizeof(fail), .offset = 4 * block, .length = block,
		.error = EIO,
	};
	struct dm_alloctrack_fill fill = {
		.size = sizeof(fill), .offset = 4 * block, .length = block,
	};
	char *data = map_guarded(block / PAGE);
	struct reader reader;

	memset(data, 0x42, block);
	start_reader(&reader, node, 4 * block);
	is_told(fd, 4 * block);
	fill.buffer = (uintptr_t)data + PAGE;
	expect_error(fd, DM_ALLOCTRACK_IOC_FILL, &fill, EFAULT,
		     "FILL from a buffer that is cut off");
	expect(info_of(fd).fault_count == 1, "the read still waits");
	expect_error(fd, DM_ALLOCTRACK_IOC_FAIL, &fail, 0, "FAIL");
	end_reader(&reader, EIO, 0);

	start_reader(&reader, node, 4 * block);
	is_told(fd, 4 * block);
	fill.buffer = (uintptr_t)data;
	expect_error(fd, DM_ALLOCTRACK_IOC_FILL, &fill, 0, "FILL");
	end_reader(&reader, 0, 0x42);
	munmap(data, block + PAGE);
	close(fd);
	end_group("FAIL fails the waiting read, FILL completes it");
}

static void control_changes_are_polled(dev_t device, const char *name)
{
	int fd = server_open_attached(device, O_NONBLOCK);
	struct dm_alloctrack_info info = info_of(fd);
	char command[200];

	events_are(fd, 0, "nothing changed");
	snprintf(command, sizeof(command),
		 "dmsetup message %s 0 stream_speed 12345", name);
	expect(!system(command), "%s", command);
	events_are(fd, POLLPRI, "the speed changed");
	info = info_of(fd);
	expect(info.stream_speed == 12345, "the speed is %llu",
	       (unsigned long long)info.stream_speed);
	events_are(fd, 0, "the change was seen");
	close(fd);
	end_group("poll: POLLPRI for a change of the stream's control");
}

/* suspended */

static void ignore_signal(int number)
{
	(void)number;
}

static int interrupted_zero(int fd, uint64_t length)
{
	struct sigaction action = { .sa_handler = ignore_signal };
	/* Repeated, since the first signal may come before the ioctl waits. */
	struct itimerval timer = { { 0, 50000 }, { 0, 50000 } }, none = { 0 };
	int error;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	error = server_zero(fd, 0, 0, length, NULL);
	setitimer(ITIMER_REAL, &none, NULL);
	return error;
}

static void suspended(dev_t device)
{
	int fd = server_open_attached(device, O_NONBLOCK);
	uint64_t block = info_of(fd).block_bytes;
	struct dm_alloctrack_next next = { .size = sizeof(next) };

	is_error(server_zero(fd, 0, 0, block, NULL), EAGAIN, "ZERO with O_NONBLOCK");
	expect_error(fd, DM_ALLOCTRACK_IOC_NEXT, &next, 0, "NEXT");
	fcntl(fd, F_SETFL, 0);
	is_error(interrupted_zero(fd, block), EINTR, "ZERO with signals");
	expect(!info_of(fd).allocated_blocks, "nothing was allocated");
	close(fd);
	end_group("suspended: EAGAIN, or EINTR at a signal");
}

/* removed */

static void *wait_for_ever(void *argument)
{
	static int error;

	error = server_wait(*(int *)argument, 0, ranges, MAX_RANGES, NULL);
	return &error;
}

static void removed(dev_t device)
{
	int fd = server_open_attached(device, 0);
	struct dm_alloctrack_info info = info_of(fd);
	struct dm_alloctrack_next next = { .size = sizeof(next) };
	struct dm_alloctrack_fail fail = {
		.size = sizeof(fail), .length = info.block_bytes, .error = EIO,
	};
	pthread_t thread;
	void *waiter;

	pthread_create(&thread, NULL, wait_for_ever, &fd);
	printf("ready\n");
	fflush(stdout);
	events_are(fd, POLLHUP | POLLERR, "the device was removed");
	pthread_join(thread, &waiter);
	is_error(*(int *)waiter, ENODEV, "the WAIT that waited");
	is_error(server_wait(fd, 0, ranges, MAX_RANGES, NULL), ENODEV, "WAIT");
	is_error(server_zero(fd, 0, 0, info.block_bytes, NULL), ENODEV, "ZERO");
	expect_error(fd, DM_ALLOCTRACK_IOC_INFO, &info, ENODEV, "INFO");
	expect_error(fd, DM_ALLOCTRACK_IOC_NEXT, &next, ENODEV, "NEXT");
	expect_error(fd, DM_ALLOCTRACK_IOC_FAIL, &fail, ENODEV, "FAIL");
	is_error(server_attach(fd, device), ENODEV, "ATTACH again");
	close(fd);
	fd = server_must_open(0);
	is_error(server_attach(fd, device), ENODEV, "ATTACH of a new server");
	close(fd);
	end_group("removed: all ioctls say ENODEV, poll says POLLHUP and POLLERR");
}

/* unprivileged */

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		err(2, "capget");
	data[CAP_SYS_ADMIN / 32].effective &= ~(1u << CAP_SYS_ADMIN % 32);
	data[CAP_SYS_ADMIN / 32].permitted &= ~(1u << CAP_SYS_ADMIN % 32);
	if (syscall(SYS_capset, &header, data))
		err(2, "capset");
}

static void unprivileged(dev_t device)
{
	int fd = server_open_attached(device, 0);

	drop_capabilities();
	expect(open(SERVER_NODE, O_RDWR) < 0 && errno == EPERM,
	       "root without CAP_SYS_ADMIN opens it: %s", server_error_name(errno));
	expect(open(SERVER_NODE, O_RDONLY) < 0 && errno == EPERM,
	       "root without CAP_SYS_ADMIN opens it read-only: %s", server_error_name(errno));
	info_of(fd);	/* what is open stays open */
	if (setgid(65534) || setuid(65534))
		err(2, "setuid");
	expect(open(SERVER_NODE, O_RDWR) < 0 && errno == EACCES,
	       "nobody opens it: %s", server_error_name(errno));
	end_group("only CAP_SYS_ADMIN opens " SERVER_NODE);
}

int main(int argc, char **argv)
{
	const char *test = argc > 2 ? argv[1] : "";
	dev_t device = argc > 2 ? server_parse_device(argv[2]) : 0;

	/* A test that hangs is killed. */
	alarm(120);
	ranges = map_pages(2, PROT_READ | PROT_WRITE);
	if (!strcmp(test, "attach") && argc == 6) {
		attach_refused(device, server_parse_device(argv[4]), server_parse_device(argv[5]));
		attach_once(device, server_parse_device(argv[3]));
		attach_raced(device);
	} else if (!strcmp(test, "faults") && argc == 5) {
		faults_are_polled(device, argv[3]);
		wait_need_not_sleep(device, argv[3]);
		faults_are_not_lost(device, argv[3]);
		answers_reach_the_read(device, argv[3]);
		control_changes_are_polled(device, argv[4]);
		faults_outlive_a_bad_struct(device, argv[3]);
	} else if (!strcmp(test, "suspended") && argc == 3) {
		suspended(device);
	} else if (!strcmp(test, "removed") && argc == 3) {
		removed(device);
	} else if (!strcmp(test, "unprivileged") && argc == 3) {
		unprivileged(device);
	} else {
		errx(2, "Usage: ioctl-server TEST DEVICE [ARGUMENT]...");
	}
	return all_failures ? 1 : 0;
}
