# Run with -P by embed_files(): writes the table of file names and contents as C.
string(REPLACE "|" ";" FILES "${FILES}")
set(arrays "")
set(rows "")
set(number 0)
foreach(file IN LISTS FILES)
	file(READ ${file} hex HEX)
	string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
	get_filename_component(name ${file} NAME)
	string(APPEND arrays "static const unsigned char file_${number}[] = {${bytes}0};\n")
	string(APPEND rows
		"\t{\"${name}\", (const char *)file_${number}, sizeof(file_${number}) - 1},\n")
	math(EXPR number "${number} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"base/embedded.h\"\n\n${arrays}
extern const struct embedded_file ${SYMBOL}_files[];
extern const size_t ${SYMBOL}_count;
const struct embedded_file ${SYMBOL}_files[] = {\n${rows}};
const size_t ${SYMBOL}_count = sizeof(${SYMBOL}_files) / sizeof(${SYMBOL}_files[0]);\n")
