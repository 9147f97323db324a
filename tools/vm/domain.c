// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XML of a domain. Nothing is loaded from elsewhere and no entity is replaced: a
 * document type, which libvirt never prints, is refused.
 */
#include <stdlib.h>
#include <string.h>

#include "base/exit.h"
#include "base/log.h"
#include "vm/domain.h"

struct domain_disk *domain_find(const struct domain *domain, const char *target)
{
	unsigned int i;

	for (i = 0; i < domain->nr_disks; i++)
		if (!strcmp(domain->disks[i].target, target))
			return &domain->disks[i];
	return NULL;
}

#ifdef DMLIVE_LIBXML2

#include <dlfcn.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

/*
 * The library is loaded when it is needed. It and what it brings have 35 MiB, which every
 * process that serves a disk would lock in memory.
 */
static struct {
	__typeof__(xmlReadMemory) *read_memory;
	__typeof__(xmlDocGetRootElement) *root_element;
	__typeof__(xmlGetNoNsProp) *get_attribute;
	__typeof__(xmlSetProp) *set_attribute;
	__typeof__(xmlNodeGetContent) *get_content;
	__typeof__(xmlDocDumpMemory) *dump;
	__typeof__(xmlFreeDoc) *free_document;
	xmlFreeFunc *free;
} xml;

static bool load_library(const char *from)
{
	void *library = dlopen(DMLIVE_LIBXML2, RTLD_NOW | RTLD_LOCAL);

	if (library) {
		xml.read_memory = dlsym(library, "xmlReadMemory");
		xml.root_element = dlsym(library, "xmlDocGetRootElement");
		xml.get_attribute = dlsym(library, "xmlGetNoNsProp");
		xml.set_attribute = dlsym(library, "xmlSetProp");
		xml.get_content = dlsym(library, "xmlNodeGetContent");
		xml.dump = dlsym(library, "xmlDocDumpMemory");
		xml.free_document = dlsym(library, "xmlFreeDoc");
		xml.free = dlsym(library, "xmlFree");
	}
	if (xml.read_memory && xml.root_element && xml.get_attribute &&
	    xml.set_attribute && xml.get_content && xml.dump &&
	    xml.free_document && xml.free)
		return true;
	error("%s: the XML of virtual machines cannot be read without libxml2: %s; install it",
	      from, dlerror() ?: DMLIVE_LIBXML2);
	return false;
}

/* More than libvirt allows. */
#define MAX_DISKS 4096
#define MAX_NAME_BYTES 1024

static bool is_called(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE &&
	       !strcmp((const char *)node->name, name);
}

static xmlNode *child(const xmlNode *node, const char *name)
{
	xmlNode *at;

	for (at = node->children; at && !is_called(at, name); at = at->next)
		;
	return at;
}

/* To be freed. NULL: there is none. */
static char *attribute(const xmlNode *node, const char *name)
{
	xmlChar *value = xml.get_attribute((xmlNode *)node,
					(const xmlChar *)name);
	char *copy = value ? strdup((char *)value) : NULL;

	(*xml.free)(value);
	return copy;
}

static char *attribute_or(const xmlNode *node, const char *name,
			  const char *otherwise)
{
	char *value = attribute(node, name);

	return value ? value : strdup(otherwise);
}

/* The text of a child, to be freed. */
static char *text_of(const xmlNode *node, const char *name)
{
	xmlNode *found = child(node, name);
	xmlChar *value = found ? xml.get_content(found) : NULL;
	char *copy = value ? strdup((char *)value) : NULL;

	(*xml.free)(value);
	return copy;
}

/* Attributes of <source>, of which each type has one. */
static char *find_source(const xmlNode *disk)
{
	static const char *const names[] = { "dev", "file", "dir", "volume",
					     "name", "path" };
	const xmlNode *source = child(disk, "source");
	char *found = NULL;
	size_t i;

	for (i = 0; source && !found && i < sizeof(names) / sizeof(names[0]); i++)
		found = attribute(source, names[i]);
	if (found && !found[0]) {
		free(found);
		found = NULL;
	}
	return found;
}

