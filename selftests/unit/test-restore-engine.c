// SPDX-License-Identifier: GPL-2.0-only
/*
 * The restore engine with a fake kernel and image: everything is restored, guest I/O is
 * always answered, and the engine obeys the stream control and the error policies.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "fake-kernel.h"
#include "base/log.h"
#include "restore/engine.h"
#include "unit.h"

#define KIB 1024ull
#define MIB (1024 * KIB)

/* An image: zeros in every fourth unit, otherwise a byte that depends on the place. */
struct fake_backing {
	struct backing backing;
	enum image_extent_kind kind;	/* of what is not zero */
	uint64_t bad_start, bad_end;	/* cannot be read */
	unsigned int reads_till_healed;	/* 0: never */
	unsigned int nr_bad_reads;
	bool hold;			/* reads wait */
	unsigned int nr_held;
};

static bool is_zero_unit(struct backing *backing, uint64_t offset)
{
	return offset / backing->unit_bytes % 4 == 3;
}

static uint8_t byte_at(struct backing *backing, uint64_t offset)
{
	return is_zero_unit(backing, offset) ? 0 : 1 + offset / 512 % 251;
}

static int fake_map(struct backing *backing, uint64_t offset, uint64_t *length,
		    enum image_extent_kind *kind, struct image_error *err)
{
	struct fake_backing *fake = (struct fake_backing *)backing;
	uint64_t end = offset - offset % backing->unit_bytes +
		       backing->unit_bytes;

	(void)err;
	assert_true(offset + *length <= backing->bytes);
	if (*length > end - offset)
		*length = end - offset;
	*kind = is_zero_unit(backing, offset) ? IMAGE_EXTENT_ZERO : fake->kind;
	return 0;
}

static uint64_t load(uint64_t *number)
{
	return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static int fake_read(struct backing *backing, uint64_t offset, void *buffer,
		     uint64_t length, struct image_error *err)
{
	struct fake_backing *fake = (struct fake_backing *)backing;
	uint8_t *bytes = buffer;
	uint64_t i;

	assert_true(offset + length <= backing->bytes);
	__atomic_fetch_add(&fake->nr_held, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&fake->hold, __ATOMIC_RELAXED))
		usleep(1000);
	if (offset < load(&fake->bad_end) &&
	    offset + length > load(&fake->bad_start) &&
	    (!fake->reads_till_healed ||
	     __atomic_fetch_add(&fake->nr_bad_reads, 1, __ATOMIC_RELAXED) <
	     fake->reads_till_healed)) {
		snprintf(err->message, sizeof(err->message), "a bad spot");
		return -EIO;
	}
	for (i = 0; i < length; i++)
		bytes[i] = byte_at(backing, offset + i);
	return 0;
}

static const struct backing_ops fake_backing_ops = {
	.map = fake_map,
	.read = fake_read,
};

struct setting {
	struct fake_kernel *kernel;
	struct fake_backing backing;
	struct engine *engine;
	pthread_t runner;
	enum engine_end end;
};

/* From now on this range cannot be read. */
static void set_bad(struct setting *setting, uint64_t start, uint64_t end)
{
	__atomic_store_n(&setting->backing.bad_end, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&setting->backing.bad_start, start, __ATOMIC_RELAXED);
	__atomic_store_n(&setting->backing.bad_end, end, __ATOMIC_RELAXED);
}

static void *run_engine(void *argument)
{
	struct setting *setting = argument;

	setting->end = engine_run(setting->engine);
	return NULL;
}

static void silence(enum log_level level, const char *line)
{
	(void)level;
	(void)line;
}

static void begin(struct setting *setting, uint64_t device_bytes,
		  uint32_t block_bytes, uint64_t image_bytes,
		  uint32_t unit_bytes)
{
	struct engine_options options = { .name = "test", .nr_threads = 3 };

	log_set_sink(silence);
	memset(setting, 0, sizeof(*setting));
	setting->kernel = fake_kernel_new(device_bytes, block_bytes);
	setting->backing.backing.ops = &fake_backing_ops;
	setting->backing.backing.bytes = image_bytes;
	setting->backing.backing.unit_bytes = unit_bytes;
	setting->backing.kind = IMAGE_EXTENT_DATA;
	assert_int_equal(engine_create(fake_channel(setting->kernel),
				       &setting->backing.backing, &options,
				       &setting->engine), 0);
	assert_int_equal(engine_start(setting->engine), 0);
	assert_int_equal(pthread_create(&setting->runner, NULL, run_engine,
					setting), 0);
}

