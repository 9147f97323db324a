// SPDX-License-Identifier: GPL-2.0-only
/* `dmlive image check` and `dmlive image convert`. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "base/exit.h"
#include "base/json.h"
#include "base/log.h"
#include "base/progress.h"
#include "block/blockdev.h"
#include "block/loop.h"
#include "block/named-path.h"
#include "cmd/image.h"
#include "qcow2-format.h"
#include "qcow2/check.h"
#include "qcow2/convert.h"
#include "qcow2/error.h"
#include "qcow2/sector-size.h"
#include "store/chain.h"
#include "store/overlays.h"
#include "store/registry.h"

/* More findings of one kind are not useful. */
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
	unsigned int shown[2];	/* leaks, corruptions */
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

static void print_check_json(const char *path,
			     const struct check_result *result)
{
	struct json_object *object = json_new_object();

	json_add_string(object, "filename", path);
	json_add_string(object, "format", "qcow2");
	json_add_number(object, "check-errors", 0);
	json_add_number(object, "corruptions", result->corruptions);
	json_add_number(object, "leaks", result->leaks);
	json_add_number(object, "total-clusters", result->total_clusters);
	json_add_number(object, "allocated-clusters",
			result->allocated_clusters);
	json_add_number(object, "compressed-clusters",
			result->compressed_clusters);
	json_add_number(object, "image-end-offset", result->image_end_offset);
	json_print_pretty(object);
}

static void print_check(const struct check_result *result)
{
	if (!result->corruptions && !result->leaks)
		printf("No errors were found on the image.\n");
	if (result->corruptions)
		printf("%" PRIu64 " errors were found on the image; data may be damaged.\n",
		       result->corruptions);
	if (result->leaks)
		printf("%" PRIu64 " leaked clusters were found: they waste space, but are harmless.\n",
		       result->leaks);
	printf("%" PRIu64 "/%" PRIu64 " clusters allocated, %" PRIu64 " of them compressed\n"
	       "Image end offset: %" PRIu64 "\n",
	       result->allocated_clusters, result->total_clusters,
	       result->compressed_clusters, result->image_end_offset);
}

int image_check_command(const struct image_arguments *arguments)
{
	struct image_options options = arguments->options;
	struct findings findings = { .quiet = arguments->quiet };
	struct check check = {
		.finding = show_finding,
		.context = &findings,
		.force = arguments->options.force,
	};
	struct image_error err;
	struct image *image;
	int ret;

	/* An image that is marked corrupt is checked, not refused. */
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
	if (arguments->json)
		print_check_json(arguments->image, &check.result);
	else
		print_check(&check.result);
	return check.result.corruptions ? CHECK_CORRUPTIONS :
	       check.result.leaks ? CHECK_LEAKS : CHECK_CLEAN;
}

/* A thread that shows the progress of a conversion. */
struct watcher {
	struct progress progress;
	struct convert *convert;
	uint64_t total_bytes;
	pthread_mutex_t lock;	/* protects stop */
	pthread_cond_t changed;
	bool stop;
};

static void show_progress(struct watcher *watcher)
{
	struct convert *convert = watcher->convert;
	uint64_t done_bytes = atomic_load(&convert->done_bytes);

	if (!done_bytes && atomic_load(&convert->tables_bytes))
		progress_update(&watcher->progress,
				atomic_load(&convert->checked_bytes),
				atomic_load(&convert->tables_bytes),
				"checking the tables");
	else
		progress_update(&watcher->progress, done_bytes,
				watcher->total_bytes, "running");
}

static void *watch(void *context)
{
	struct watcher *watcher = context;
	struct timespec until;

	pthread_mutex_lock(&watcher->lock);
	while (!watcher->stop) {
		show_progress(watcher);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += PROGRESS_INTERVAL_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&watcher->changed, &watcher->lock,
				       &until);
	}
	pthread_mutex_unlock(&watcher->lock);
	progress_clear(&watcher->progress);
	return NULL;
}

static int convert_watched(struct convert *convert, struct image_error *err)
{
	struct watcher watcher = {
		.convert = convert,
		.total_bytes = image_size(convert->image),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	pthread_t thread;
	int ret;

	progress_init(&watcher.progress, "convert");
	if (pthread_create(&thread, NULL, watch, &watcher))
		return convert_run(convert, err);
	ret = convert_run(convert, err);
	pthread_mutex_lock(&watcher.lock);
	watcher.stop = true;
	pthread_cond_signal(&watcher.changed);
	pthread_mutex_unlock(&watcher.lock);
	pthread_join(thread, NULL);
	return ret;
}

/* For the signal handler: the conversion to cancel. */
static struct convert *volatile interruptible;
static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	interrupted = number;
	atomic_store(&interruptible->cancelled, true);
}

