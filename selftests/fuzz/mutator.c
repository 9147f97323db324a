// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mutations of images: half of them are libFuzzer's own, the others change one field.
 */
#include "libfuzzer.h"
#include "qcow2-mutate.h"

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size,
			       size_t max_size, unsigned int seed)
{
	uint64_t random = seed * 0x9e3779b97f4a7c15ULL + 1;
	struct qcow2_mutation mutation;

	if (seed % 2)
		return LLVMFuzzerMutate(data, size, max_size);
	qcow2_mutate(data, size, &random, &mutation);
	return mutation.bytes ? size : LLVMFuzzerMutate(data, size, max_size);
}
