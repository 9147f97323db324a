// SPDX-License-Identifier: GPL-2.0-only
/*
 * Backups of virtual machines. The disks are those that the guest has now; the definition
 * that is kept is the persistent one, which a restored machine is to have. Disks that are in
 * only one of the two would be missing after the restore, so they are refused.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "vm/agent.h"
#include "vm/backup-vm.h"
#include "vm/virsh.h"

#define DUMP_MS 30000

static int find_folder(struct backup_vm *vm)
{
	char *whole = realpath(vm->folder, NULL);
	struct stat st;

	if (!whole || stat(whole, &st)) {
		error_errno(errno, "%s", vm->folder);
		free(whole);
		return EXIT_ERROR;
	}
	if (!S_ISDIR(st.st_mode)) {
		error("%s is not a folder; the files of a virtual machine need one",
		      vm->folder);
		free(whole);
		return EXIT_USAGE;
	}
	vm->folder = whole;
	return EXIT_OK;
}

/* @option: NULL, or of virsh dumpxml. @text: if not NULL, gets the XML, to be freed. */
static int dump(const struct backup_vm *vm, const char *option,
		struct domain *domain, char **text)
{
	const char *const arguments[] = { "dumpxml", vm->domain, option, NULL };
	const struct virsh virsh = { .uri = vm->uri, .limit_ms = DUMP_MS };
	char reason[VIRSH_REASON_BYTES], *xml;
	int status;

	if (virsh_run(&virsh, arguments, &xml, reason)) {
		error("%s: libvirt does not give its definition: %s",
		      vm->domain, reason);
		return EXIT_ERROR;
	}
	status = domain_parse(xml, vm->domain, domain);
	if (!status && text)
		*text = xml;
	else
		free(xml);
	return status;
}

/* virsh takes a number for an ID first, and only then for a name. */
static int check_id(const struct backup_vm *vm)
{
	char reason[VIRSH_REASON_BYTES];
	int r;

	if (!strcmp(vm->domain, vm->live.name) ||
	    !strcasecmp(vm->domain, vm->live.uuid))
		return EXIT_OK;
	r = virsh_list_has(vm->uri, NULL, "--name", vm->domain, reason);
	if (!r)
		return EXIT_OK;
	if (r < 0) {
		error("%s: libvirt does not say whether another virtual machine is called so: %s",
		      vm->domain, reason);
		return EXIT_ERROR;
	}
	error("--vm %s: this is the ID of %s (UUID %s), and the name of another virtual machine; give the UUID of the one that is meant: virsh list --all --name --uuid",
	      vm->domain, vm->live.name, vm->live.uuid);
	return EXIT_REFUSED;
}

static bool is_excluded(const struct backup_vm *vm, const char *target)
{
	unsigned int i;

	for (i = 0; i < vm->nr_excluded; i++)
		if (!strcmp(vm->excluded[i], target))
			return true;
	return false;
}

static int check_excluded(const struct backup_vm *vm)
{
	unsigned int i;

	for (i = 0; i < vm->nr_excluded; i++) {
		if (domain_find(&vm->live, vm->excluded[i]) ||
		    domain_find(&vm->kept, vm->excluded[i]))
			continue;
		error("--exclude-disk %s: %s has no such disk", vm->excluded[i],
		      vm->live.name);
		return EXIT_USAGE;
	}
	return EXIT_OK;
}

static void leave_out(struct backup_vm *vm, const char *target, const char *why)
{
	struct json_object *object = json_new_object();

	json_add_string(object, "target", target);
	json_add_string(object, "reason", why);
	json_append(vm->left_out, object);
	if (!vm->request->json)
		printf("%s: %s is left out: %s\n", vm->live.name, target, why);
}

static int refuse(const struct backup_vm *vm, const char *target,
		  const char *why)
{
	error("%s: the disk %s cannot be backed up: %s; to leave it out: --exclude-disk %s",
	      vm->live.name, target, why, target);
	return EXIT_REFUSED;
}

static char *make_path(const struct backup_vm *vm, const char *target,
		       const char *suffix)
{
	char *path;

	if (asprintf(&path, "%s/%s-%s%s%s%s", vm->folder, vm->name,
		     target ? target : "", target ? "-" : "", vm->time,
		     suffix) < 0) {
		error("out of memory");
		return NULL;
	}
	return path;
}

