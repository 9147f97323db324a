// SPDX-License-Identifier: GPL-2.0-only
/*
 * The XML of virtual machines: which disks can be backed up, a new source of a disk, and
 * definitions that libvirt would not print.
 */
#include <stdbool.h>
#include <string.h>

#include "unit.h"
#include "vm/domain.h"

#define UUID "11111111-2222-3333-4444-555555555555"
#define HEAD "<domain id='7'><name>vm</name><uuid>" UUID "</uuid><devices>"
#define TAIL "</devices></domain>"
#define TARGET "<target dev='vda'/>"
#define BLOCK "<disk type='block'><source dev='/dev/v'/>" TARGET

#define DOCTYPE(definition) "<!DOCTYPE domain " definition ">"
#define ENTITY "<domain><name>&a;</name><uuid>" UUID "</uuid></domain>"

static void check_disk(const char *xml, const char *reason, bool fails)
{
	struct domain domain;
	const char *why;
	bool failed;

	assert_int_equal(domain_parse(xml, "test", &domain), 0);
	assert_int_equal(domain.nr_disks, 1);
	why = domain_disk_check(&domain.disks[0], &failed);
	if (!reason)
		assert_null(why);
	else
		assert_non_null(why ? strstr(why, reason) : NULL);
	assert_int_equal(failed, fails);
	domain_free(&domain);
}

static void test_disks(void **state)
{
	(void)state;
	check_disk(HEAD BLOCK "</disk>" TAIL, NULL, false);
	check_disk(HEAD BLOCK "<driver type='raw'/></disk>" TAIL, NULL, false);
	check_disk(HEAD BLOCK "<driver type='qcow2'/></disk>" TAIL, "'qcow2'",
		   true);
	check_disk(HEAD BLOCK "<readonly/></disk>" TAIL, "read-only", true);
	check_disk(HEAD BLOCK "<shareable/></disk>" TAIL, "shared", true);
	check_disk(HEAD BLOCK "<transient/></disk>" TAIL, "transient", true);
	check_disk(HEAD "<disk type='block'>" TARGET "</disk>" TAIL,
		   "no source", true);
	check_disk(HEAD "<disk type='block'><source dev=''/>" TARGET "</disk>" TAIL,
		   "no source", true);
	check_disk(HEAD "<disk type='file'>" TARGET "<readonly/></disk>" TAIL,
		   "empty", false);
	check_disk(HEAD "<disk type='file'><source file='/x'/>" TARGET "</disk>" TAIL,
		   "'file' (/x)", true);
	check_disk(HEAD "<disk><source file='/x'/>" TARGET "</disk>" TAIL,
		   "'file' (/x)", true);
	check_disk(HEAD "<disk type='network'><source protocol='rbd' name='p/i'/>"
		   TARGET "</disk>" TAIL, "'network' (p/i)", true);
	check_disk(HEAD "<disk type='file' device='cdrom'><source file='/x'/>"
		   TARGET "</disk>" TAIL, "cdrom", false);
	check_disk(HEAD "<disk type='file' device='floppy'>" TARGET "</disk>" TAIL,
		   "floppy", false);
	check_disk(HEAD "<disk type='block' device='lun'><source dev='/dev/v'/>"
		   TARGET "</disk>" TAIL, "'lun'", true);
}

static void refuse(const char *xml)
{
	struct domain domain;

	assert_int_not_equal(domain_parse(xml, "test", &domain), 0);
	domain_free(&domain);
}

static void test_hostile(void **state)
{
	(void)state;
	refuse("");
	refuse("no XML");
	refuse(HEAD);
	refuse("<network>" TAIL);
	refuse("<network><name>x</name></network>");
	refuse("<domain/>");
	refuse("<domain><name>vm</name></domain>");
	refuse("<domain><name/><uuid>" UUID "</uuid></domain>");
	refuse("<domain><name>x</name><uuid>../../../../../../../../../../../tmp</uuid></domain>");
	refuse(HEAD "<disk/>" TAIL);
	refuse(HEAD "<disk><target/></disk>" TAIL);
	refuse(HEAD "<disk><target dev=''/></disk>" TAIL);
	refuse(HEAD "<disk><target dev='../x'/></disk>" TAIL);
	refuse(HEAD "<disk><target dev='-x'/></disk>" TAIL);
	refuse(HEAD "<disk><target dev='abcdefghijklmnopqrstuvwxyzabcdefg'/></disk>" TAIL);
	refuse(HEAD BLOCK "</disk>" BLOCK "</disk>" TAIL);
	refuse(DOCTYPE("[<!ENTITY a SYSTEM 'file:///etc/passwd'>]") ENTITY);
	refuse(DOCTYPE("[<!ENTITY b 'bb'><!ENTITY a '&b;&b;'>]") ENTITY);
	refuse(DOCTYPE("SYSTEM 'http://example.org/x.dtd'") HEAD TAIL);
}

/* @depth elements, one in the other. */
static char *nested(unsigned int depth)
{
	char *text = calloc(depth * 7 + sizeof(HEAD TAIL), 1), *at = text;
	unsigned int i;

	at = stpcpy(at, HEAD);
	for (i = 0; i < depth; i++)
		at = stpcpy(at, "<a>");
	for (i = 0; i < depth; i++)
		at = stpcpy(at, "</a>");
	strcpy(at, TAIL);
	return text;
}

static void test_depth(void **state)
{
	struct domain domain;
	char *text = nested(100);

	(void)state;
	assert_int_equal(domain_parse(text, "test", &domain), 0);
	domain_free(&domain);
	free(text);
	text = nested(100000);
	refuse(text);
	free(text);
}

static void test_source(void **state)
{
	struct domain domain, again;
	char *text;

	(void)state;
	assert_int_equal(domain_parse(HEAD BLOCK "</disk><disk><target dev='vdb'/></disk>"
				      TAIL, "test", &domain), 0);
	assert_true(domain.runs);
	assert_string_equal(domain.name, "vm");
	assert_string_equal(domain.uuid, UUID);
	assert_int_equal(domain_set_source(&domain, "vda", "/dev/a&b'<\""), 0);
	assert_int_not_equal(domain_set_source(&domain, "vdb", "/dev/x"), 0);
	assert_int_not_equal(domain_set_source(&domain, "vdc", "/dev/x"), 0);
	text = domain_print(&domain);
	assert_non_null(text);
	assert_int_equal(domain_parse(text, "test", &again), 0);
	assert_string_equal(domain_find(&again, "vda")->source, "/dev/a&b'<\"");
	assert_null(domain_find(&again, "vdb")->source);
	assert_null(domain_find(&again, "vdc"));
	domain_free(&again);
	domain_free(&domain);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_source),
	};

#ifndef DMLIVE_LIBXML2
	puts("1..0 # SKIP built without libxml2");
	return 4;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
