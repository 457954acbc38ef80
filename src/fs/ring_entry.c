/* SPDX-License-Identifier: Apache-2.0 */
/* See the header. */
#include "ring_entry.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * The kernel asks for the next request of a node (RELEASE, after READ) when it has the answer to
 * the one before. ThreadSanitizer knows of no order between threads that io_uring makes; over
 * /dev/fuse it takes each read(2) to come after each write(2). Here it is told, node by node.
 */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

static uint64_t nodes[1024];

static void comes_after_answers(uint64_t node)
{
	__tsan_acquire(&nodes[node % 1024]);
}

static void comes_before_requests(uint64_t node)
{
	__tsan_release(&nodes[node % 1024]);
}

/* Nor does it see liburing's mmap(2) and munmap(2): a new ring may be where one has been. */
static char mappings;

static void comes_after_unmapping(void)
{
	__tsan_acquire(&mappings);
}

static void comes_before_unmapping(void)
{
	__tsan_release(&mappings);
}
#else
static void comes_after_answers(uint64_t node)
{
	(void)node;
}

static void comes_before_requests(uint64_t node)
{
	(void)node;
}

static void comes_after_unmapping(void)
{
}

static void comes_before_unmapping(void)
{
}
#endif

/* A page for the header, one for what precedes the payload, and the payload. */
#define PAGE	   ((size_t)4096)
#define MEMORY_LEN (2 * PAGE + RING_PAYLOAD)

const unsigned ring_entry_flags =
	IORING_SETUP_SQE128 | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;