static int add_pair(struct backup_vm *vm, const struct domain_disk *disk)
{
	struct backup_request *request = vm->request;
	char *output = make_path(vm, disk->target, ".qcow2");

	if (!output)
		return EXIT_ERROR;
	if (request->nr_pairs == BACKUP_MAX_VOLUMES) {
		error("%s: at most %d disks are possible; leave some out: --exclude-disk %s",
		      vm->live.name, BACKUP_MAX_VOLUMES, disk->target);
		free(output);
		return EXIT_REFUSED;
	}
	vm->disks[request->nr_pairs] = disk->target;
	request->pairs[request->nr_pairs++] = (struct backup_pair){
		.name = disk->source,
		.output = output,
	};
	if (!request->json)
		printf("%s: %s is %s\n", vm->live.name, disk->target,
		       disk->source);
	return EXIT_OK;
}

static int take_disk(struct backup_vm *vm, const struct domain_disk *disk)
{
	const struct domain_disk *kept = domain_find(&vm->kept, disk->target);
	const char *why;
	bool fails;

	if (is_excluded(vm, disk->target)) {
		leave_out(vm, disk->target, "--exclude-disk");
		return EXIT_OK;
	}
	why = domain_disk_check(disk, &fails);
	if (why && !fails) {
		leave_out(vm, disk->target, why);
		return EXIT_OK;
	}
	if (why)
		return refuse(vm, disk->target, why);
	if (disk->source[0] != '/')
		return refuse(vm, disk->target, "its source is not a path");
	if (!kept || strcmp(kept->type, "block") || !kept->source)
		return refuse(vm, disk->target,
			      "the guest has it now, but the persistent definition has no such disk");
	return add_pair(vm, disk);
}

/* Disks of the persistent definition that the guest does not have now. */
static int check_kept(struct backup_vm *vm, const struct domain_disk *disk)
{
	bool fails;

	if (domain_find(&vm->live, disk->target))
		return EXIT_OK;
	if (is_excluded(vm, disk->target)) {
		leave_out(vm, disk->target, "--exclude-disk");
		return EXIT_OK;
	}
	if (domain_disk_check(disk, &fails) && !fails)
		return EXIT_OK;
	return refuse(vm, disk->target,
		      "the persistent definition has it, but the guest does not have it now");
}

static int choose_disks(struct backup_vm *vm)
{
	int status = check_excluded(vm);
	unsigned int i;

	vm->left_out = json_new_array();
	for (i = 0; !status && i < vm->live.nr_disks; i++)
		status = take_disk(vm, &vm->live.disks[i]);
	for (i = 0; !status && i < vm->kept.nr_disks; i++)
		status = check_kept(vm, &vm->kept.disks[i]);
	if (!status && !vm->request->nr_pairs) {
		error("%s has no disk that can be backed up", vm->live.name);
		status = EXIT_REFUSED;
	}
	return status;
}

static const char *consistency(const struct backup_vm *vm)
{
	return !vm->live.runs && !vm->is_saved ? "off" :
	       agent_froze(vm->agent) ? "agent" : "crash";
}

static struct json_object *make_disks(const struct backup_vm *vm,
				      const unsigned long long *bytes)
{
	struct json_object *list = json_new_array(), *object;
	const struct backup_pair *pair = vm->request->pairs;
	unsigned int i;

	for (i = 0; i < vm->request->nr_pairs; i++, pair++) {
		object = json_new_object();
		json_add_string(object, "target", vm->disks[i]);
		json_add_string(object, "source", pair->name);
		json_add_string(object, "image", strrchr(pair->output, '/') + 1);
		json_add_number(object, "size_bytes", bytes[i]);
		json_append(list, object);
	}
	return list;
}

static void report(const struct backup_vm *vm, struct json_object *record,
		   const char *path)
{
	if (!vm->request->json)
		return;
	json_add_string(record, "event", "vm");
	json_add_string(record, "record", path);
	json_print_line(json_object_get(record));
}

