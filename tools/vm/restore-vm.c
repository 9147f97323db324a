// SPDX-License-Identifier: GPL-2.0-only
/*
 * Restores of virtual machines. Everything that can be refused is refused before the first
 * disk is touched. What has begun when a later disk fails goes on, since the old content of
 * that volume is lost already; it is named, with the way to give it up.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "backup/backup.h"
#include "base/exit.h"
#include "base/io.h"
#include "base/log.h"
#include "block/blockdev.h"
#include "block/device-name.h"
#include "block/lvm.h"
#include "qcow2/content.h"
#include "restore/new-volume.h"
#include "vm/domain.h"
#include "vm/record.h"
#include "vm/restore-vm.h"

#define SELF "/proc/self/exe"
#define MAX_XML_BYTES (16 << 20)

struct disk {
	const char *target;
	char image[PATH_MAX];
	const char *device;
	uint64_t bytes;
	struct lvm_volume volume;	/* with --create */
	bool is_made;
	bool has_begun;
};

struct run {
	const struct restore_vm *request;
	char path[PATH_MAX];
	char folder[PATH_MAX];
	struct json_object *record;
	struct domain domain;
	struct disk *disks;
	unsigned int nr;
	char *xml;
};

static volatile sig_atomic_t got_signal;

static void take_signal(int number)
{
	got_signal = number;
}

/* Beside the record, and nowhere else. */
static bool is_plain(const char *name)
{
	return name && name[0] && name[0] != '.' && !strchr(name, '/');
}

static int refuse_record(const struct run *run, const char *what)
{
	error("%s: %s, so this is not a record that this dmlive can use",
	      run->path, what);
	return EXIT_ERROR;
}

static int take_disk(struct run *run, struct json_object *object)
{
	const char *image = json_get_string(object, "image");
	struct disk *disk = &run->disks[run->nr];
	struct stat st;

	disk->target = json_get_string(object, "target");
	disk->device = json_get_string(object, "source");
	disk->bytes = json_get_number(object, "size_bytes");
	if (!disk->target || !disk->device || !disk->bytes || !is_plain(image))
		return refuse_record(run, "a disk is not described wholly");
	if (!domain_find(&run->domain, disk->target))
		return refuse_record(run, "it has a disk that the definition does not have");
	if (snprintf(disk->image, sizeof(disk->image), "%s/%s", run->folder,
		     image) >= (int)sizeof(disk->image))
		return refuse_record(run, "a path is too long");
	if (stat(disk->image, &st)) {
		error_errno(errno, "%s, the image of %s", disk->image,
			    disk->target);
		return EXIT_ERROR;
	}
	run->nr++;
	return EXIT_OK;
}

static int take_disks(struct run *run)
{
	struct json_object *list;
	int status = EXIT_OK;
	size_t i, nr;

	if (!json_object_object_get_ex(run->record, "disks", &list) ||
	    !json_object_is_type(list, json_type_array))
		return refuse_record(run, "it has no disks");
	nr = json_object_array_length(list);
	if (!nr || nr > BACKUP_MAX_VOLUMES)
		return refuse_record(run, "the number of disks is not possible");
	run->disks = calloc(nr, sizeof(*run->disks));
	if (!run->disks) {
		error("out of memory");
		return EXIT_ERROR;
	}
	for (i = 0; !status && i < nr; i++)
		status = take_disk(run, json_object_array_get_idx(list, i));
	return status;
}

static char *read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = fd >= 0 ? io_read_text(fd, MAX_XML_BYTES) : NULL;

	if (!text)
		error("%s cannot be read: %s", path,
		      errno == EFBIG ? "it is not a file of a sensible size" :
		      strerror(errno));
	if (fd >= 0)
		close(fd);
	return text;
}

