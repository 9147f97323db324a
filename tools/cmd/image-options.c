// SPDX-License-Identifier: GPL-2.0-only
/* Options of commands that write an image, see image-options.h. */
#include "base/log.h"
#include "base/options.h"
#include "base/size.h"
#include "cmd/image-options.h"

#define MAX_CLUSTER_BYTES (2u << 20)

bool option_cluster_size(const char *min, struct writer_options *options)
{
	uint64_t bytes, min_bytes = 0;

	size_parse(min, &min_bytes);
	if (!option_size("--cluster-size", optarg, &bytes))
		return false;
	if (bytes < min_bytes || bytes > MAX_CLUSTER_BYTES ||
	    bytes & (bytes - 1)) {
		error("--cluster-size %s: must be a power of two from %s to 2M",
		      optarg, min);
		return false;
	}
	options->cluster_bytes = bytes;
	return true;
}

bool option_compression(struct writer_options *options)
{
	if (!writer_parse_compression(optarg, options))
		return true;
	error("--compression %s: must be none, zlib, zlib:1 to zlib:9, zstd, or zstd:1 to zstd:22",
	      optarg);
	return false;
}

bool option_format(const char *option, struct writer_options *options)
{
	if (!writer_parse_format(optarg, options))
		return true;
	error("%s %s: must be qcow2 or raw", option, optarg);
	return false;
}