static int complete(void *context, const unsigned long long *bytes)
{
	struct backup_vm *vm = context;
	struct json_object *record = json_new_object();
	char *path = make_path(vm, NULL, ".json");
	int status = EXIT_ERROR;
	const char *text;

	json_add_string(record, "format", RECORD_FORMAT);
	json_add_number(record, "version", 1);
	json_add_string(record, "domain", vm->live.name);
	json_add_string(record, "uuid", vm->live.uuid);
	json_add_string(record, "time", vm->time);
	json_add_string(record, "consistency", consistency(vm));
	json_add_string(record, "xml", strrchr(vm->xml_path, '/') + 1);
	json_add(record, "disks", make_disks(vm, bytes));
	json_add(record, "left_out", json_object_get(vm->left_out));
	text = json_object_to_json_string_ext(record, JSON_C_TO_STRING_PRETTY);
	if (path && text)
		status = record_write(path, text, true);
	if (status)
		error("%s: the images are complete, but which files belong together is not on record: make another backup",
		      vm->live.name);
	else
		report(vm, record, path);
	json_object_put(record);
	if (status)
		free(path);
	else
		vm->record_path = path;
	return status;
}

static int freeze(void *context, unsigned int limit_s,
		  bool (*may_go_on)(void *argument), void *argument)
{
	const struct backup_vm *vm = context;

	return agent_freeze(vm->agent, limit_s, may_go_on, argument);
}

static void thaw(void *context, bool abandoned)
{
	const struct backup_vm *vm = context;

	agent_thaw(vm->agent, abandoned);
}

/*
 * A machine that virsh managedsave has ended is not running, but its disks are as in the
 * middle of its work. They can be used as after a power cut, so they are backed up.
 */
static int check_saved(struct backup_vm *vm)
{
	char reason[VIRSH_REASON_BYTES];
	int r;

	if (vm->live.runs)
		return EXIT_OK;
	r = virsh_list_has(vm->uri, "--with-managed-save", "--uuid",
			   vm->live.uuid, reason);
	if (r < 0) {
		error("%s: libvirt does not say whether it has a managed save image: %s",
		      vm->live.name, reason);
		return EXIT_ERROR;
	}
	vm->is_saved = r;
	if (vm->is_saved)
		warning("%s: it is not shut off, but has a managed save image: its disks are backed up as after a power cut, without its memory",
			vm->live.name);
	return EXIT_OK;
}

static int prepare(struct backup_vm *vm, const char *xml)
{
	int status;

	time_stamp(vm->time);
	vm->name = record_name(vm->live.name);
	if (!vm->name) {
		error("out of memory");
		return EXIT_ERROR;
	}
	status = choose_disks(vm);
	if (!status)
		status = check_saved(vm);
	if (status)
		return status;
	vm->agent = agent_open(vm->live.uuid, vm->live.name, vm->uri,
			       vm->live.runs && !vm->no_agent);
	vm->xml_path = vm->agent ? make_path(vm, NULL, ".xml") : NULL;
	if (!vm->xml_path)
		return EXIT_ERROR;
	status = record_write(vm->xml_path, xml, true);
	if (status) {
		/* It is not this backup's. */
		free(vm->xml_path);
		vm->xml_path = NULL;
	}
	return status;
}

int backup_vm_open(struct backup_vm *vm, struct backup_request *request)
{
	char *xml = NULL;
	int status;

	vm->request = request;
	vm->guest = (struct backup_guest){
		.freeze = freeze,
		.thaw = thaw,
		.complete = complete,
		.context = vm,
	};
	status = find_folder(vm);
	if (!status)
		status = virsh_check_local(vm->uri);
	if (!status)
		status = dump(vm, NULL, &vm->live, NULL);
	if (!status)
		status = check_id(vm);
	if (!status)
		status = dump(vm, "--inactive", &vm->kept, &xml);
	if (!status && strcmp(vm->live.uuid, vm->kept.uuid)) {
		error("%s names another virtual machine than just now; try again",
		      vm->domain);
		status = EXIT_ERROR;
	}
	if (!status)
		status = prepare(vm, xml);
	free(xml);
	request->guest = &vm->guest;
	return status;
}

void backup_vm_close(struct backup_vm *vm)
{
	if (vm->xml_path && !vm->record_path)
		unlink(vm->xml_path);
	/* Not beside the progress line. */
	if (vm->record_path && !vm->request->json)
		printf("%s: the backup is recorded in %s (%s)\n", vm->live.name,
		       vm->record_path,
		       !strcmp(consistency(vm), "off") ? "it was off" :
		       agent_froze(vm->agent) ? "frozen by its agent" :
		       "as after a power cut");
	agent_close(vm->agent);
	json_object_put(vm->left_out);
	domain_free(&vm->live);
	domain_free(&vm->kept);
	free(vm->xml_path);
	free(vm->record_path);
	free(vm->name);
}