static void end(struct setting *setting)
{
	fake_remove(setting->kernel);
	pthread_join(setting->runner, NULL);
	engine_stop(setting->engine);
	engine_destroy(setting->engine);
	fake_kernel_free(setting->kernel);
}

static void check_block(struct setting *setting, uint64_t offset)
{
	struct backing *backing = &setting->backing.backing;
	const uint8_t *data = fake_data(setting->kernel);
	uint64_t device_bytes = fake_info(setting->kernel).device_bytes;
	uint64_t limit = offset + fake_info(setting->kernel).block_bytes;

	for (; offset < limit && offset < device_bytes; offset++)
		assert_int_equal(data[offset], offset < backing->bytes ?
				 byte_at(backing, offset) : 0);
}

static void check_all(struct setting *setting)
{
	struct dm_alloctrack_info info = fake_info(setting->kernel);
	uint64_t offset;

	for (offset = 0; offset < info.device_bytes;
	     offset += info.block_bytes)
		check_block(setting, offset);
}

static void stream_to_end(struct setting *setting)
{
	fake_set_state(setting->kernel, DM_ALLOCTRACK_RUNNING);
	fake_wait_state(setting->kernel, DM_ALLOCTRACK_COMPLETE);
	pthread_join(setting->runner, NULL);
	assert_int_equal(setting->end, ENGINE_COMPLETE);
	/* For end(), which joins it. */
	pthread_create(&setting->runner, NULL, run_engine, setting);
}

/* Different proportions of device, block, image and cluster. */
static void test_everything_arrives(void **state)
{
	static const struct {
		uint64_t device_bytes;
		uint32_t block_bytes;
		uint64_t image_bytes;
		uint32_t unit_bytes;
	} cases[] = {
		{ 8 * MIB, 4 * KIB, 8 * MIB, 64 * KIB },
		{ 8 * MIB, 64 * KIB, 8 * MIB, 4 * KIB },
		{ 8 * MIB, 4 * KIB, 8 * MIB, 512 },
		{ 9 * MIB, 2 * MIB, 5 * MIB + 512, 64 * KIB },
		{ 9 * MIB, 64 * KIB, 9 * MIB, 2 * MIB },
		{ 5 * MIB + 7 * 512, 64 * KIB, 5 * MIB + 6 * 512 + 1, 512 },
		{ 512, 4 * KIB, 100, 64 * KIB },
	};
	struct setting setting;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(cases); i++) {
		begin(&setting, cases[i].device_bytes, cases[i].block_bytes,
		      cases[i].image_bytes, cases[i].unit_bytes);
		stream_to_end(&setting);
		check_all(&setting);
		assert_int_equal(fake_info(setting.kernel).streamed_bytes,
				 cases[i].device_bytes);
		end(&setting);
	}
}

/* The guest's data is not overwritten, and its blocks are not read from the image. */
static void test_guest_writes_stay(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, 8 * MIB, 4 * KIB, 8 * MIB, 64 * KIB);
	fake_guest_write(setting.kernel, MIB, 2 * MIB, 0xaa);
	fake_guest_write(setting.kernel, 5 * MIB + 4 * KIB, 4 * KIB, 0xbb);
	set_bad(&setting, MIB, 3 * MIB);
	stream_to_end(&setting);
	check_block(&setting, 0);
	check_block(&setting, 4 * MIB);
	assert_int_equal(fake_data(setting.kernel)[MIB], 0xaa);
	assert_int_equal(fake_data(setting.kernel)[3 * MIB - 1], 0xaa);
	assert_int_equal(fake_data(setting.kernel)[5 * MIB + 4 * KIB], 0xbb);
	end(&setting);
}

/* Large empty areas need few calls, and no reads. */
static void test_zeros_are_ranges(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, 16 * MIB, 4 * KIB, 64 * KIB, 64 * KIB);
	stream_to_end(&setting);
	check_all(&setting);
	assert_int_equal(fake_counts(setting.kernel).fill_calls, 1);
	assert_true(fake_counts(setting.kernel).zero_calls <= 6);
	end(&setting);
}

