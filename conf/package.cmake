# SPDX-License-Identifier: Apache-2.0
# cpack -G DEB, in a build directory: the package for this Debian. Its files are those of cmake --install,
# and the component "debian", which is nobody else's.
set(CPACK_PACKAGE_CONTACT "tdefs developers <tdefs@users.noreply.github.com>")
set(CPACK_PACKAGE_VENDOR tdefs)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};tdefs;ALL;/;${CMAKE_BINARY_DIR};tdefs;debian;/")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_SOURCE_DIR}/debian/manual.cmake)
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION 
	"A FUSE file system that keeps every byte of a directory encrypted, under a
key that is stored only wrapped by an RSA key in the owner's key vault.
The engine above it is not changed and does not know.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
foreach(script postinst prerm postrm conffiles)
	list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_SOURCE_DIR}/debian/${script})
endforeach()

# Debian's changelog: SOURCE_DATE_EPOCH is its date, where it is set.
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)
configure_file(debian/changelog.in changelog @ONLY)
execute_process(COMMAND gzip -9nf ${CMAKE_CURRENT_BINARY_DIR}/changelog)

set(CMAKE_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
	OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(only_debian COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/changelog.gz debian/copyright
	DESTINATION ${CMAKE_INSTALL_DOCDIR} ${only_debian})
install(FILES debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME tdefs
	${only_debian})
install(DIRECTORY DESTINATION /etc/tdefs ${only_debian}
	DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE)
install(FILES tdefs.conf DESTINATION /etc/tdefs ${only_debian}
	PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ)
install(FILES apparmor/usr.sbin.tdefs apparmor/usr.sbin.tdefs-vault DESTINATION /etc/apparmor.d ${only_debian})
install(DIRECTORY DESTINATION /var/lib/tdefs ${only_debian}
	DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
install(DIRECTORY DESTINATION /var/log/tdefs ${only_debian}
	DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE)
include(CPack)