static int take_definition(struct run *run)
{
	const char *name = json_get_string(run->record, "xml");
	char path[PATH_MAX], *text;
	int status;

	if (json_get_number(run->record, "version") != 1)
		return refuse_record(run, "it has another version");
	if (!is_plain(name) || snprintf(path, sizeof(path), "%s/%s", run->folder,
					name) >= (int)sizeof(path))
		return refuse_record(run, "it names no definition");
	text = read_file(path);
	if (!text)
		return EXIT_ERROR;
	status = domain_parse(text, path, &run->domain);
	free(text);
	if (!status && strcmp(run->domain.uuid,
			      json_get_string(run->record, "uuid")))
		return refuse_record(run, "the definition is that of another machine");
	return status;
}

static int read_backup(struct run *run)
{
	int status;

	run->record = record_find(run->request->given, run->path);
	if (!run->record)
		return EXIT_ERROR;
	snprintf(run->folder, sizeof(run->folder), "%s", run->path);
	*strrchr(run->folder, '/') = '\0';
	status = take_definition(run);
	return status ? status : take_disks(run);
}

static struct disk *find_disk(const struct run *run, const char *target)
{
	unsigned int i;

	for (i = 0; i < run->nr; i++)
		if (!strcmp(run->disks[i].target, target))
			return &run->disks[i];
	return NULL;
}

/* In the group, the volume of a disk is called DOMAIN-TARGET. */
static int use_group(struct run *run)
{
	const char *group = run->request->group;
	char *name = record_name(run->domain.name), *device;
	unsigned int i;

	for (i = 0; name && i < run->nr; i++) {
		if (asprintf(&device, "%s/%s-%s", group, name,
			     run->disks[i].target) < 0)
			break;
		run->disks[i].device = device;
	}
	free(name);
	if (i == run->nr)
		return EXIT_OK;
	error("out of memory");
	return EXIT_ERROR;
}

static int use_maps(struct run *run)
{
	const struct vm_map *map = run->request->maps;
	const struct vm_map *end = map + run->request->nr_maps;
	struct disk *disk;

	for (; map < end; map++) {
		disk = find_disk(run, map->target);
		if (!disk) {
			error("--map %s=%s: the backup has no disk %s",
			      map->target, map->device, map->target);
			return EXIT_USAGE;
		}
		disk->device = map->device;
	}
	return EXIT_OK;
}

/* A volume that is to be made. */
static int plan_volume(struct disk *disk)
{
	char path[PATH_MAX], tags[1024];

	if (!new_volume_parse(disk->device, &disk->volume)) {
		error("--create: the disk %s cannot be made as %s; name a logical volume: --map %s=VG/LV, or --vg VG",
		      disk->target, disk->device, disk->target);
		return EXIT_USAGE;
	}
	if (lvm_exists(&disk->volume, tags, sizeof(tags))) {
		error("--create: %s/%s, for the disk %s, exists already; leave out --create to restore onto it, or choose another one: --map %s=VG/LV",
		      disk->volume.group, disk->volume.name, disk->target,
		      disk->target);
		return EXIT_REFUSED;
	}
	disk->device = strdup(lvm_path(&disk->volume, path, sizeof(path)));
	if (disk->device)
		return EXIT_OK;
	error("out of memory");
	return EXIT_ERROR;
}

static int check_present(struct disk *disk)
{
	struct stat st;
	int status = device_argument(&disk->device, false);

	if (status || (!stat(disk->device, &st) && S_ISBLK(st.st_mode)))
		return status;
	error("%s, for the disk %s, is not a block device; make it (--create), or choose another one: --map %s=VG/LV",
	      disk->device, disk->target, disk->target);
	return EXIT_ERROR;
}

/* Two paths may be of one device. */
static bool is_same_device(const char *path, const char *other)
{
	struct stat st, other_st;

	return !strcmp(path, other) ||
	       (!stat(path, &st) && !stat(other, &other_st) &&
		S_ISBLK(st.st_mode) && S_ISBLK(other_st.st_mode) &&
		st.st_rdev == other_st.st_rdev);
}

