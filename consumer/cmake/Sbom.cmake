# Run with -P after the program was linked: writes what it is made of as CycloneDX 1.5, in JSON.
#
#   cmake -D PROGRAM=... -D VERSION=... -D HEADERS=a.h;b.h -D OUTPUT=... -P Sbom.cmake
#
# Its components are the packages of this machine that have the shared libraries which the program
# loads, those of libraries of libraries too, and HEADERS, whose code is compiled in. Where there is no
# dpkg, the libraries themselves. Ours are not among them: the program is one file.
cmake_policy(VERSION 3.25)

file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${PROGRAM} RESOLVED_DEPENDENCIES_VAR files
	UNRESOLVED_DEPENDENCIES_VAR missing)
if(missing)
	message(FATAL_ERROR "${PROGRAM} needs libraries that are not installed: ${missing}")
endif()
list(APPEND files ${HEADERS})

# The names of packages, one dpkg-query for all files. On a merged /usr a package may know a file by
# either of two names.
find_program(DPKG_QUERY dpkg-query)
set(packages "")
if(DPKG_QUERY)
	set(names "")
	foreach(file IN LISTS files)
		file(REAL_PATH ${file} real)
		list(APPEND names ${file} ${real})
		string(REGEX REPLACE "^/usr/" "/" short "${real}")
		list(APPEND names ${short})
	endforeach()
	list(REMOVE_DUPLICATES names)
	execute_process(COMMAND ${DPKG_QUERY} -S ${names} OUTPUT_VARIABLE found ERROR_QUIET)
	string(REGEX MATCHALL "[^\n]+" lines "${found}")
	foreach(line IN LISTS lines)
		if(line MATCHES "^([a-z0-9][a-z0-9.+-]*(:[a-z0-9]+)?): ")
			list(APPEND packages ${CMAKE_MATCH_1})
		endif()
	endforeach()
	list(REMOVE_DUPLICATES packages)
endif()

set(parts "")
if(packages)
	set(distribution "")
	if(EXISTS /etc/os-release)
		file(STRINGS /etc/os-release release REGEX "^(ID|VERSION_ID)=")
		string(REGEX REPLACE "[\"']" "" release "${release}")
		if(release MATCHES "(^|;)ID=([^;]+)")
			set(distribution ${CMAKE_MATCH_2})
		endif()
		if(release MATCHES "VERSION_ID=([^;]+)")
			set(distribution_version "&distro=${distribution}-${CMAKE_MATCH_1}")
		endif()
	endif()
	execute_process(COMMAND ${DPKG_QUERY} -W -f "\${Package} \${Version} \${Architecture}\n" ${packages}
		OUTPUT_VARIABLE found COMMAND_ERROR_IS_FATAL ANY)
	string(REGEX MATCHALL "[^\n]+" lines "${found}")
	foreach(line IN LISTS lines)
		string(REPLACE " " ";" fields "${line}")
		list(GET fields 0 name)
		list(GET fields 1 version)
		list(GET fields 2 architecture)
		string(REPLACE "+" "%2B" quoted "${version}")
		string(REPLACE ":" "%3A" quoted "${quoted}")
		list(APPEND parts "${name}|${version}|pkg:deb/${distribution}/${name}@${quoted}?arch=${architecture}${distribution_version}")
	endforeach()
else()
	foreach(file IN LISTS files)
		get_filename_component(name ${file} NAME)
		list(APPEND parts "${name}||pkg:generic/${name}")
	endforeach()
endif()
list(SORT parts)

set(components "")
foreach(part IN LISTS parts)
	string(REGEX MATCH "^([^|]*)[|]([^|]*)[|](.*)$" part "${part}")
	string(APPEND components ",
    {\"type\": \"library\", \"bom-ref\": \"${CMAKE_MATCH_3}\", \"name\": \"${CMAKE_MATCH_1}\", \"version\": \"${CMAKE_MATCH_2}\", \"purl\": \"${CMAKE_MATCH_3}\"}")
endforeach()
string(SUBSTRING "${components}" 1 -1 components)

string(UUID serial NAMESPACE 6ba7b811-9dad-11d1-80b4-00c04fd430c8
	NAME "ocpp-persister@${VERSION}${components}" TYPE SHA1)
string(TIMESTAMP now "%Y-%m-%dT%H:%M:%SZ" UTC) # SOURCE_DATE_EPOCH, if it is set
file(WRITE ${OUTPUT} "{
  \"bomFormat\": \"CycloneDX\",
  \"specVersion\": \"1.5\",
  \"serialNumber\": \"urn:uuid:${serial}\",
  \"version\": 1,
  \"metadata\": {
    \"timestamp\": \"${now}\",
    \"component\": {
      \"type\": \"application\",
      \"bom-ref\": \"ocpp-persister\",
      \"name\": \"ocpp-persister\",
      \"version\": \"${VERSION}\",
      \"licenses\": [{\"license\": {\"id\": \"Apache-2.0\"}}]
    }
  },
  \"components\": [${components}
  ]
}
")
