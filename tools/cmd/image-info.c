// SPDX-License-Identifier: GPL-2.0-only
/*
 * `dmlive image info` and `dmlive image map`. The JSON has the same names as that of
 * qemu-img.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/size.h"
#include "cmd/image.h"

static void add_string_if_any(struct json_object *object, const char *name,
			      const char *string)
{
	if (string)
		json_add_string(object, name, string);
}

static struct json_object *
snapshots_to_json(const struct image_layer_info *info)
{
	struct json_object *list = json_new_array(), *object;
	const struct image_snapshot *s;

	for (s = info->snapshots; s < info->snapshots + info->nr_snapshots; s++) {
		object = json_new_object();
		json_add_string(object, "id", s->id);
		json_add_string(object, "name", s->name);
		json_add_number(object, "disk-size", s->size);
		json_add_number(object, "vm-state-size", s->vm_state_size);
		json_add_number(object, "date-sec", s->date_sec);
		json_add_number(object, "date-nsec", s->date_nsec);
		json_add_number(object, "vm-clock-sec", s->vm_clock_nsec / 1000000000);
		json_add_number(object, "vm-clock-nsec", s->vm_clock_nsec % 1000000000);
		json_append(list, object);
	}
	return list;
}

static struct json_object *bitmaps_to_json(const struct image_layer_info *info)
{
	struct json_object *list = json_new_array(), *object, *flags;
	const struct image_bitmap *b;

	for (b = info->bitmaps; b < info->bitmaps + info->nr_bitmaps; b++) {
		object = json_new_object();
		flags = json_new_array();
		if (b->in_use)
			json_append(flags, json_object_new_string("in-use"));
		if (b->is_auto)
			json_append(flags, json_object_new_string("auto"));
		json_add_string(object, "name", b->name);
		json_add_number(object, "granularity", b->granularity);
		json_add(object, "flags", flags);
		json_append(list, object);
	}
	return list;
}

static struct json_object *qcow2_to_json(const struct image_layer_info *info)
{
	struct json_object *specific = json_new_object();
	struct json_object *data = json_new_object();

	json_add_string(data, "compat", info->version == 2 ? "0.10" : "1.1");
	json_add_string(data, "compression-type", info->compression);
	json_add_number(data, "refcount-bits", info->refcount_bits);
	json_add_bool(data, "lazy-refcounts", info->lazy_refcounts);
	json_add_bool(data, "corrupt", info->corrupt);
	json_add_bool(data, "extended-l2", info->extended_l2);
	if (info->data_file) {
		json_add_string(data, "data-file", info->data_file);
		json_add_bool(data, "data-file-raw", info->data_file_raw);
	}
	if (info->nr_bitmaps)
		json_add(data, "bitmaps", bitmaps_to_json(info));
	add_string_if_any(data, "bitmaps-problem", info->bitmaps_problem);
	json_add_number(data, "incompatible-features", info->incompatible_features);
	json_add_number(data, "compatible-features", info->compatible_features);
	json_add_number(data, "autoclear-features", info->autoclear_features);
	json_add_string(specific, "type", "qcow2");
	json_add(specific, "data", data);
	return specific;
}

static struct json_object *layer_to_json(const struct image_layer_info *info)
{
	struct json_object *object = json_new_object();

	json_add_string(object, "filename", info->path);
	json_add_string(object, "format", info->format);
	json_add_number(object, "virtual-size", info->size);
	json_add_number(object, "actual-size", info->disk_size);
	json_add_number(object, "file-size", info->file_size);
	if (!info->version)
		return object;
	json_add_number(object, "cluster-size", info->cluster_size);
	json_add_bool(object, "dirty-flag", info->dirty);
	add_string_if_any(object, "backing-filename", info->backing_file);
	add_string_if_any(object, "backing-filename-format", info->backing_format);
	if (info->nr_snapshots)
		json_add(object, "snapshots", snapshots_to_json(info));
	json_add(object, "format-specific", qcow2_to_json(info));
	return object;
}

static void print_size(const char *what, uint64_t bytes)
{
	char text[SIZE_TEXT_BYTES];

	printf("%s: %s (%" PRIu64 " bytes)\n", what, size_format(bytes, text),
	       bytes);
}

static void print_named(const char *what, const char *name, const char *format)
{
	printf("%s: ", what);
	print_name(name);
	if (format)
		printf(" (format ");
	if (format)
		print_name(format);
	puts(format ? ")" : "");
}

static void print_features(const struct image_layer_info *info)
{
	const struct {
		bool present;
		const char *name;
	} features[] = {
		{ info->extended_l2, "extended L2 entries" },
		{ info->lazy_refcounts, "lazy refcounts" },
		{ info->data_file_raw, "raw data file" },
		{ info->dirty, "dirty: refcounts may be out of date" },
		{ info->corrupt, "MARKED CORRUPT" },
	};
	size_t i;

	for (i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (features[i].present)
			printf("feature: %s\n", features[i].name);
}

static void print_snapshots(const struct image_layer_info *info)
{
	const struct image_snapshot *s;
	char size[SIZE_TEXT_BYTES], date[32] = "?";
	struct tm tm;
	time_t when;

	for (s = info->snapshots; s < info->snapshots + info->nr_snapshots; s++) {
		when = s->date_sec;
		if (localtime_r(&when, &tm))
			strftime(date, sizeof(date), "%F %T", &tm);
		printf("snapshot: ");
		print_name(s->id);
		printf(" '");
		print_name(s->name);
		printf("', %s, disk %s", date, size_format(s->size, size));
		if (s->vm_state_size)
			printf(", VM state %s",
			       size_format(s->vm_state_size, size));
		putchar('\n');
	}
}

static void print_bitmaps(const struct image_layer_info *info)
{
	const struct image_bitmap *b;

	for (b = info->bitmaps; b < info->bitmaps + info->nr_bitmaps; b++) {
		printf("bitmap: '");
		print_name(b->name);
		printf("', granularity %" PRIu64 "%s%s\n", b->granularity,
		       b->is_auto ? ", auto" : "",
		       b->in_use ? ", in use: its bits are not valid" : "");
	}
	if (info->bitmaps_problem)
		print_named("bitmaps: none can be read",
			    info->bitmaps_problem, NULL);
}

static void print_layer(const struct image_layer_info *info)
{
	print_named("image", info->path, NULL);
	if (info->version)
		printf("format: %s, version %u\n", info->format, info->version);
	else
		printf("format: %s\n", info->format);
	print_size("virtual size", info->size);
	print_size("file size", info->file_size);
	if (info->disk_size)
		print_size("size on disk", info->disk_size);
	if (!info->version)
		return;
	printf("cluster size: %u\n"
	       "compression: %s\n"
	       "refcount bits: %u\n",
	       info->cluster_size, info->compression, info->refcount_bits);
	if (info->backing_file)
		print_named("backing file", info->backing_file,
			    info->backing_format ?: "not stated");
	if (info->data_file)
		print_named("data file", info->data_file, NULL);
	print_features(info);
	print_snapshots(info);
	print_bitmaps(info);
}

static int describe_all(struct image *image, struct json_object *list,
			struct image_error *err)
{
	const struct image_layer_info *info;
	unsigned int depth;
	int ret;

	for (depth = 0; depth < image_layers(image); depth++) {
		ret = image_describe(image, depth, &info, err);
		if (ret)
			return ret;
		if (list) {
			json_append(list, layer_to_json(info));
			continue;
		}
		if (depth)
			putchar('\n');
		print_layer(info);
	}
	return 0;
}

static void print_description(struct json_object *list, bool whole_list)
{
	struct json_object *shown = list;

	if (!whole_list)
		shown = json_object_array_get_idx(list, 0);
	json_print_pretty(json_object_get(shown));
}

/* A part of the chain is missing. What could be read has been printed. */
static int say_missing(const struct image *image, struct image_error *err)
{
	fflush(stdout);
	snprintf(err->message, sizeof(err->message), "%s",
		 image_missing(image));
	return -ENOENT;
}