static void check_faults(struct setting *setting, enum dm_alloctrack_state state)
{
	struct dm_alloctrack_info info = fake_info(setting->kernel);
	struct rng rng = rng_new(0);
	unsigned int faults[200];
	uint64_t offset, length;
	unsigned int i;

	fake_set_state(setting->kernel, state);
	for (i = 0; i < NR_OF(faults); i++) {
		offset = rng_below(&rng, info.total_blocks) * info.block_bytes;
		length = (1 + rng_below(&rng, 8)) * info.block_bytes;
		if (offset + length > info.device_bytes)
			length = info.device_bytes - offset;
		faults[i] = fake_fault(setting->kernel, offset, length);
	}
	for (i = 0; i < NR_OF(faults); i++)
		assert_int_equal(fake_wait_answer(setting->kernel, faults[i]),
				 FAKE_SERVED);
}

/* Faults are served in every state of the job. */
static void test_faults_are_served(void **state)
{
	static const enum dm_alloctrack_state states[] = {
		DM_ALLOCTRACK_IDLE, DM_ALLOCTRACK_PAUSED, DM_ALLOCTRACK_FAILED,
		DM_ALLOCTRACK_RUNNING,
	};
	struct setting setting;
	unsigned int i;

	(void)state;
	for (i = 0; i < NR_OF(states); i++) {
		begin(&setting, 15 * MIB + 512, 4 * KIB, 14 * MIB, 64 * KIB);
		setting.backing.kind = i % 2 ? IMAGE_EXTENT_COMPRESSED :
					      IMAGE_EXTENT_DATA;
		check_faults(&setting, states[i]);
		stream_to_end(&setting);
		check_all(&setting);
		end(&setting);
	}
}

/* A write that waits for its block continues when the answer arrives. */
static void test_fault_on_allocated_block(void **state)
{
	struct setting setting;
	unsigned int fault;

	(void)state;
	begin(&setting, MIB, 4 * KIB, MIB, 64 * KIB);
	fake_guest_write(setting.kernel, 0, MIB, 0xaa);
	fault = fake_fault(setting.kernel, 8 * KIB, 4 * KIB);
	assert_int_equal(fake_wait_answer(setting.kernel, fault), FAKE_SERVED);
	end(&setting);
}

/* Only unreadable data fails; the stream job is not affected. */
static void test_fault_with_read_error(void **state)
{
	struct setting setting;
	unsigned int bad, good;

	(void)state;
	begin(&setting, 4 * MIB, 4 * KIB, 4 * MIB, 64 * KIB);
	set_bad(&setting, 8 * KIB, 8 * KIB + 512);
	bad = fake_fault(setting.kernel, 0, 64 * KIB);
	assert_int_equal(fake_wait_answer(setting.kernel, bad), FAKE_FAILED);
	good = fake_fault(setting.kernel, 12 * KIB, 4 * KIB);
	assert_int_equal(fake_wait_answer(setting.kernel, good), FAKE_SERVED);
	good = fake_fault(setting.kernel, 0, 8 * KIB);
	assert_int_equal(fake_wait_answer(setting.kernel, good), FAKE_SERVED);
	assert_false(fake_is_allocated(setting.kernel, 8 * KIB));
	assert_int_equal(fake_info(setting.kernel).read_errors, 0);
	assert_int_equal(fake_info(setting.kernel).state, DM_ALLOCTRACK_IDLE);
	end(&setting);
}

/* Faults that waited for another one, which failed, are answered by themselves. */
static void test_faults_beside_errors(void **state)
{
	struct setting setting;
	unsigned int faults[16];
	unsigned int i;

	(void)state;
	begin(&setting, 4 * MIB, 4 * KIB, 4 * MIB, 64 * KIB);
	set_bad(&setting, 0, 4 * KIB);
	for (i = 0; i < NR_OF(faults); i++)
		faults[i] = fake_fault(setting.kernel, i * 4 * KIB, 4 * KIB);
	for (i = 0; i < NR_OF(faults); i++)
		assert_int_equal(fake_wait_answer(setting.kernel, faults[i]),
				 i ? FAKE_SERVED : FAKE_FAILED);
	fake_write_error(setting.kernel, 128 * KIB, 4 * KIB, EIO);
	for (i = 0; i < NR_OF(faults); i++)
		faults[i] = fake_fault(setting.kernel, (32 + i) * 4 * KIB,
				       4 * KIB);
	for (i = 0; i < NR_OF(faults); i++)
		assert_int_not_equal(fake_wait_answer(setting.kernel,
						      faults[i]),
				     FAKE_WAITING);
	end(&setting);
}

