// SPDX-License-Identifier: GPL-2.0-only
/* The functions of kernel-shim.h. */
#include <ctype.h>

#include "kernel-shim.h"

int shim_mutexes;
int shim_noio;

unsigned int fake_options;
static struct block_device bdevs[FAKE_DEVICES];

void fake_begin(unsigned int options)
{
	unsigned int i;

	fake_options = options;
	for (i = 0; i < FAKE_DEVICES; i++) {
		bdevs[i] = (struct block_device){
			.nr_sectors = fake_options & FAKE_SMALL ? 8 : FAKE_SECTORS,
			.logical_block_size = fake_options & FAKE_LARGE_BLOCKS ?
					      4096 : 512,
			.is_zoned = fake_options & FAKE_ZONED,
			.is_read_only = fake_options & FAKE_READ_ONLY,
			.bd_dev = i + 1,
		};
		/* Not the first one, or nothing would ever fit. */
		if (!i)
			bdevs[i].nr_sectors = FAKE_SECTORS;
	}
}

static struct dm_dev *new_device(unsigned int i, blk_mode_t mode)
{
	struct dm_dev *device = calloc(1, sizeof(*device));

	if (!device)
		abort();
	device->bdev = &bdevs[i];
	device->mode = mode;
	snprintf(device->name, sizeof(device->name), "7:%u", i);
	return device;
}

static unsigned int find_device(const char *path)
{
	char name[16];
	unsigned int i;

	for (i = 0; i < FAKE_DEVICES; i++) {
		snprintf(name, sizeof(name), "7:%u", i);
		if (!strcmp(path, name))
			break;
	}
	return i;
}

/*
 * As in the kernel: opening a device again with more rights invalidates the pointer that
 * was returned before.
 */
int dm_get_device(struct dm_target *ti, const char *path, blk_mode_t mode,
		  struct dm_dev **result)
{
	struct dm_table *table = ti->table;
	unsigned int i = find_device(path);
	struct dm_dev *device;

	if (!(mode & BLK_OPEN_READ))
		abort();
	if (i >= FAKE_DEVICES)
		return -ENODEV;
	device = table->devices[i];
	if (device && (device->mode | mode) != device->mode) {
		mode |= device->mode;
		free(device);
		device = NULL;
	}
	if (!device)
		device = new_device(i, mode);
	table->devices[i] = device;
	table->nr_open[i]++;
	*result = device;
	return 0;
}

void fake_check_open(const struct dm_table *table, struct dm_dev *const *devices,
		     unsigned int nr)
{
	unsigned int i, j, nr_left = 0, nr_open;

	for (j = 0; j < nr; j++)
		nr_left += !!devices[j];
	for (i = 0; i < FAKE_DEVICES; i++) {
		nr_open = 0;
		for (j = 0; j < nr; j++)
			nr_open += devices[j] && devices[j] == table->devices[i];
		if (nr_open != table->nr_open[i])
			abort();
		nr_left -= nr_open;
	}
	if (nr_left)
		abort();
}

void fake_end(struct dm_table *table)
{
	unsigned int i;

	for (i = 0; i < FAKE_DEVICES; i++)
		free(table->devices[i]);
}

void mutex_lock(struct mutex *mutex)
{
	if (mutex->held)
		abort();
	mutex->held = true;
	shim_mutexes++;
}

void mutex_unlock(struct mutex *mutex)
{
	if (!mutex->held)
		abort();
	mutex->held = false;
	shim_mutexes--;
}

unsigned int memalloc_noio_save(void)
{
	return shim_noio++;
}

void memalloc_noio_restore(unsigned int flags)
{
	shim_noio = flags;
}

char *kstrdup(const char *text, int flags)
{
	(void)flags;
	return strdup(text);
}

/* The value of a digit, or a number larger than any base. */
static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

int kstrtou64(const char *text, unsigned int base, u64 *result)
{
	u64 value = 0;

	if (*text == '+')
		text++;
	if (!base)
		base = *text != '0' ? 10 : tolower((unsigned char)text[1]) == 'x' ? 16 : 8;
	if (base == 16 && *text == '0' && tolower((unsigned char)text[1]) == 'x')
		text += 2;
	if (digit(*text) >= base)
		return -EINVAL;
	for (; digit(*text) < base; text++)
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit(*text), &value))
			return -ERANGE;
	text += *text == '\n';
	if (*text)
		return -EINVAL;
	*result = value;
	return 0;
}

int kstrtouint(const char *text, unsigned int base, unsigned int *result)
{
	u64 value;
	int r = kstrtou64(text, base, &value);

	if (r)
		return r;
	if (value > UINT_MAX)
		return -ERANGE;
	*result = value;
	return 0;
}

int match_string(const char *const *names, size_t nr, const char *name)
{
	size_t i;

	for (i = 0; i < nr && names[i]; i++)
		if (!strcmp(names[i], name))
			return i;
	return -EINVAL;
}

const char *dm_shift_arg(struct dm_arg_set *args)
{
	if (!args->argc)
		return NULL;
	args->argc--;
	return *args->argv++;
}

blk_mode_t dm_table_get_mode(struct dm_table *table)
{
	return table->mode;
}

const char *dm_table_device_name(struct dm_table *table)
{
	(void)table;
	return "254:0";
}

int scnprintf(char *text, size_t bytes, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, bytes, format, arguments);
	va_end(arguments);
	if (!bytes)
		return 0;
	return min_t(size_t, length, bytes - 1);
}

void shim_log(const char *format, ...)
{
	static char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
}