static bool is_good_target(const char *target)
{
	const char *at;

	for (at = target; *at; at++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", *at))
			return false;
	return target[0] && target[0] != '-' && at - target < 32;
}

static int take_disk(struct domain *domain, const xmlNode *node,
		     const char *from)
{
	struct domain_disk *disk = &domain->disks[domain->nr_disks];
	const xmlNode *target = child(node, "target");
	const xmlNode *driver = child(node, "driver");

	disk->target = target ? attribute(target, "dev") : NULL;
	if (!disk->target || !is_good_target(disk->target)) {
		error("%s: a disk has no usable name (<target dev='...'>)%s%s",
		      from, disk->target ? ": " : "", disk->target ?: "");
		free(disk->target);
		return EXIT_ERROR;
	}
	if (domain_find(domain, disk->target)) {
		error("%s: two disks are called %s", from, disk->target);
		free(disk->target);
		return EXIT_ERROR;
	}
	domain->nr_disks++;
	disk->device = attribute_or(node, "device", "disk");
	disk->type = attribute_or(node, "type", "file");
	disk->source = find_source(node);
	disk->format = driver ? attribute(driver, "type") : NULL;
	disk->readonly = child(node, "readonly");
	disk->shareable = child(node, "shareable");
	disk->transient = child(node, "transient");
	if (disk->device && disk->type)
		return EXIT_OK;
	error("out of memory");
	return EXIT_ERROR;
}

static unsigned int count(const xmlNode *node, const char *name)
{
	unsigned int nr = 0;

	for (node = node->children; node; node = node->next)
		nr += is_called(node, name);
	return nr;
}

static int take_disks(struct domain *domain, const xmlNode *devices,
		      const char *from)
{
	unsigned int nr = count(devices, "disk");
	int status = EXIT_OK;
	xmlNode *node;

	if (nr > MAX_DISKS) {
		error("%s: %u disks, at most %u are possible", from, nr,
		      MAX_DISKS);
		return EXIT_ERROR;
	}
	domain->disks = calloc(nr + 1, sizeof(*domain->disks));
	if (!domain->disks) {
		error("out of memory");
		return EXIT_ERROR;
	}
	for (node = devices->children; node && !status; node = node->next)
		if (is_called(node, "disk"))
			status = take_disk(domain, node, from);
	return status;
}

static bool is_good_uuid(const char *uuid)
{
	return strlen(uuid) == 36 &&
	       strspn(uuid, "0123456789abcdefABCDEF-") == 36;
}

static int take_domain(struct domain *domain, const xmlNode *root,
		       const char *from)
{
	const xmlNode *devices = child(root, "devices");
	char *id = attribute(root, "id");

	domain->runs = id;
	free(id);
	domain->name = text_of(root, "name");
	domain->uuid = text_of(root, "uuid");
	if (!domain->name || !domain->name[0] ||
	    strlen(domain->name) > MAX_NAME_BYTES || !domain->uuid ||
	    !is_good_uuid(domain->uuid)) {
		error("%s: a domain without a usable name and UUID", from);
		return EXIT_ERROR;
	}
	return devices ? take_disks(domain, devices, from) : EXIT_OK;
}

int domain_parse(const char *text, const char *from, struct domain *domain)
{
	xmlDoc *document;
	xmlNode *root;

	memset(domain, 0, sizeof(*domain));
	if (!load_library(from))
		return EXIT_ERROR;
	document = xml.read_memory(text, strlen(text), NULL, NULL,
				 XML_PARSE_NONET | XML_PARSE_NOERROR |
				 XML_PARSE_NOWARNING);
	domain->document = document;
	root = document ? xml.root_element(document) : NULL;
	if (!root || document->intSubset || !is_called(root, "domain")) {
		error("%s is not the XML of a libvirt domain%s", from,
		      !document ? ": it cannot be parsed" :
		      document->intSubset ? ": it has a document type" : "");
		return EXIT_ERROR;
	}
	return take_domain(domain, root, from);
}

void domain_free(struct domain *domain)
{
	struct domain_disk *disk = domain->disks;

	for (; disk < domain->disks + domain->nr_disks; disk++) {
		free(disk->target);
		free(disk->device);
		free(disk->type);
		free(disk->source);
		free(disk->format);
	}
	free(domain->disks);
	free(domain->name);
	free(domain->uuid);
	if (domain->document)
		xml.free_document(domain->document);
	memset(domain, 0, sizeof(*domain));
}

static bool is_disk(const xmlNode *node, const char *target)
{
	const xmlNode *found = is_called(node, "disk") ?
			       child(node, "target") : NULL;
	char *name = found ? attribute(found, "dev") : NULL;
	bool same = name && !strcmp(name, target);

	free(name);
	return same;
}

int domain_set_source(struct domain *domain, const char *target,
		      const char *path)
{
	xmlNode *root = xml.root_element(domain->document);
	xmlNode *node = child(root, "devices"), *source;

	for (node = node ? node->children : NULL; node; node = node->next)
		if (is_disk(node, target))
			break;
	source = node ? child(node, "source") : NULL;
	if (source && xml.set_attribute(source, (const xmlChar *)"dev",
					(const xmlChar *)path))
		return EXIT_OK;
	error("%s: the disk %s has no source that could be changed",
	      domain->name, target);
	return EXIT_ERROR;
}

char *domain_print(const struct domain *domain)
{
	xmlChar *text = NULL;
	char *copy;
	int bytes;

	xml.dump(domain->document, &text, &bytes);
	copy = text ? strdup((char *)text) : NULL;
	(*xml.free)(text);
	if (!copy)
		error("out of memory");
	return copy;
}

#else /* DMLIVE_LIBXML2 */

int domain_parse(const char *text, const char *from, struct domain *domain)
{
	(void)text;
	memset(domain, 0, sizeof(*domain));
	error("%s: this dmlive was built without libxml2, so it cannot read the XML of virtual machines; build it where libxml2-dev is installed",
	      from);
	return EXIT_ERROR;
}

void domain_free(struct domain *domain)
{
	(void)domain;
}

int domain_set_source(struct domain *domain, const char *target,
		      const char *path)
{
	(void)domain;
	(void)target;
	(void)path;
	return EXIT_ERROR;
}

char *domain_print(const struct domain *domain)
{
	(void)domain;
	return NULL;
}

#endif /* DMLIVE_LIBXML2 */
