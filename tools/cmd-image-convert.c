// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive image check` and `dmlive image convert`: what they print. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cmd-image.h"
#include "lib/exit.h"
#include "lib/log.h"
#include "lib/size.h"
#include "qcow2/check.h"
#include "qcow2/convert.h"

/* More findings of one kind tell nobody more. */
#define MAX_FINDINGS_SHOWN 50
#define PROGRESS_INTERVAL_NS 200000000

enum check_status {
	CHECK_CLEAN = 0,
	CHECK_NOT_MADE = 1,
	CHECK_CORRUPTIONS = 2,
	CHECK_LEAKS = 3,
};

struct findings {
	bool quiet;
	unsigned int shown[2];	/* by whether they are corruptions */
};

static void show_finding(void *context, bool corruption, const char *text)
{
	struct findings *findings = context;
	unsigned int shown = findings->shown[corruption]++;

	if (findings->quiet || shown > MAX_FINDINGS_SHOWN)
		return;
	if (shown == MAX_FINDINGS_SHOWN)
		text = "and more of this kind";
	fprintf(stderr, "%s: %s\n", corruption ? "ERROR" : "Leaked", text);
}

static void add_number(struct json_object *object, const char *name,
		       uint64_t number)
{
	json_object_object_add(object, name, json_object_new_uint64(number));
}

static int print_check_json(const char *path, const struct check_result *result)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "filename", json_object_new_string(path));
	json_object_object_add(object, "format", json_object_new_string("qcow2"));
	add_number(object, "check-errors", 0);
	add_number(object, "corruptions", result->corruptions);
	add_number(object, "leaks", result->leaks);
	add_number(object, "total-clusters", result->total_clusters);
	add_number(object, "allocated-clusters", result->allocated_clusters);
	add_number(object, "compressed-clusters", result->compressed_clusters);
	add_number(object, "image-end-offset", result->image_end_offset);
	return image_print_json(object);
}

static int print_check(const struct check_result *result)
{
	if (!result->corruptions && !result->leaks)
		printf("No errors were found on the image.\n");
	if (result->corruptions)
		printf("%" PRIu64 " errors were found on the image; data may be damaged.\n",
		       result->corruptions);
	if (result->leaks)
		printf("%" PRIu64 " leaked clusters were found: wasted space, no danger.\n",
		       result->leaks);
	printf("%" PRIu64 "/%" PRIu64 " clusters allocated, %" PRIu64 " of them compressed\n"
	       "Image end offset: %" PRIu64 "\n",
	       result->allocated_clusters, result->total_clusters,
	       result->compressed_clusters, result->image_end_offset);
	return EXIT_OK;
}

int image_check_command(const struct image_arguments *arguments)
{
	struct image_options options = arguments->options;
	struct findings findings = { .quiet = arguments->quiet };
	struct check check = { .finding = show_finding, .context = &findings };
	struct image_error err;
	struct image *image;
	int ret;

	/* A mark of corruption is a reason to check, not one to refuse. */
	options.force = true;
	options.metadata_only = true;
	ret = image_open(arguments->image, &options, &image, &err);
	if (!ret) {
		ret = image_check(image, &check, &err);
		image_close(image);
	}
	if (ret) {
		error("%s", err.message);
		return CHECK_NOT_MADE;
	}
	ret = arguments->json ? print_check_json(arguments->image, &check.result) :
				print_check(&check.result);
	if (ret)
		return CHECK_NOT_MADE;
	return check.result.corruptions ? CHECK_CORRUPTIONS :
	       check.result.leaks ? CHECK_LEAKS : CHECK_CLEAN;
}

/* A thread that shows how far the conversion is, while there is one. */
struct progress {
	struct convert *convert;
	uint64_t total_bytes;
	pthread_mutex_t lock;	/* protects stop */
	pthread_cond_t changed;
	bool stop;
};

static void show_progress(struct progress *progress)
{
	uint64_t done = atomic_load(&progress->convert->done_bytes);
	char done_text[SIZE_TEXT_BYTES], total_text[SIZE_TEXT_BYTES];

	fprintf(stderr, "\r%5.1f %%  %s of %s ",
		progress->total_bytes ? 100.0 * done / progress->total_bytes :
					100.0,
		size_format(done, done_text),
		size_format(progress->total_bytes, total_text));
}

static void *progress_thread(void *context)
{
	struct progress *progress = context;
	struct timespec until;

	pthread_mutex_lock(&progress->lock);
	while (!progress->stop) {
		show_progress(progress);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PROGRESS_INTERVAL_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&progress->changed, &progress->lock,
				       &until);
	}
	pthread_mutex_unlock(&progress->lock);
	show_progress(progress);
	fputc('\n', stderr);
	return NULL;
}

static int convert_showing_progress(struct convert *convert,
				    struct image_error *err)
{
	struct progress progress = {
		.convert = convert,
		.total_bytes = image_size(convert->image),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	pthread_t thread;
	int ret;

	if (pthread_create(&thread, NULL, progress_thread, &progress))
		return convert_run(convert, err);
	ret = convert_run(convert, err);
	pthread_mutex_lock(&progress.lock);
	progress.stop = true;
	pthread_cond_signal(&progress.changed);
	pthread_mutex_unlock(&progress.lock);
	pthread_join(thread, NULL);
	return ret;
}

int image_convert_command(const struct image_arguments *arguments)
{
	struct convert convert = {
		.target_path = arguments->target,
		.threads = arguments->threads,
	};
	struct image_error err;
	int ret;

	ret = image_open(arguments->image, &arguments->options, &convert.image,
			 &err);
	if (!ret) {
		if (arguments->quiet || !isatty(STDERR_FILENO))
			ret = convert_run(&convert, &err);
		else
			ret = convert_showing_progress(&convert, &err);
		image_close(convert.image);
	}
	if (!ret)
		return EXIT_OK;
	error("%s", err.message);
	return EXIT_ERROR;
}
