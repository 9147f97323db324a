// SPDX-License-Identifier: GPL-2.0-only
/* Which format an image gets. */
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "error.h"
#include "output-format.h"

/*
 * @is_loose: people give such names to images of both formats
 */
static const struct suffix {
	const char *name;
	enum writer_format format;
	bool is_loose;
} suffixes[] = {
	{ ".qcow2", WRITER_QCOW2, false },
	{ ".qcow", WRITER_QCOW2, false },
	{ ".raw", WRITER_RAW, false },
	{ ".img", WRITER_RAW, true },
	{ "", WRITER_RAW, true },
};

/* With its dot; "" for none. A dot at the start of the name does not count. */
static const char *suffix_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	const char *dot = strrchr(name, '.');

	return dot && dot > name && strspn(name, ".") != strlen(name) ? dot :
									"";
}

static const struct suffix *find_suffix(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
		if (!strcasecmp(suffixes[i].name, name))
			return &suffixes[i];
	return NULL;
}

int output_format_choose(const char *path, const char *option, bool is_stated,
			 enum writer_format *format, struct image_error *err)
{
	const char *name = suffix_of(path);
	const struct suffix *suffix = find_suffix(name);
	struct stat st;
	bool is_device = !stat(path, &st) && S_ISBLK(st.st_mode);

	if (is_stated) {
		if (is_device || !suffix || suffix->is_loose ||
		    suffix->format == *format)
			return 0;
		return image_fail(err, -EINVAL,
				  "%s: %s %s contradicts its suffix %s; leave the option out or take another name",
				  path, option, *format == WRITER_RAW ? "raw" :
				  "qcow2", name);
	}
	if (!suffix && !is_device)
		return image_fail(err, -EINVAL,
				  "%s: the suffix %s does not say that it is to be qcow2 (.qcow2) or raw (.raw, .img or none); say it: %s qcow2 or %s raw",
				  path, name, option, option);
	*format = suffix ? suffix->format : WRITER_RAW;
	return 0;
}
