// SPDX-License-Identifier: GPL-2.0-only
/*
 * ioctl-args MAJOR:MINOR - hostile arguments for every ioctl of
 * /dev/dm-alloctrack. The device must have the backing user, a short last block,
 * no allocated block, no reader and no server.
 *
 * A malformed argument must be refused with the documented error and change
 * nothing. Exit status: 0 passed, 1 failed, 2 could not run.
 */
#include "ioctl-test.h"
#include "ioctl-layout.h"

static dev_t device;
static int fd;			/* attached, O_NONBLOCK */
static uint64_t device_bytes, block_bytes;
static char *data;		/* of two blocks */

union argument {
	uint32_t words[1024];
	unsigned char bytes[PAGE];
	struct {
		uint32_t size;
		uint32_t flags;
	};
	struct dm_alloctrack_attach attach;
	struct dm_alloctrack_info info;
	struct dm_alloctrack_wait wait;
	struct dm_alloctrack_fill fill;
	struct dm_alloctrack_zero zero;
	struct dm_alloctrack_fail fail;
	struct dm_alloctrack_next next;
};

/* One row per ioctl: a well-formed call that changes nothing. */
static const struct ioctl_kind {
	const char *name;
	unsigned long cmd;
	uint32_t size;
	uint32_t known_flags;
	int result;		/* of the well-formed call, attached */
} kinds[] = {
#define KIND(NAME, name, flags, result)					\
	{ #NAME, DM_ALLOCTRACK_IOC_##NAME,				\
	  sizeof(struct dm_alloctrack_##name), flags, result }
	KIND(ATTACH, attach, 0, EISCONN),
	KIND(INFO, info, 0, 0),
	KIND(WAIT, wait, DM_ALLOCTRACK_WAIT_NONBLOCK, EAGAIN),
	KIND(FILL, fill, DM_ALLOCTRACK_STREAM, EFAULT),
	KIND(ZERO, zero, DM_ALLOCTRACK_STREAM, 0),
	KIND(FAIL, fail, DM_ALLOCTRACK_STREAM, 0),
	KIND(NEXT, next, DM_ALLOCTRACK_NEXT_UNALLOCATED, 0),
};

static struct dm_alloctrack_range ranges[4];

/*
 * FILL gets a NULL buffer; ZERO and FAIL get the last block, which allocate_last()
 * has allocated.
 */
static void well_formed(const struct ioctl_kind *kind, union argument *argument)
{
	uint64_t last = (device_bytes - 1) / block_bytes * block_bytes;

	memset(argument, 0, sizeof(*argument));
	argument->size = kind->size;
	switch (kind->cmd) {
	case DM_ALLOCTRACK_IOC_ATTACH:
		argument->attach.major = major(device);
		argument->attach.minor = minor(device);
		break;
	case DM_ALLOCTRACK_IOC_WAIT:
		argument->wait.max = NR_OF(ranges);
		argument->wait.ranges = (uintptr_t)ranges;
		break;
	case DM_ALLOCTRACK_IOC_FILL:
		argument->fill.length = block_bytes;
		break;
	case DM_ALLOCTRACK_IOC_ZERO:
		argument->zero.offset = last;
		argument->zero.length = device_bytes - last;
		break;
	case DM_ALLOCTRACK_IOC_FAIL:
		argument->fail.offset = last;
		argument->fail.length = device_bytes - last;
		argument->fail.error = EIO;
		break;
	}
}

static void allocate_last(void)
{
	uint64_t last = (device_bytes - 1) / block_bytes * block_bytes;

	is_error(server_zero(fd, 0, last, device_bytes - last, NULL), 0,
		 "ZERO of the last, short block");
	expect(info_of(fd).allocated_blocks == 1, "one block is allocated");
	end_group("the last, short block can be zeroed");
}

static void only_last_is_allocated(void)
{
	struct dm_alloctrack_info info = info_of(fd);

	expect(info.allocated_blocks == 1, "%llu blocks are allocated, not 1",
	       (unsigned long long)info.allocated_blocks);
	expect(!info.fault_count, "%llu faults are counted",
	       (unsigned long long)info.fault_count);
}

/* Groups that cover all ioctls. */

static void test_sizes(const struct ioctl_kind *kind)
{
	char *pages = map_guarded(2);
	union argument *argument = (void *)pages;
	uint32_t size, i;

	for (size = 0; size < kind->size; size++) {
		well_formed(kind, argument);
		argument->size = size;
		expect_error(fd, kind->cmd, argument, EINVAL, "%s with size %u",
			     kind->name, size);
	}
	for (size = kind->size; size <= PAGE; size += size % 64 ? 1 : 64) {
		well_formed(kind, argument);
		argument->size = size;
		expect_error(fd, kind->cmd, argument, kind->result,
			     "%s with size %u", kind->name, size);
		expect(argument->size == size, "%s changes the size %u to %u",
		       kind->name, size, argument->size);
		for (i = kind->size; i < PAGE; i++)
			if (!expect(!argument->bytes[i],
				    "%s writes byte %u of %u", kind->name, i, size))
				break;
	}
	for (size = kind->size + 1; size <= PAGE; size += size % 64 ? 1 : 64) {
		well_formed(kind, argument);
		argument->size = size;
		argument->bytes[size - 1] = 1;
		expect_error(fd, kind->cmd, argument, E2BIG,
			     "%s with size %u and a last byte", kind->name, size);
		argument->bytes[size - 1] = 0;
		argument->bytes[kind->size] = 0x80;
		expect_error(fd, kind->cmd, argument, E2BIG,
			     "%s with size %u and a first byte more", kind->name,
			     size);
	}
	well_formed(kind, argument);
	argument->size = UINT32_MAX;
	expect_error(fd, kind->cmd, argument, E2BIG, "%s with size 2^32 - 1",
		     kind->name);
	munmap(pages, 3 * PAGE);
}

static void test_pointers(const struct ioctl_kind *kind)
{
	char *pages = map_guarded(1);
	union argument valid;
	uint32_t before;
	char *read_only;

	well_formed(kind, &valid);
	expect_error(fd, kind->cmd, NULL, EFAULT, "%s of NULL", kind->name);
	expect_error(fd, kind->cmd, (void *)8, EFAULT, "%s of 8", kind->name);
	expect_error(fd, kind->cmd, (void *)-1L, EFAULT, "%s of -1", kind->name);
	expect_error(fd, kind->cmd, KERNEL_POINTER, EFAULT,
		     "%s of a pointer into the kernel", kind->name);
	expect_error(fd, kind->cmd, pages + PAGE, EFAULT,
		     "%s of a page without access", kind->name);
	for (before = 1; before < kind->size; before++) {
		memcpy(pages + PAGE - before, &valid, before);
		expect_error(fd, kind->cmd, pages + PAGE - before, EFAULT,
			     "%s cut off after byte %u", kind->name, before);
	}
	/* It ends where the page ends; then it is unaligned. */
	memcpy(pages + PAGE - kind->size, &valid, kind->size);
	expect_error(fd, kind->cmd, pages + PAGE - kind->size, kind->result,
		     "%s before a page without access", kind->name);
	memcpy(pages + 1, &valid, kind->size);
	expect_error(fd, kind->cmd, pages + 1, kind->result,
		     "%s at an odd address", kind->name);

	read_only = map_pages(1, PROT_READ | PROT_WRITE);
	memcpy(read_only, &valid, kind->size);
	mprotect(read_only, PAGE, PROT_READ);
	expect_error(fd, kind->cmd, read_only,
		     kind->result ? kind->result : EFAULT,
		     "%s in memory that is read-only", kind->name);
	munmap(read_only, PAGE);
	munmap(pages, 2 * PAGE);
}

static void test_flags(const struct ioctl_kind *kind)
{
	union argument argument;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		if (kind->known_flags & 1u << bit)
			continue;
		well_formed(kind, &argument);
		argument.flags = 1u << bit;
		expect_error(fd, kind->cmd, &argument, EINVAL, "%s with flag %u",
			     kind->name, bit);
		argument.flags |= kind->known_flags;
		expect_error(fd, kind->cmd, &argument, EINVAL,
			     "%s with known flags and flag %u", kind->name, bit);
	}
}

static void test_not_attached(const struct ioctl_kind *kind)
{
	int other = server_must_open(0);
	union argument argument;

	well_formed(kind, &argument);
	if (kind->cmd == DM_ALLOCTRACK_IOC_ATTACH)
		expect_error(other, kind->cmd, &argument, EBUSY,
			     "ATTACH beside a server");
	else
		expect_error(other, kind->cmd, &argument, ENOTCONN,
			     "%s, not attached", kind->name);
	close(other);
}

static void for_all(void (*test)(const struct ioctl_kind *kind), const char *what)
{
	char name[100];
	unsigned int i;

	for (i = 0; i < NR_OF(kinds); i++) {
		test(&kinds[i]);
		only_last_is_allocated();
		snprintf(name, sizeof(name), "%s: %s", kinds[i].name, what);
		end_group(name);
	}
}

static void test_commands(void)
{
	struct dm_alloctrack_info info = { .size = sizeof(info) };
	unsigned int nr;

	for (nr = 0; nr < 256; nr++)
		if (nr < DM_ALLOCTRACK_CMD_ATTACH || nr > DM_ALLOCTRACK_CMD_NEXT)
			expect_error(fd, _IO(DM_ALLOCTRACK_IOC, nr), &info,
				     ENOTTY, "ioctl number %#x", nr);
	nr = DM_ALLOCTRACK_CMD_INFO;
	expect_error(fd, _IO(0xd9, nr), &info, ENOTTY, "INFO of another type");
	expect_error(fd, _IOR(DM_ALLOCTRACK_IOC, nr, info), &info, ENOTTY,
		     "INFO with a size in the command");
	expect_error(fd, _IOWR(DM_ALLOCTRACK_IOC, nr, info), &info, ENOTTY,
		     "INFO with a direction and a size");
	end_group("unknown ioctls");
}

/* Arguments of single ioctls. */

static void one_bad_range(uint64_t offset, uint64_t length)
{
	struct dm_alloctrack_fill fill = {
		.size = sizeof(fill), .offset = offset, .length = length,
		.buffer = (uintptr_t)data, .used_bytes = 77,
	};
	struct dm_alloctrack_zero zero = {
		.size = sizeof(zero), .offset = offset, .length = length,
		.used_bytes = 77,
	};
	struct dm_alloctrack_fail fail = {
		.size = sizeof(fail), .offset = offset, .length = length,
		.error = EIO,
	};
	unsigned long long o = offset, l = length;

	expect_error(fd, DM_ALLOCTRACK_IOC_FILL, &fill, EINVAL,
		     "FILL of %#llx, %#llx", o, l);
	expect(!fill.used_bytes, "FILL says that it used bytes");
	expect_error(fd, DM_ALLOCTRACK_IOC_ZERO, &zero, EINVAL,
		     "ZERO of %#llx, %#llx", o, l);
	expect(!zero.used_bytes, "ZERO says that it used bytes");
	expect_error(fd, DM_ALLOCTRACK_IOC_FAIL, &fail, EINVAL,
		     "FAIL of %#llx, %#llx", o, l);
}

static void test_ranges(void)
{
	const uint64_t size = device_bytes, block = block_bytes;
	const uint64_t last = (size - 1) / block * block;
	const struct dm_alloctrack_range bad[] = {
		{ 0, 0 }, { block, 0 }, { size, 0 },
		{ 0, 1 }, { 0, 512 }, { 0, block - 1 }, { 0, block + 512 },
		{ 1, block }, { 512, block }, { block / 2, block },
		{ block - 1, block }, { block / 2, block / 2 },
		{ 0, size + 1 }, { 0, size + block }, { 0, last + block },
		{ 0, size - 1 }, { block, size }, { last, block },
		{ last, size - last - 1 }, { last, size - last + 1 },
		{ last + 512, size - last - 512 }, { last + block, block },
		{ size, 1 }, { size, block }, { size - 512, 512 },
		{ 0, UINT64_MAX }, { UINT64_MAX, 1 }, { UINT64_MAX, UINT64_MAX },
		{ block, UINT64_MAX - block + 1 }, { block, -block },
		{ 2 * block, -2 * block }, { -block, block }, { -block, 2 * block },
		{ INT64_MAX, block }, { 1ULL << 63, block },
		{ (1ULL << 63) - block, block }, { 1ULL << 55, block },
		{ 0, 1ULL << 63 }, { 0, 1ULL << 32 }, { 1ULL << 32, block },
		/* The block number is 0 when truncated to 32 bits, or when shifted. */
		{ block << 32, block }, { 0, (block << 32) + block },
	};
	unsigned int i;

	for (i = 0; i < NR_OF(bad); i++)
		one_bad_range(bad[i].offset, bad[i].length);
	only_last_is_allocated();
	end_group("FILL, ZERO, FAIL: ranges that are none");
}

static void test_fill_buffer(void)
{
	struct dm_alloctrack_fill high = {
		.size = sizeof(high), .length = block_bytes,
	};
	char *pages = map_guarded(block_bytes / PAGE);
	uint64_t used = 1;

	is_error(server_fill(fd, 0, 0, block_bytes, NULL, NULL), EFAULT, "a buffer at NULL");
	is_error(server_fill(fd, 0, 0, block_bytes, pages + 1, NULL), EINVAL, "an odd buffer");
	is_error(server_fill(fd, 0, 0, block_bytes, pages + 512, NULL), EINVAL,
		 "a buffer aligned to a sector");
	is_error(server_fill(fd, 0, 0, block_bytes, pages + PAGE, &used), EFAULT,
		 "a buffer whose last page is missing");
	expect(!used, "a FILL of a buffer with a hole used %llu bytes",
	       (unsigned long long)used);
	is_error(server_fill(fd, 0, 0, block_bytes, KERNEL_POINTER, NULL), EFAULT,
		 "a buffer in the kernel");
	high.buffer = -(uint64_t)PAGE;
	expect_error(fd, DM_ALLOCTRACK_IOC_FILL, &high, EFAULT,
		     "a buffer that wraps round");
	high.buffer = 1ULL << 63;
	expect_error(fd, DM_ALLOCTRACK_IOC_FILL, &high, EFAULT,
		     "a buffer at 2^63");
	/* Its low half is a valid address. */
	high.buffer = (uintptr_t)pages | 1ULL << 62;
	expect_error(fd, DM_ALLOCTRACK_IOC_FILL, &high, EFAULT,
		     "a buffer with a high bit set");
	only_last_is_allocated();
	munmap(pages, block_bytes + PAGE);

	is_error(server_fill(fd, 0, 0, DM_ALLOCTRACK_MAX_FILL_BYTES + PAGE, data, NULL), EINVAL,
		 "more than DM_ALLOCTRACK_MAX_FILL_BYTES");
	end_group("FILL: buffers that are none");
}

static void test_members(void)
{
	struct dm_alloctrack_wait wait = {
		.size = sizeof(wait), .ranges = (uintptr_t)ranges,
	};
	struct dm_alloctrack_fail fail = {
		.size = sizeof(fail), .length = block_bytes, .error = EIO,
	};
	struct dm_alloctrack_next next = { .size = sizeof(next) };
	static const uint32_t max[] = { 0, 65537, 1u << 31, UINT32_MAX };
	static const uint32_t errors[] = { 0, 4096, 1u << 31, UINT32_MAX, -EIO };
	unsigned int i;

	for (i = 0; i < NR_OF(max); i++) {
		wait.max = max[i];
		expect_error(fd, DM_ALLOCTRACK_IOC_WAIT, &wait, EINVAL,
			     "WAIT for %u", max[i]);
	}
	wait.max = 65536;
	expect_error(fd, DM_ALLOCTRACK_IOC_WAIT, &wait, EAGAIN, "WAIT for 65536");
	end_group("WAIT: max out of bounds");

	for (i = 0; i < NR_OF(errors); i++) {
		fail.error = errors[i];
		expect_error(fd, DM_ALLOCTRACK_IOC_FAIL, &fail, EINVAL,
			     "FAIL with error %u", errors[i]);
	}
	fail.error = 4095;
	expect_error(fd, DM_ALLOCTRACK_IOC_FAIL, &fail, 0, "FAIL with 4095");
	fail.reserved = 1;
	expect_error(fd, DM_ALLOCTRACK_IOC_FAIL, &fail, EINVAL,
		     "FAIL with a reserved member");
	end_group("FAIL: error and reserved");

	next.offset = device_bytes;
	expect_error(fd, DM_ALLOCTRACK_IOC_NEXT, &next, EINVAL, "NEXT at the end");
	next.offset = UINT64_MAX;
	expect_error(fd, DM_ALLOCTRACK_IOC_NEXT, &next, EINVAL, "NEXT at 2^64 - 1");
	next.offset = 0;
	next.reserved = 1;
	expect_error(fd, DM_ALLOCTRACK_IOC_NEXT, &next, EINVAL,
		     "NEXT with a reserved member");
	end_group("NEXT: offset and reserved");
}

static void is_next(uint64_t at, uint32_t flags, uint64_t offset,
		    uint64_t length, unsigned int allocated)
{
	struct dm_alloctrack_next next = {
		.size = sizeof(next), .flags = flags, .offset = at,
	};

	expect_error(fd, DM_ALLOCTRACK_IOC_NEXT, &next, 0, "NEXT at %llu",
		     (unsigned long long)at);
	expect(next.offset == offset && next.length == length &&
	       next.allocated == allocated,
	       "NEXT at %llu, flags %u: %llu, %llu, %u",
	       (unsigned long long)at, flags, (unsigned long long)next.offset,
	       (unsigned long long)next.length, next.allocated);
}

/* Well-formed calls work, up to the last byte of the device. */
static void test_good_calls(void)
{
	const uint64_t last = (device_bytes - 1) / block_bytes * block_bytes;
	uint64_t used;

	is_next(0, 0, 0, last, 0);
	is_next(block_bytes + 1, 0, block_bytes, last - block_bytes, 0);
	is_next(device_bytes - 1, 0, last, device_bytes - last, 1);
	is_next(last, DM_ALLOCTRACK_NEXT_UNALLOCATED, device_bytes, 0, 0);
	end_group("NEXT tells extents");

	mprotect(data, 2 * block_bytes, PROT_READ);
	is_error(server_fill(fd, 0, 0, block_bytes, data, &used), 0, "FILL of a block");
	expect(used == block_bytes, "it used %llu bytes", (unsigned long long)used);
	is_error(server_fill(fd, 0, 0, 2 * block_bytes, data, &used), 0, "FILL of two");
	expect(used == block_bytes, "one was new, it used %llu bytes",
	       (unsigned long long)used);
	is_error(server_fill(fd, 0, 0, 2 * block_bytes, data, &used), 0, "the same again");
	expect(!used, "nothing was new, it used %llu bytes",
	       (unsigned long long)used);
	is_error(server_fill(fd, 0, last, device_bytes - last, data, &used), 0,
		 "FILL of the short block");
	expect(info_of(fd).allocated_blocks == 3, "3 blocks are allocated");
	is_next(block_bytes - 1, 0, 0, 2 * block_bytes, 1);
	is_next(0, DM_ALLOCTRACK_NEXT_UNALLOCATED, 2 * block_bytes,
		last - 2 * block_bytes, 0);
	end_group("FILL from read-only memory, and what it used");
}

int main(int argc, char **argv)
{
	struct dm_alloctrack_info info;

	if (argc != 2)
		errx(2, "Usage: ioctl-args MAJOR:MINOR");
	device = server_parse_device(argv[1]);
	fd = server_open_attached(device, O_NONBLOCK);
	info = info_of(fd);
	device_bytes = info.device_bytes;
	block_bytes = info.block_bytes;
	if (device_bytes % block_bytes == 0 || info.allocated_blocks)
		errx(2, "wants a fresh device whose last block is short");
	data = map_pages(2 * block_bytes / PAGE, PROT_READ | PROT_WRITE);
	memset(data, 0x11, 2 * block_bytes);

	allocate_last();
	test_commands();
	for_all(test_sizes, "sizes");
	for_all(test_pointers, "pointers");
	for_all(test_flags, "unknown flags");
	for_all(test_not_attached, "not attached");
	test_ranges();
	test_fill_buffer();
	test_members();
	test_good_calls();
	return all_failures ? 1 : 0;
}