/*
 * A fault that waits for another one, whose data is partly unreadable, is answered: here
 * the error is outside of the first one's range.
 */
static void test_hanging_fault_is_answered(void **state)
{
	struct setting setting;
	struct fake_backing *backing = &setting.backing;
	unsigned int first, hanging;

	(void)state;
	begin(&setting, 4 * MIB, 4 * KIB, 4 * MIB, 64 * KIB);
	set_bad(&setting, 8 * KIB, 12 * KIB);
	__atomic_store_n(&backing->hold, true, __ATOMIC_RELAXED);
	first = fake_fault(setting.kernel, 0, 4 * KIB);
	while (!__atomic_load_n(&backing->nr_held, __ATOMIC_RELAXED))
		usleep(1000);
	hanging = fake_fault(setting.kernel, 8 * KIB, 4 * KIB);
	fake_wait_quiet(setting.kernel);
	/* It waits: there is no read of its own. */
	assert_int_equal(__atomic_load_n(&backing->nr_held, __ATOMIC_RELAXED),
			 1);
	__atomic_store_n(&backing->hold, false, __ATOMIC_RELAXED);
	assert_int_equal(fake_wait_answer(setting.kernel, first), FAKE_SERVED);
	assert_int_equal(fake_wait_answer(setting.kernel, hanging),
			 FAKE_FAILED);
	end(&setting);
}

/* report: the job fails at once, and the device is still served. */
static void test_on_error_report(void **state)
{
	struct setting setting;
	unsigned int fault;

	(void)state;
	begin(&setting, 8 * MIB, 4 * KIB, 8 * MIB, 64 * KIB);
	set_bad(&setting, 4 * MIB, 4 * MIB + 512);
	fake_set_state(setting.kernel, DM_ALLOCTRACK_RUNNING);
	fake_wait_state(setting.kernel, DM_ALLOCTRACK_FAILED);
	assert_int_equal(fake_info(setting.kernel).read_errors, 1);
	fake_wait_quiet(setting.kernel);
	fault = fake_fault(setting.kernel, 8 * MIB - 4 * KIB, 4 * KIB);
	assert_int_equal(fake_wait_answer(setting.kernel, fault), FAKE_SERVED);
	set_bad(&setting, 0, 0);
	stream_to_end(&setting);
	check_all(&setting);
	end(&setting);
}

/* ignore: everything else is copied; then the job fails, and never completes. */
static void test_on_error_ignore(void **state)
{
	struct setting setting;
	uint64_t offset;

	(void)state;
	begin(&setting, 8 * MIB, 4 * KIB, 8 * MIB, 64 * KIB);
	set_bad(&setting, 4 * MIB, 4 * MIB + 8 * KIB);
	fake_set_on_error(setting.kernel, DM_ALLOCTRACK_ON_ERROR_IGNORE);
	fake_set_state(setting.kernel, DM_ALLOCTRACK_RUNNING);
	fake_wait_state(setting.kernel, DM_ALLOCTRACK_FAILED);
	fake_wait_quiet(setting.kernel);
	for (offset = 0; offset < 8 * MIB; offset += 4 * KIB)
		assert_int_equal(fake_is_allocated(setting.kernel, offset),
				 offset < 4 * MIB ||
				 offset >= 4 * MIB + 8 * KIB);
	/* The user's setting is as before. */
	assert_int_equal(fake_info(setting.kernel).on_error,
			 DM_ALLOCTRACK_ON_ERROR_IGNORE);
	end(&setting);
}

