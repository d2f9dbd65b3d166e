# Flags for our own code, as one target to link: nothing is set globally.
add_library(compiler INTERFACE)
target_compile_definitions(compiler INTERFACE _GNU_SOURCE
	$<$<BOOL:${FAILPOINTS}>:FAILPOINTS>
	OCPP_PERSISTER_VERSION="${PROJECT_VERSION}")
target_compile_options(compiler INTERFACE
	-include ${PROJECT_SOURCE_DIR}/consumer/base/banned.h
	-Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
	-Wcast-qual -Wwrite-strings -Wvla -Wnull-dereference -Wformat=2 -Wundef
	-Wswitch-enum -Wimplicit-fallthrough
	# Texts for people are cut to their buffers on purpose: no -Wformat-truncation.
	$<$<C_COMPILER_ID:GNU>:-Wduplicated-cond;-Wlogical-op;-Wno-format-truncation>
	$<$<BOOL:${WERROR}>:-Werror>
	-fno-omit-frame-pointer)

# What only some compilers and libraries have.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
check_c_compiler_flag("-fcf-protection -Werror" HAVE_CF_PROTECTION)
set(CMAKE_REQUIRED_FLAGS "-O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3")
check_c_source_compiles("#include <features.h>
	#if __USE_FORTIFY_LEVEL < 3
	#error not here
	#endif
	int main(void) { return 0; }" HAVE_FORTIFY_3)
unset(CMAKE_REQUIRED_FLAGS)

if(SANITIZE)
	target_compile_options(compiler INTERFACE -fsanitize=${SANITIZE} -O1
		$<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-null-dereference>
		-fno-sanitize-recover=all)
	target_link_options(compiler INTERFACE -fsanitize=${SANITIZE})
elseif(COVERAGE)
	target_compile_options(compiler INTERFACE --coverage)
	target_link_options(compiler INTERFACE --coverage)
else()
	target_compile_options(compiler INTERFACE -U_FORTIFY_SOURCE
		-D_FORTIFY_SOURCE=$<IF:$<BOOL:${HAVE_FORTIFY_3}>,3,2>
		$<$<BOOL:${HAVE_CF_PROTECTION}>:-fcf-protection>
		-fstack-protector-strong -fstack-clash-protection
		$<$<NOT:$<BOOL:$<TARGET_PROPERTY:POSITION_INDEPENDENT_CODE>>>:-fPIE>)
	target_link_options(compiler INTERFACE -Wl,-z,relro -Wl,-z,now
		$<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()
