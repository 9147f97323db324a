// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a range gets from the backing to the volume.
 *
 * It is cut into pieces: zeros, which the kernel gets as a range, and data, which are
 * read into the worker's buffer and filled. A piece that cannot be read is read again in
 * smaller parts, so that only blocks fail that really cannot be read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "restore/engine-internal.h"

/* At most so much per ZERO; less if zeroing means writing. */
#define ZERO_BYTES		(32ull << 20)
#define SLOW_ZERO_BYTES		(1ull << 20)

int transfer_map(struct engine *engine, uint64_t offset, uint64_t end,
		 uint64_t *extent_end, enum image_extent_kind *kind,
		 struct image_error *err)
{
	struct backing *backing = engine->backing;
	uint64_t length;
	int r;

	/* Zeros follow the end of the backing. */
	if (offset >= backing->bytes) {
		*extent_end = end;
		*kind = IMAGE_EXTENT_ZERO;
		return 0;
	}
	length = min_u64(end, backing->bytes) - offset;
	r = backing->ops->map(backing, offset, &length, kind, err);
	if (!r && !length)
		r = -EINVAL;
	*extent_end = offset + length;
	return r;
}

/*
 * Where the whole blocks of zeros at @start end, or, with @zeros false, the data, up to
 * the next whole block of zeros. @start: there is nothing of that kind.
 */
static int find_end(struct engine *engine, uint64_t start, uint64_t end,
		    bool zeros, uint64_t *piece_end, struct image_error *err)
{
	const uint64_t block = engine->block_bytes;
	enum image_extent_kind kind;
	uint64_t position = start;
	uint64_t extent_end;
	bool ends_data;
	int r;

	for (; position < end; position = extent_end) {
		r = transfer_map(engine, position, end, &extent_end, &kind,
				 err);
		if (r)
			return r;
		ends_data = kind == IMAGE_EXTENT_ZERO &&
			    round_up_to(position, block) + block <= extent_end;
		if (zeros ? kind != IMAGE_EXTENT_ZERO : ends_data)
			break;
	}
	if (!zeros)
		*piece_end = min_u64(round_up_to(position, block), end);
	else if (position == engine->device_bytes)
		*piece_end = position;
	else
		*piece_end = round_down_to(position, block);
	return 0;
}

static int read_backing(struct engine *engine, uint64_t start, uint64_t length,
			void *buffer, struct image_error *err)
{
	struct backing *backing = engine->backing;
	uint64_t present = 0;
	int r = 0;

	if (start < backing->bytes)
		present = min_u64(length, backing->bytes - start);
	if (present)
		r = backing->ops->read(backing, start, buffer, present, err);
	memset((char *)buffer + present, 0, length - present);
	return r;
}

static bool is_gone(struct engine *engine)
{
	return __atomic_load_n(&engine->gone, __ATOMIC_RELAXED);
}

static bool may_go_on(struct transfer *transfer)
{
	struct engine *engine = transfer->worker->engine;

	return transfer->stream ? engine_is_streaming(engine) :
				  !is_gone(engine);
}

static void say_read_failed(struct engine *engine, uint64_t start, uint64_t end,
			    int r, const struct image_error *err)
{
	if (!log_allowed(&engine->read_log))
		return;
	if (err->message[0])
		error("%s: bytes %" PRIu64 " to %" PRIu64 " cannot be read: %s",
		      engine->options.name, start, end, err->message);
	else
		error_errno(r, "%s: bytes %" PRIu64 " to %" PRIu64 " cannot be read",
			    engine->options.name, start, end);
}

/* Report to the kernel that blocks cannot be read. */
static void give_up(struct transfer *transfer, uint64_t start, uint64_t end,
		    int r, const struct image_error *err)
{
	struct engine *engine = transfer->worker->engine;
	struct channel *channel = engine->channel;

	transfer->nr_errors++;
	start = max_u64(start, transfer->answer_start);
	end = min_u64(end, transfer->answer_end);
	if (start >= end)
		return;
	say_read_failed(engine, start, end, r, err);
	r = channel->ops->fail(channel, transfer->stream, start, end - start,
			       abs(r) > 0 && abs(r) < 4096 ? abs(r) : EIO);
	engine_note(engine, r);
	if (transfer->stream)
		engine_refresh(engine);
}

/* The result of FILL or ZERO. The kernel has applied the policy already. */
static void take_result(struct transfer *transfer, uint64_t start, int r)
{
	struct engine *engine = transfer->worker->engine;

	if (!r)
		return;
	transfer->nr_errors++;
	engine_note(engine, r);
	if (is_gone(engine))
		return;
	if (log_allowed(&engine->write_log))
		error_errno(r, "%s: the volume cannot be written to at byte %" PRIu64,
			    engine->options.name, start);
	if (transfer->stream)
		engine_refresh(engine);
}

