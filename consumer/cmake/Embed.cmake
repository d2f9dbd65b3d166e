# Text files (SQL, schemas) compiled in: the program stays one file, the text stays a file that
# psql or a person can read.
#
#   embed_files(TARGET name SYMBOL prefix FILES a.sql b.sql ...)
#
# generates a table  const struct embedded_file prefix_files[]  and  const size_t prefix_count,
# in the order given. See base/embedded.h.
set(EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/EmbedFiles.cmake)

function(embed_files)
	cmake_parse_arguments(ARG "" "TARGET;SYMBOL" "FILES" ${ARGN})
	set(output ${CMAKE_CURRENT_BINARY_DIR}/${ARG_SYMBOL}_files.c)
	string(REPLACE ";" "|" file_list "${ARG_FILES}")
	add_custom_command(OUTPUT ${output}
		COMMAND ${CMAKE_COMMAND} -DOUTPUT=${output} -DSYMBOL=${ARG_SYMBOL}
			"-DFILES=${file_list}" -P ${EMBED_SCRIPT}
		DEPENDS ${ARG_FILES} ${EMBED_SCRIPT}
		VERBATIM)
	target_sources(${ARG_TARGET} PRIVATE ${output})
endfunction()