int image_info_command(const struct image_arguments *arguments)
{
	struct image_options options = arguments->options;
	struct json_object *list = NULL;
	struct image_error err;
	struct image *image;
	int ret;

	options.force = true;
	options.metadata_only = !arguments->chain;
	options.partial = true;
	if (arguments->json)
		list = json_new_array();
	ret = image_open(arguments->image, &options, &image, &err);
	if (!ret) {
		ret = describe_all(image, list, &err);
		if (!ret && list)
			print_description(list, arguments->chain);
		if (!ret && image_missing(image))
			ret = say_missing(image, &err);
		image_close(image);
	}
	json_object_put(list);
	if (!ret)
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_ERROR;
}

/* As in QEMU, "data" is true for everything that must be read. */
static void print_extent_json(const struct image *image,
			      const struct image_extent *extent)
{
	struct json_object *object = json_new_object();

	json_add_number(object, "start", extent->offset);
	json_add_number(object, "length", extent->length);
	json_add_number(object, "depth", extent->depth);
	json_add_bool(object, "present", extent->allocated);
	json_add_bool(object, "zero", extent->kind == IMAGE_EXTENT_ZERO);
	json_add_bool(object, "data", extent->kind != IMAGE_EXTENT_ZERO);
	json_add_bool(object, "compressed",
		      extent->kind == IMAGE_EXTENT_COMPRESSED);
	if (extent->has_file_offset) {
		json_add_number(object, "offset", extent->file_offset);
		json_add_string(object, "filename",
				image_data_path(image, extent->depth));
	}
	json_print_element(object, !extent->offset);
}

static void print_extent(const struct image *image,
			 const struct image_extent *extent)
{
	static const char *const kinds[] = {
		[IMAGE_EXTENT_ZERO] = "zero",
		[IMAGE_EXTENT_DATA] = "data",
		[IMAGE_EXTENT_COMPRESSED] = "compressed",
	};

	printf("%#-18" PRIx64 " %#-14" PRIx64 " ", extent->offset,
	       extent->length);
	if (!extent->allocated) {
		printf("-     unallocated\n");
		return;
	}
	printf("%-5u ", extent->depth);
	if (extent->has_file_offset)
		printf("%-11s %#-18" PRIx64 " ", kinds[extent->kind],
		       extent->file_offset);
	else
		printf("%-11s %-18s ", kinds[extent->kind], "-");
	print_name(image_data_path(image, extent->depth));
	putchar('\n');
}

static int map_all(struct image *image, bool json, struct image_error *err)
{
	uint64_t offset, size = image_size(image);
	struct image_extent extent;
	int ret;

	if (json)
		printf("[");
	else
		printf("%-18s %-14s DEPTH %-11s %-18s FILE\n", "START",
		       "LENGTH", "KIND", "OFFSET");
	for (offset = 0; offset < size; offset += extent.length) {
		ret = image_map(image, offset, size - offset, &extent, err);
		if (ret)
			return ret;
		if (json)
			print_extent_json(image, &extent);
		else
			print_extent(image, &extent);
		if (ferror(stdout))
			break;
	}
	if (json)
		printf("]\n");
	return 0;
}

int image_map_command(const struct image_arguments *arguments)
{
	struct image_error err;
	struct image *image;
	int ret;

	ret = image_open(arguments->image, &arguments->options, &image, &err);
	if (!ret) {
		ret = map_all(image, arguments->json, &err);
		image_close(image);
	}
	if (!ret)
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_ERROR;
}