static void fill(struct transfer *transfer, uint64_t start, uint64_t length)
{
	struct worker *worker = transfer->worker;
	struct channel *channel = worker->engine->channel;

	take_result(transfer, start,
		    channel->ops->fill(channel, transfer->stream, start, length,
				       worker->buffer));
}

/* The size of the parts to read again after an error; 0: none. */
static uint64_t smaller_part(struct engine *engine, uint64_t start,
			     uint64_t end)
{
	struct image_error err = { "" };
	enum image_extent_kind kind;
	uint64_t extent_end;

	if (end - start > engine->unit_bytes)
		return engine->unit_bytes;
	if (end - start <= engine->block_bytes)
		return 0;
	/* Within a compressed cluster there is nothing to gain. */
	if (transfer_map(engine, start, end, &extent_end, &kind, &err) ||
	    (kind == IMAGE_EXTENT_COMPRESSED && extent_end >= end))
		return 0;
	return engine->block_bytes;
}

/* At most the buffer's size. Recurses to units, then to blocks. */
static void copy_data(struct transfer *transfer, uint64_t start, uint64_t end)
{
	struct engine *engine = transfer->worker->engine;
	struct image_error err = { "" };
	uint64_t part, next;
	int r;

	r = read_backing(engine, start, end - start, transfer->worker->buffer,
			 &err);
	if (!r) {
		transfer->charged_bytes += end - start;
		fill(transfer, start, end - start);
		return;
	}
	part = smaller_part(engine, start, end);
	if (!part) {
		give_up(transfer, start, end, r, &err);
		return;
	}
	for (; start < end && may_go_on(transfer); start = next) {
		next = min_u64(round_down_to(start, part) + part, end);
		copy_data(transfer, start, next);
	}
}

static void zero(struct transfer *transfer, uint64_t start, uint64_t end)
{
	struct engine *engine = transfer->worker->engine;
	struct channel *channel = engine->channel;

	if (engine->options.zeroes_are_writes)
		transfer->charged_bytes += end - start;
	take_result(transfer, start,
		    channel->ops->zero(channel, transfer->stream, start,
				       end - start));
}

/*
 * If zeros continue after the worker's claim, claim them too: a mostly empty image then
 * takes few calls.
 */
static uint64_t more_zeros(struct worker *worker, uint64_t start, uint64_t end)
{
	struct engine *engine = worker->engine;
	struct image_error err = { "" };
	uint64_t limit, zeros_end;

	if (end != worker->claim_end || engine->options.zeroes_are_writes)
		return end;
	limit = min_u64(start + ZERO_BYTES, engine->device_bytes);
	if (limit <= end || find_end(engine, end, limit, true, &zeros_end, &err) ||
	    zeros_end <= end || !claim_extend(worker, zeros_end))
		return end;
	return zeros_end;
}

/* Transfer a piece of one kind at @start. Returns its end. */
static uint64_t transfer_piece(struct transfer *transfer, uint64_t start,
			       uint64_t end)
{
	struct engine *engine = transfer->worker->engine;
	struct image_error err = { "" };
	uint64_t limit = engine->options.zeroes_are_writes ? SLOW_ZERO_BYTES :
							     ZERO_BYTES;
	uint64_t piece_end;
	int r;

	limit = max_u64(limit, engine->block_bytes);
	r = find_end(engine, start, min_u64(end, start + limit), true,
		     &piece_end, &err);
	if (!r && piece_end > start) {
		if (piece_end == end && transfer->stream)
			piece_end = more_zeros(transfer->worker, start, end);
		zero(transfer, start, piece_end);
		return piece_end;
	}
	end = min_u64(end, start + engine->buffer_bytes);
	if (!r)
		r = find_end(engine, start, end, false, &piece_end, &err);
	if (r) {
		/* The image's map is damaged: give up this unit only. */
		piece_end = min_u64(round_down_to(start, engine->unit_bytes) +
				    engine->unit_bytes, end);
		give_up(transfer, start, piece_end, r, &err);
		return piece_end;
	}
	copy_data(transfer, start, piece_end);
	return piece_end;
}

uint64_t transfer_range(struct transfer *transfer, uint64_t start,
			uint64_t end)
{
	while (start < end && may_go_on(transfer))
		start = transfer_piece(transfer, start, end);
	return start;
}
