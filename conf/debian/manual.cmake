# SPDX-License-Identifier: Apache-2.0
# Debian's pages of the manual are compressed; a name for another's page leads to what that is called then.
file(GLOB pages ${CPACK_TEMPORARY_DIRECTORY}/usr/share/man/man*/*)
foreach(page ${pages})
	if(IS_SYMLINK ${page})
		file(READ_SYMLINK ${page} target)
		file(CREATE_LINK ${target}.gz ${page}.gz SYMBOLIC)
		file(REMOVE ${page})
	else()
		execute_process(COMMAND gzip -9n ${page} COMMAND_ERROR_IS_FATAL ANY)
	endif()
endforeach()