/* ignore: an error that occurs only once does not fail the job. */
static void test_on_error_ignore_heals(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, 8 * MIB, 4 * KIB, 8 * MIB, 64 * KIB);
	setting.backing.kind = IMAGE_EXTENT_COMPRESSED;
	set_bad(&setting, 4 * MIB, 4 * MIB + 512);
	/* As a chunk and as a cluster. */
	setting.backing.reads_till_healed = 2;
	fake_set_on_error(setting.kernel, DM_ALLOCTRACK_ON_ERROR_IGNORE);
	stream_to_end(&setting);
	check_all(&setting);
	assert_int_equal(fake_info(setting.kernel).read_errors, 1);
	end(&setting);
}

/* stop: nothing is streamed until the job is resumed. */
static void test_on_error_stop(void **state)
{
	struct setting setting;
	unsigned int calls;

	(void)state;
	begin(&setting, 8 * MIB, 4 * KIB, 8 * MIB, 64 * KIB);
	fake_set_on_error(setting.kernel, DM_ALLOCTRACK_ON_ERROR_STOP);
	set_bad(&setting, 4 * MIB, 4 * MIB + 512);
	fake_set_state(setting.kernel, DM_ALLOCTRACK_RUNNING);
	fake_wait_state(setting.kernel, DM_ALLOCTRACK_STOPPED);
	fake_wait_quiet(setting.kernel);
	calls = fake_counts(setting.kernel).stream_calls;
	set_bad(&setting, 0, 0);
	check_faults(&setting, DM_ALLOCTRACK_STOPPED);
	assert_int_equal(fake_counts(setting.kernel).stream_calls, calls);
	stream_to_end(&setting);
	check_all(&setting);
	end(&setting);
}

/* A full target stops the job; the rest is streamed when there is space again. */
static void test_target_out_of_space(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, 8 * MIB, 4 * KIB, 8 * MIB, 64 * KIB);
	fake_set_on_error(setting.kernel, DM_ALLOCTRACK_ON_ERROR_ENOSPC);
	fake_write_error(setting.kernel, 3 * MIB, MIB, ENOSPC);
	fake_set_state(setting.kernel, DM_ALLOCTRACK_RUNNING);
	fake_wait_state(setting.kernel, DM_ALLOCTRACK_STOPPED);
	fake_write_error(setting.kernel, 0, 0, 0);
	stream_to_end(&setting);
	check_all(&setting);
	end(&setting);
}

/* A paused job streams nothing, and completes after many pauses. */
static void test_pause_and_resume(void **state)
{
	struct setting setting;
	unsigned int calls, i;

	(void)state;
	begin(&setting, 16 * MIB, 4 * KIB, 16 * MIB, 512);
	for (i = 0; i < 5; i++) {
		fake_set_state(setting.kernel, DM_ALLOCTRACK_RUNNING);
		fake_set_state(setting.kernel, DM_ALLOCTRACK_PAUSED);
		fake_wait_quiet(setting.kernel);
		calls = fake_counts(setting.kernel).stream_calls;
		fake_wait_quiet(setting.kernel);
		assert_int_equal(fake_counts(setting.kernel).stream_calls,
				 calls);
	}
	stream_to_end(&setting);
	check_all(&setting);
	end(&setting);
}

/* Everything ends when the device is removed. */
static void test_device_goes(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, 16 * MIB, 4 * KIB, 16 * MIB, 512);
	fake_set_state(setting.kernel, DM_ALLOCTRACK_RUNNING);
	fake_remove(setting.kernel);
	pthread_join(setting.runner, NULL);
	assert_int_equal(setting.end, ENGINE_GONE);
	pthread_create(&setting.runner, NULL, run_engine, &setting);
	end(&setting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_arrives),
		cmocka_unit_test(test_guest_writes_stay),
		cmocka_unit_test(test_zeros_are_ranges),
		cmocka_unit_test(test_faults_are_served),
		cmocka_unit_test(test_fault_on_allocated_block),
		cmocka_unit_test(test_fault_with_read_error),
		cmocka_unit_test(test_faults_beside_errors),
		cmocka_unit_test(test_hanging_fault_is_answered),
		cmocka_unit_test(test_on_error_report),
		cmocka_unit_test(test_on_error_ignore),
		cmocka_unit_test(test_on_error_ignore_heals),
		cmocka_unit_test(test_on_error_stop),
		cmocka_unit_test(test_target_out_of_space),
		cmocka_unit_test(test_pause_and_resume),
		cmocka_unit_test(test_device_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