static int map_buffers(struct ring_entry *e)
{
	void *memory =
		mmap(NULL, MEMORY_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return -errno;
	e->memory = memory;
	e->header = memory;
	e->buffers[0] = (struct iovec){ e->header, sizeof(*e->header) };
	e->buffers[1] = (struct iovec){ e->memory + 2 * PAGE, RING_PAYLOAD };
	return 0;
}

int ring_entry_open(struct ring_entry *e, uint16_t queue)
{
	int r;

	*e = (struct ring_entry){ .queue = queue };
	r = map_buffers(e);
	if (r == 0)
		r = io_uring_queue_init(1, &e->uring, ring_entry_flags);
	comes_after_unmapping();
	if (r < 0) {
		e->uring.ring_fd = -1;
		ring_entry_close(e);
	}
	return r;
}

void ring_entry_close(struct ring_entry *e)
{
	if (!e->memory)
		return;
	comes_before_unmapping();
	if (e->uring.ring_fd >= 0)
		io_uring_queue_exit(&e->uring);
	explicit_bzero(e->memory, MEMORY_LEN);
	munmap(e->memory, MEMORY_LEN);
	e->memory = NULL;
}

/* One command at a time is under way: there is room for it when the last has ended. */
static int prepare(struct ring_entry *e, enum ring_command command)
{
	const struct ring_command_data data = { .commit_id = e->commit_id, .queue = e->queue };
	struct io_uring_sqe *sqe = io_uring_get_sqe(&e->uring);

	if (!sqe)
		return -EBUSY;
	memset(sqe, 0, 2 * sizeof(*sqe)); /* a large one is two */
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = e->device_fd;
	sqe->cmd_op = command;
	sqe->addr = (uint64_t)(uintptr_t)e->buffers;
	sqe->len = 2;
	memcpy(sqe->cmd, &data, sizeof(data));
	return 0;
}

static int submit(struct ring_entry *e, unsigned wait_for)
{
	int r;

	do
		r = io_uring_submit_and_wait(&e->uring, wait_for);
	while (r == -EINTR || r == -EAGAIN);
	return r < 0 ? r : 0;
}

/* The result of the command that is under way, if it has ended. Asks the memory, not the kernel. */
static bool has_ended(struct ring_entry *e, int *ret_result)
{
	struct io_uring_cqe *cqe;

	if (io_uring_cq_ready(&e->uring) == 0 || io_uring_peek_cqe(&e->uring, &cqe) < 0)
		return false;
	*ret_result = cqe->res;
	return true;
}

int ring_entry_register(struct ring_entry *e, int device_fd)
{
	int result, r;

	e->device_fd = device_fd;
	r = prepare(e, RING_REGISTER);
	if (r == 0)
		r = submit(e, 0);
	if (r == 0 && has_ended(e, &result)) /* refused, or a request already */
		r = result;
	return r;
}

/* Put headers and payload together, for libfuse, without moving the payload. */
static int assemble(struct ring_entry *e)
{
	uint8_t *payload = e->buffers[1].iov_base;
	struct fuse_in_header in;
	size_t operation_len;

	memcpy(&in, e->header->in_out, sizeof(in));
	if (in.len < sizeof(in) + e->header->payload_len || e->header->payload_len > RING_PAYLOAD)
		return -EPROTO;
	operation_len = in.len - sizeof(in) - e->header->payload_len;
	if (operation_len > RING_OPERATION_MAX)
		return -EPROTO;
	e->request = payload - operation_len - sizeof(in);
	e->request_len = in.len;
	e->commit_id = e->header->commit_id;
	comes_after_answers(in.nodeid);
	memcpy(e->request, &in, sizeof(in));
	memcpy(e->request + sizeof(in), e->header->operation, operation_len);
	return 0;
}

/* What the kernel has copied out of the payload; a request that came since has taken its place. */
static void wipe_answer(struct ring_entry *e, size_t len)
{
	uint8_t *payload = e->buffers[1].iov_base;
	size_t kept = 0;
	int result;

	if (has_ended(e, &result) && result == 0)
		kept = e->header->payload_len;
	if (kept < len)
		explicit_bzero(payload + kept, len - kept);
}

int ring_entry_wait(struct ring_entry *e)
{
	int result;

	while (!has_ended(e, &result)) {
		int r = submit(e, 1);

		if (r < 0)
			return r;
	}
	io_uring_cq_advance(&e->uring, 1);
	return result < 0 ? result : assemble(e);
}

bool ring_entry_expects(const struct ring_entry *e, const struct iovec *answer)
{
	struct fuse_out_header out;

	memcpy(&out, answer[0].iov_base, sizeof(out));
	return e->commit_id && out.unique == e->commit_id;
}

/* The parts behind the header, into the payload; what does not fit was not asked for. */
static ssize_t copy_answer(struct ring_entry *e, const struct iovec *answer, int count)
{
	uint8_t *payload = e->buffers[1].iov_base;
	size_t len = 0;

	for (int i = 1; i < count; i++) {
		if (answer[i].iov_len > RING_PAYLOAD - len)
			return -EMSGSIZE;
		memcpy(payload + len, answer[i].iov_base, answer[i].iov_len);
		len += answer[i].iov_len;
	}
	return (ssize_t)len;
}

ssize_t ring_entry_answer(struct ring_entry *e, const struct iovec *answer, int count)
{
	struct fuse_in_header in;
	struct fuse_out_header out;
	ssize_t len;
	int r;

	memcpy(&in, e->header->in_out, sizeof(in));
	memcpy(&out, answer[0].iov_base, sizeof(out));
	explicit_bzero(e->request, e->request_len);
	len = copy_answer(e, answer, count);
	if (len < 0) {
		out.error = -EIO;
		len = 0;
	}
	memcpy(e->header->in_out, &out, sizeof(out));
	e->header->payload_len = (uint32_t)len;
	comes_before_requests(in.nodeid);
	r = prepare(e, RING_COMMIT_AND_FETCH);
	e->commit_id = 0;
	if (r == 0 && in.opcode == FUSE_READ) {
		r = submit(e, 0);
		wipe_answer(e, (size_t)len);
	}
	errno = -r;
	return r < 0 ? -1 : (ssize_t)sizeof(out) + len;
}
