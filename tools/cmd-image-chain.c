// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive image chain`: an image and its backing images, newest first, what backup each
 * of them is, and whether each increment lies on the backup that it was made for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd-image.h"
#include "lib/backup-record.h"
#include "lib/exit.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/size.h"
#include "meta/identity.h"
#include "meta/show.h"

enum link {
	LINK_NONE,		/* nothing is known, or the chain ends here */
	LINK_RIGHT,
	LINK_WRONG,
};

/* @link: to the next one */
struct element {
	const struct image_layer_info *info;
	bool is_backup;
	struct backup_record record;
	enum link link;
};

static void read_element(const struct image_layer_info *info,
			 struct element *element)
{
	element->info = info;
	element->is_backup = !backup_record_parse(info->backup_record,
						  &element->record);
}

/* Is what is at @depth the image that an increment of it was made for? */
static bool is_restored(struct image *image, unsigned int depth,
			const char *identity)
{
	struct image_error ignored;
	char *found;
	bool same;

	if (image_identity_text(image, depth, &found, &ignored))
		return false;
	same = !strcmp(found, identity);
	free(found);
	return same;
}

/* The image at @depth, and @base below it: NULL at the end of the chain */
static bool is_right(struct image *image, unsigned int depth,
		     const struct backup_record *record,
		     const struct element *base)
{
	if (!base)
		return false;
	if (record->base_identity)
		return is_restored(image, depth + 1, record->base_identity);
	return base->is_backup && backup_record_follows(record, &base->record);
}

static void find_link(struct image *image, unsigned int depth,
		      struct element *element, const struct element *base)
{
	const struct backup_record *record = &element->record;

	element->link = LINK_NONE;
	if (!element->is_backup)
		return;
	if (record->base_generation)
		element->link = is_right(image, depth, record, base) ?
				LINK_RIGHT : LINK_WRONG;
	if (element->link != LINK_WRONG)
		return;
	if (record->base_identity)
		error("%s: it is an increment of the image that the device was restored from, and %s; its content is not that of any point in time",
		      element->info->path,
		      base ? "its backing file is not that, or has changed" :
			     "it has no backing file");
	else
		error("%s: it is an increment of the backup with generation %" PRIu64 " of bitmap '%s', and %s; its content is not that of any point in time",
		      element->info->path, record->base_generation,
		      record->bitmap,
		      base ? "its backing file is another one" :
			     "it has no backing file");
}

static void print_text(const char *text)
{
	while (*text) {
		meta_print_name(text, 1);
		text++;
	}
}

static void print_record(const struct backup_record *record)
{
	time_t when = record->time_s;
	char date[32];
	struct tm tm;

	printf("  %s of bitmap '", record->base_generation ?
				    "increment" : "full backup");
	print_text(record->bitmap);
	printf("', generation %" PRIu64, record->generation);
	if (record->base_generation)
		printf(" after %" PRIu64, record->base_generation);
	if (record->base_identity)
		printf(" (a restored image)");
	printf(", store ");
	print_text(record->store);
	if (when && localtime_r(&when, &tm) &&
	    strftime(date, sizeof(date), "%F %T", &tm))
		printf(", of %s", date);
	putchar('\n');
}

static void print_element(const struct element *element)
{
	char disk[SIZE_TEXT_BYTES], file[SIZE_TEXT_BYTES];
	const struct image_layer_info *info = element->info;

	print_text(info->path);
	printf(": %s, disk %s, file %s\n", info->format,
	       size_format(info->size, disk),
	       size_format(info->file_size, file));
	if (element->is_backup)
		print_record(&element->record);
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
			      element->link == LINK_RIGHT);
	}
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
	json_append(list, object);
}

/* @list: NULL: for people. Return: 0, 1 if a link is wrong, or a negative errno. */
static int show_chain(struct image *image, struct json_object *list,
		      struct image_error *err)
{
	struct element element = { 0 }, base = { 0 };
	const struct image_layer_info *info;
	unsigned int depth, nr = image_layers(image);
	bool wrong = false;
	int r;

	r = image_describe(image, 0, &info, err);
	if (!r)
		read_element(info, &base);
	for (depth = 0; !r && depth < nr; depth++) {
		element = base;
		base = (struct element) { 0 };
		if (depth + 1 < nr)
			r = image_describe(image, depth + 1, &info, err);
		if (!r && depth + 1 < nr)
			read_element(info, &base);
		if (!r) {
			find_link(image, depth, &element,
				  depth + 1 < nr ? &base : NULL);
			wrong |= element.link == LINK_WRONG;
			if (list)
				add_element(list, &element);
			else
				print_element(&element);
		}
		backup_record_free(&element.record);
	}
	backup_record_free(&base.record);
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
	if (r < 0)
		error("%s", err.message);
	if (r < 0)
		return EXIT_ERROR;
	return r ? EXIT_REFUSED : EXIT_OK;
}
