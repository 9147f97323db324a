// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive image chain`: an image and its backing images, newest first. It shows which
 * backup each of them is, and whether each increment is based on the right backup.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/size.h"
#include "cmd/image.h"
#include "qcow2/backup-record.h"
#include "qcow2/preflight.h"
#include "qcow2/readable.h"
#include "store/chain.h"

/*
 * @link: whether the next image is the right one, an enum chain_link
 * @count: if data that a guest could read are missing or damaged: how much can be read
 */
struct element {
	const struct image_layer_info *info;
	bool is_backup;
	bool is_written_to;
	struct backup_record record;
	int link;
	struct image_readable count;
};

static int read_element(struct image *image, unsigned int depth,
			struct element *element, struct image_error *err)
{
	int r = chain_read_record(image, depth, &element->record, err);

	if (r && r != -ENOENT)
		return r;
	element->is_backup = !r;
	if (!r)
		element->is_written_to = chain_is_written_to(image, depth,
							     &element->record);
	r = image_describe(image, depth, &element->info, err);
	if (!r)
		r = chain_check_link(image, depth, err);
	element->link = r;
	return r < 0 ? r : 0;
}

static void print_record(const struct element *element)
{
	const struct backup_record *record = &element->record;
	time_t when = record->time_s;
	char date[32];
	struct tm tm;

	printf("  %s of bitmap '", record->base_generation ?
				    "increment" : "full backup");
	print_name(record->bitmap);
	printf("', generation %" PRIu64, record->generation);
	if (record->base_generation)
		printf(" after %" PRIu64, record->base_generation);
	if (record->base_identity)
		printf(" (a restored image)");
	printf(", store ");
	print_name(record->store);
	if (when && localtime_r(&when, &tm) &&
	    strftime(date, sizeof(date), "%F %T", &tm))
		printf(", of %s", date);
	putchar('\n');
	if (element->is_written_to)
		printf("  written to after the backup, so no increment can be based on it\n");
}

static void print_count(const struct image_readable *count)
{
	char readable[SIZE_TEXT_BYTES], unreadable[SIZE_TEXT_BYTES];
	const char *more = count->is_whole ? "" : "at least ";

	printf("  readable: %s%s of data; unreadable: %s%s of the disk: ", more,
	       size_format(count->readable, readable), more,
	       size_format(count->unreadable, unreadable));
	print_name(count->first.message);
	putchar('\n');
}

static void print_element(const struct element *element)
{
	char disk[SIZE_TEXT_BYTES], file[SIZE_TEXT_BYTES];
	const struct image_layer_info *info = element->info;

	print_name(info->path);
	printf(": %s, disk %s, file %s\n", info->format,
	       size_format(info->size, disk),
	       size_format(info->file_size, file));
	if (element->is_backup)
		print_record(element);
	if (element->count.unreadable)
		print_count(&element->count);
}

static void add_record(struct json_object *object, const struct element *element)
{
	const struct backup_record *record = &element->record;

	json_add_string(object, "store", record->store);
	json_add_string(object, "bitmap", record->bitmap);
	json_add_number(object, "generation", record->generation);
	if (record->base_generation) {
		json_add_number(object, "base-generation",
				record->base_generation);
		json_add_bool(object, "base-is-right",
			      element->link == CHAIN_RIGHT ||
			      element->link == CHAIN_RESTORED);
	}
	json_add_bool(object, "written-to", element->is_written_to);
	if (record->base_identity)
		json_add_string(object, "base-identity", record->base_identity);
	if (record->time_s)
		json_add_number(object, "time", record->time_s);
}

static void add_element(struct json_object *list, const struct element *element)
{
	struct json_object *object = json_new_object();

	json_add_string(object, "filename", element->info->path);
	json_add_string(object, "format", element->info->format);
	json_add_number(object, "virtual-size", element->info->size);
	json_add_number(object, "file-size", element->info->file_size);
	if (element->is_backup)
		add_record(object, element);
	json_add_number(object, "unreadable-bytes", element->count.unreadable);
	if (element->count.unreadable) {
		json_add_number(object, "readable-bytes",
				element->count.readable);
		json_add_bool(object, "counted-all", element->count.is_whole);
		json_add_string(object, "damage", element->count.first.message);
	}
	json_append(list, object);
}

/* @list: NULL: print text. Return: 0, 1 if a link is wrong, or a negative errno. */
static int show_chain(struct image *image, struct json_object *list,
		      struct image_error *err)
{
	bool wrong = false, restored = false, damaged, counted = false;
	struct image_error damage = { "" };
	unsigned int depth;
	int r = 0;

	damaged = image_preflight(image, NULL, &damage);
	for (depth = 0; !r && depth < image_layers(image); depth++) {
		struct element element = { 0 };

		r = read_element(image, depth, &element, err);
		/* The identity of a restored image covers its whole chain. */
		if (!r && element.link == CHAIN_WRONG && !restored) {
			error("%s", err->message);
			wrong = true;
		}
		if (!r && damaged)
			image_count_readable(image, depth, &element.count);
		counted |= element.count.unreadable;
		restored |= element.link == CHAIN_RESTORED;
		if (!r && list)
			add_element(list, &element);
		else if (!r)
			print_element(&element);
		backup_record_free(&element.record);
	}
	if (damaged && !counted)
		warning("%s", damage.message);
	return r ? r : wrong;
}

int image_chain_command(const struct image_arguments *arguments)
{
	struct image_options options = arguments->options;
	struct json_object *list = NULL;
	struct image_error err;
	struct image *image;
	int r;

	options.force = true;
	r = image_open(arguments->image, &options, &image, &err);
	if (!r) {
		if (arguments->json)
			list = json_new_array();
		r = show_chain(image, list, &err);
		if (r >= 0 && list)
			json_print_pretty(json_object_get(list));
		image_close(image);
	}
	json_object_put(list);
	if (r >= 0)
		return r ? EXIT_REFUSED : EXIT_OK;
	error("%s", err.message);
	return EXIT_ERROR;
}
