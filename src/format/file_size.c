/* SPDX-License-Identifier: Apache-2.0 */
/* How a plaintext size is stored in the length of a file, and read back. */
#include "tdefs/file_size.h"

#include <errno.h>

uint64_t file_trailer_len(uint64_t size)
{
	return size % FILE_BLOCK_LEN;
}

uint64_t file_blocks_len(uint64_t size)
{
	return (size + FILE_BLOCK_LEN - 1) / FILE_BLOCK_LEN * FILE_BLOCK_LEN;
}

uint64_t file_length_of_size(uint64_t size)
{
	return FILE_HEADER_LEN + file_blocks_len(size) + file_trailer_len(size);
}

int file_size_of_length(uint64_t length, uint64_t *ret_size)
{
	uint64_t d;

	if (length <= FILE_HEADER_LEN) {
		*ret_size = 0;
		return 0;
	}
	d = length - FILE_HEADER_LEN;
	if (d < FILE_BLOCK_LEN)
		return -EBADMSG;
	*ret_size = d % FILE_BLOCK_LEN == 0 ? d : d - FILE_BLOCK_LEN;
	return 0;
}