/* A signal that is ignored, as by nohup(1), stays ignored. */
static void catch_signals(struct convert *convert)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = {
		.sa_handler = interrupt,
		.sa_flags = SA_RESETHAND | SA_RESTART,
	};
	struct sigaction old;
	size_t i;

	interruptible = convert;
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		sigaction(numbers[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
}

static bool is_file(const char *path, struct stat *st)
{
	return !stat(path, st) && S_ISREG(st->st_mode);
}

/* A file that would be replaced must not be in use. */
static int check_file(const char *path)
{
	struct stat st;

	return is_file(path, &st) ? loop_check_unused(path, &st) : 0;
}

/* Other images may be based on the file. */
static int check_overlays(const char *path)
{
	struct stat st;

	return is_file(path, &st) ? overlays_check(path) : 0;
}

/* The target may be a device that the source's files lie on, or the other way round. */
static int check_device(const struct convert *convert)
{
	struct blockdev target;
	int r;

	if (!path_is_blockdev(convert->target_path))
		return 0;
	r = blockdev_open(convert->target_path, &target) ?:
	    blockdev_check_own_files(&target);
	/* A warning is enough: the copy is complete even if it is not usable there. */
	if (!r && convert->options.format == WRITER_RAW)
		sector_size_check(convert->image, &target, true);
	return r;
}

static int convert_to_target(struct convert *convert, bool quiet, bool force,
			     struct image_error *err)
{
	int ret;

	err->message[0] = '\0';
	if (check_device(convert))
		return -EBUSY;
	ret = convert_check_target(convert, err);
	if (ret)
		return ret;
	if (!force && check_overlays(convert->target_path))
		return -EBUSY;
	registry_void_path(convert->target_path);
	return quiet ? convert_run(convert, err) :
		       convert_watched(convert, err);
}

/*
 * The target gets the record of the image, because it holds the same point in time.
 * Without its backing file, an increment becomes a full backup.
 */
static int put_record(const struct convert *convert, struct writer *writer,
		      struct image_error *err)
{
	struct backup_record record = *(const struct backup_record *)
				      convert->context;
	char *text;
	int ret;

	if (!convert->keep_backing) {
		record.base_generation = 0;
		record.base_identity = NULL;
	}
	record.autoclear_bit = QCOW2_AUTOCLEAR_DMLIVE_BIT;
	writer_stamp(writer, &record.stamp);
	text = backup_record_format(&record);
	ret = text ? writer_set_backup_record(writer, text, err) :
		     image_fail_memory(err, convert->target_path);
	free(text);
	if (ret != -E2BIG)
		return ret;
	warning("%s; so it does not say which backup it is, and no increment can be based on it",
		err->message);
	return 0;
}

/* @is_forced: --force was needed, so the image may differ from the backup. */
static int open_source(const struct image_arguments *arguments,
		       struct convert *convert, bool *is_forced,
		       struct image_error *err)
{
	struct image_options options = arguments->options;
	int ret;

	options.may_name = arguments->allow_paths ? NULL : path_is_beside;
	options.force = false;
	*is_forced = false;
	ret = image_open(arguments->image, &options, &convert->image, err);
	if (!ret || !arguments->options.force)
		return ret;
	options.force = true;
	*is_forced = true;
	return image_open(arguments->image, &options, &convert->image, err);
}

/* The caller frees @record. */
static int check_source(const struct image_arguments *arguments,
			struct convert *convert, bool is_forced,
			struct backup_record *record, struct image_error *err)
{
	bool is_backup;
	int ret;

	/* chain_check() has printed why. */
	if (chain_check(convert->image, arguments->options.force,
			&is_backup)) {
		err->message[0] = '\0';
		return -EUCLEAN;
	}
	ret = chain_read_record(convert->image, 0, record, err);
	if (ret || convert->options.format != WRITER_QCOW2)
		return ret == -ENOENT ? 0 : ret;
	if (is_backup && !is_forced && !arguments->options.snapshot) {
		convert->describe = put_record;
		convert->context = record;
	} else {
		warning("%s does not say which backup it is, and no increment can be based on it, because it may not hold what was backed up",
			convert->target_path);
	}
	return 0;
}

static int convert_image(const struct image_arguments *arguments,
			 struct convert *convert, struct image_error *err)
{
	struct backup_record record = { 0 };
	bool is_forced;
	int ret;

	ret = open_source(arguments, convert, &is_forced, err);
	if (ret)
		return ret;
	ret = check_source(arguments, convert, is_forced, &record, err);
	if (!ret)
		ret = convert_to_target(convert, arguments->quiet,
					arguments->options.force, err);
	backup_record_free(&record);
	image_close(convert->image);
	return ret;
}

int image_convert_command(const struct image_arguments *arguments)
{
	struct convert convert = {
		.target_path = arguments->target,
		.options = arguments->target_options,
		.keep_backing = arguments->keep_backing,
		.stable_name = path_make_stable,
		.threads = arguments->threads,
	};
	struct image_error err;
	int ret;

	if (check_file(convert.target_path))
		return EXIT_ERROR;
	catch_signals(&convert);
	ret = convert_image(arguments, &convert, &err);
	if (!ret)
		return EXIT_OK;
	/* Without a message: it has been printed. */
	if (err.message[0])
		error("%s", err.message);
	/* Everything is cleaned up: let the parent see the signal. */
	if (interrupted)
		raise(interrupted);
	return ret == -EUCLEAN && !err.message[0] ? EXIT_REFUSED : EXIT_ERROR;
}