static int check_unique(const struct run *run, const struct disk *disk)
{
	const struct disk *other;

	for (other = run->disks; other < disk; other++) {
		if (!is_same_device(other->device, disk->device))
			continue;
		error("the disks %s and %s would both be restored to %s; choose another volume: --map %s=VG/LV",
		      other->target, disk->target, disk->device, disk->target);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static bool is_passed(const struct run *run, const char *option)
{
	unsigned int i;

	for (i = 0; i < run->request->nr_passed; i++)
		if (!strcmp(run->request->passed[i], option))
			return true;
	return false;
}

/*
 * As its restore will check it, which comes after those of other disks, whose volumes are
 * overwritten by then.
 */
static int check_usable(const struct run *run, const struct disk *disk)
{
	struct blockdev device;
	char what[256] = "";
	int r;

	if (blockdev_open(disk->device, &device))
		return EXIT_ERROR;
	if (device.read_only) {
		error("%s, for the disk %s, is read-only", disk->device,
		      disk->target);
		return EXIT_REFUSED;
	}
	if (device.bytes < disk->bytes) {
		error("%s, for the disk %s, is too small: %" PRIu64 " bytes, %" PRIu64 " are required; enlarge it, or choose another one: --map %s=VG/LV",
		      disk->device, disk->target, device.bytes, disk->bytes,
		      disk->target);
		return EXIT_REFUSED;
	}
	if (blockdev_check_unused(&device))
		return EXIT_REFUSED;
	if (is_passed(run, "--force"))
		return EXIT_OK;
	r = blockdev_check_empty(&device, what, sizeof(what));
	if (!r)
		return EXIT_OK;
	if (r != -EEXIST)
		return EXIT_ERROR;
	error("%s, for the disk %s, holds a %s; to overwrite it: --force",
	      disk->device, disk->target, what);
	return EXIT_REFUSED;
}

static int choose_devices(struct run *run)
{
	int status = run->request->group ? use_group(run) : EXIT_OK;
	struct disk *disk;

	if (!status)
		status = use_maps(run);
	for (disk = run->disks; !status && disk < run->disks + run->nr; disk++) {
		status = run->request->create ? plan_volume(disk) :
						check_present(disk);
		if (!status)
			status = check_unique(run, disk);
		if (!status)
			status = domain_set_source(&run->domain, disk->target,
						   disk->device);
	}
	return status;
}

/* What is not in the backup keeps the source that it had. */
static void say_left_out(const struct run *run)
{
	const struct domain_disk *disk = run->domain.disks;
	unsigned int i;

	for (i = 0; i < run->domain.nr_disks; i++, disk++)
		if (disk->source && !find_disk(run, disk->target))
			warning("%s: the disk %s is not in the backup, and stays %s in the definition",
				run->domain.name, disk->target, disk->source);
}

static int prepare(struct run *run)
{
	const struct restore_vm *request = run->request;
	struct domain changed = { 0 };
	int status = choose_devices(run);
	unsigned int i;

	if (!status) {
		run->xml = domain_print(&run->domain);
		status = run->xml ? EXIT_OK : EXIT_ERROR;
	}
	if (!status && request->xml_path && !access(request->xml_path, F_OK)) {
		error("--xml %s: it exists already; remove it, or choose another name",
		      request->xml_path);
		status = EXIT_REFUSED;
	}
	if (!status && request->define) {
		/* Its disks have their new sources. */
		status = domain_parse(run->xml, run->path, &changed);
		if (!status)
			status = definition_check(&changed, request->uri);
		domain_free(&changed);
	}
	if (!status)
		status = definition_check_saved(&run->domain, request->uri,
						request->define);
	for (i = 0; !status && !request->create && i < run->nr; i++)
		status = check_usable(run, &run->disks[i]);
	if (!status)
		say_left_out(run);
	return status;
}

static int make_volumes(struct run *run)
{
	struct disk *disk = run->disks;
	char reason[512];

	for (; disk < run->disks + run->nr && run->request->create; disk++) {
		const struct lvm_plan plan = {
			.volume = disk->volume,
			.bytes = disk->bytes,
			.of = run->domain.name,
			.role = "restored",
		};

		if (lvm_create(&plan, reason, sizeof(reason))) {
			error("--create: %s/%s, for the disk %s, cannot be made: %s",
			      disk->volume.group, disk->volume.name,
			      disk->target, reason);
			return EXIT_REFUSED;
		}
		disk->is_made = true;
	}
	return EXIT_OK;
}

/* As a command of its own: `dmlive restore IMAGE DEVICE --in-place --background`. */
static int restore_disk(const struct run *run, const struct disk *disk)
{
	const char *argv[8 + VM_MAX_PASSED] = {
		"dmlive", "restore", disk->image, disk->device, "--in-place",
		"--background",
	};
	unsigned int nr = 6, i;
	int status;
	pid_t pid;

	for (i = 0; i < run->request->nr_passed; i++)
		argv[nr++] = run->request->passed[i];
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execv(SELF, (char *const *)argv);
		_exit(EXIT_ERROR);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_ERROR;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_ERROR;
}

static int restore_disks(struct run *run)
{
	struct disk *disk = run->disks;
	int status = EXIT_OK;

	for (; !status && disk < run->disks + run->nr; disk++) {
		if (got_signal) {
			error("interrupted");
			return EXIT_INCOMPLETE;
		}
		status = restore_disk(run, disk);
		/* Interrupted when it could be used, it goes on. */
		disk->has_begun = !status || status == EXIT_DETACHED;
		if (status)
			error("%s: the disk %s cannot be restored to %s, see above",
			      run->domain.name, disk->target, disk->device);
	}
	return status;
}

/* Say what has begun. Volumes whose restore has not begun are removed. */
static void give_up(struct run *run)
{
	struct disk *disk = run->disks;
	char reason[512];

	for (; disk < run->disks + run->nr; disk++) {
		if (disk->has_begun)
			warning("%s: the restore of the disk %s has begun and goes on; to give it up: dmlive detach %s --force",
				run->domain.name, disk->target, disk->device);
		else if (disk->is_made &&
			 lvm_remove(&disk->volume, reason, sizeof(reason)))
			warning("%s, which was made for the disk %s, cannot be removed: %s; to remove it: lvremove %s/%s",
				disk->device, disk->target, reason,
				disk->volume.group, disk->volume.name);
	}
}

static void report(const struct run *run)
{
	const struct restore_vm *request = run->request;
	struct json_object *object, *list, *entry;
	unsigned int i;

	if (!request->json) {
		printf("%s: all disks are usable%s%s%s; see dmlive status\n",
		       run->domain.name, request->define ? ", it is defined" : "",
		       request->xml_path ? ", its definition is in " : "",
		       request->xml_path ?: "");
		return;
	}
	object = json_new_object();
	json_add_string(object, "event", "vm");
	json_add_string(object, "domain", run->domain.name);
	json_add_string(object, "uuid", run->domain.uuid);
	json_add_string(object, "record", run->path);
	list = json_new_array();
	for (i = 0; i < run->nr; i++) {
		entry = json_new_object();
		json_add_string(entry, "target", run->disks[i].target);
		json_add_string(entry, "device", run->disks[i].device);
		json_append(list, entry);
	}
	json_add(object, "disks", list);
	json_add_bool(object, "defined", request->define);
	json_print_line(object);
}

static int define(const struct run *run)
{
	const struct restore_vm *request = run->request;
	int status = EXIT_OK;

	if (request->xml_path)
		status = record_write(request->xml_path, run->xml, true);
	if (!status && request->define)
		status = definition_make(&run->domain, request->uri, run->xml);
	if (status)
		error("%s: its disks are usable, but its definition is not where it should be; it is in the backup: %s",
		      run->domain.name, json_get_string(run->record, "xml"));
	return status;
}

static void catch_signals(void)
{
	const struct sigaction action = { .sa_handler = take_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

int restore_vm_run(const struct restore_vm *request)
{
	struct run run = { .request = request };
	int status = read_backup(&run);

	if (!status)
		status = prepare(&run);
	if (!status) {
		catch_signals();
		status = make_volumes(&run);
		if (!status)
			status = restore_disks(&run);
		if (status)
			give_up(&run);
		else
			status = define(&run);
	}
	if (!status)
		report(&run);
	free(run.xml);
	free(run.disks);
	domain_free(&run.domain);
	json_object_put(run.record);
	return status;
}
