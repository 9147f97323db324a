// SPDX-License-Identifier: GPL-2.0-only
/* Defining a restored virtual machine. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/exit.h"
#include "base/log.h"
#include "vm/domain.h"
#include "vm/restore-vm.h"
#include "vm/virsh.h"

#define LIMIT_MS 30000

static int ask(const char *uri, const char *const *arguments, char **output)
{
	const struct virsh virsh = { .uri = uri, .limit_ms = LIMIT_MS };
	char reason[VIRSH_REASON_BYTES];

	if (!virsh_run(&virsh, arguments, output, reason))
		return EXIT_OK;
	error("virsh %s: %s", arguments[0], reason);
	return EXIT_ERROR;
}

static int find(const char *uri, const char *what, const char *wanted,
		bool *found)
{
	char reason[VIRSH_REASON_BYTES];
	int r = virsh_list_has(uri, NULL, what, wanted, reason);

	*found = r > 0;
	if (r >= 0)
		return EXIT_OK;
	error("virsh list: %s", reason);
	return EXIT_ERROR;
}

/* A disk of the one that is defined, which the new definition would replace. */
static int check_disk(const struct domain *domain,
		      const struct domain_disk *old)
{
	const struct domain_disk *new = domain_find(domain, old->target);

	if (!old->source || (new && new->source &&
			     !strcmp(new->source, old->source)))
		return EXIT_OK;
	error("--define: %s is defined already, and its disk %s is %s, not %s; rename it or remove its definition (virsh domrename, virsh undefine), or leave out --define and use --xml FILE",
	      domain->name, old->target, old->source,
	      new && new->source ? new->source : "there");
	return EXIT_REFUSED;
}

static int check_old(const struct domain *domain, const char *uri)
{
	const char *const arguments[] = { "dumpxml", domain->uuid, NULL };
	struct domain old = { 0 };
	unsigned int i;
	char *text;
	int status = ask(uri, arguments, &text);

	if (status)
		return status;
	status = domain_parse(text, domain->uuid, &old);
	free(text);
	if (!status && old.runs) {
		error("--define: %s, which has the same UUID, runs; shut it down first: virsh shutdown %s",
		      old.name, old.name);
		status = EXIT_REFUSED;
	}
	for (i = 0; !status && i < old.nr_disks; i++)
		status = check_disk(domain, &old.disks[i]);
	domain_free(&old);
	return status;
}

int definition_check(const struct domain *domain, const char *uri)
{
	bool same, called;
	int status = virsh_check_local(uri);

	if (!status)
		status = find(uri, "--uuid", domain->uuid, &same);
	if (!status && same)
		return check_old(domain, uri);
	if (!status)
		status = find(uri, "--name", domain->name, &called);
	if (status || !called)
		return status;
	error("--define: another virtual machine is called %s; rename it (virsh domrename), or leave out --define and use --xml FILE",
	      domain->name);
	return EXIT_REFUSED;
}

int definition_check_saved(const struct domain *domain, const char *uri,
			   bool must_know)
{
	char reason[VIRSH_REASON_BYTES];
	int r = virsh_list_has(uri, "--with-managed-save", "--uuid",
			       domain->uuid, reason);

	if (!r || (r == -ENOENT && !must_know))
		return EXIT_OK;
	if (r > 0) {
		error("%s has a managed save image: virsh start would resume the old memory over the restored disks; remove it first: virsh managedsave-remove %s",
		      domain->name, domain->uuid);
		return EXIT_REFUSED;
	}
	if (!must_know) {
		warning("%s: whether it has a managed save image, which must not be resumed over the restored disks, is not known: %s",
			domain->name, reason);
		return EXIT_OK;
	}
	error("virsh list: %s", reason);
	return EXIT_ERROR;
}

int definition_make(const struct domain *domain, const char *uri,
		    const char *xml)
{
	char path[] = "/tmp/dmlive-define-XXXXXX";
	const char *const arguments[] = { "define", path, NULL };
	int fd = mkstemp(path), status = EXIT_ERROR;

	if (fd < 0) {
		error("%s: no temporary file: %m", domain->name);
		return EXIT_ERROR;
	}
	if (write(fd, xml, strlen(xml)) == (ssize_t)strlen(xml))
		status = ask(uri, arguments, NULL);
	else
		error("%s: %m", path);
	close(fd);
	unlink(path);
	return status;
}
