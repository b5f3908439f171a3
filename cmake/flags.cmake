# Compiler flags, in four sets: kernel code in the guest, kernel code on the host, its tests, and (CMake's own) the tools.
set(KILN_WARNINGS -Wall -Wextra -Werror -Wshadow -Wundef -Wvla -Wpointer-arith)
set(KILN_CXX_WARNINGS -Wnon-virtual-dtor -Woverloaded-virtual)

# Casts between the kernel's and the application's views of the same bytes are a kernel's daily work, and address 0
# is an address like another before paging is set up.
set(KILN_DIALECT -fno-exceptions -fno-rtti -fno-strict-aliasing -fno-delete-null-pointer-checks)

if(KILN_TARGET STREQUAL "guest")
  include(arch_${KILN_ARCH})
  set(KILN_ARCH_INCLUDE ${CMAKE_SOURCE_DIR}/kernel/arch/${KILN_ARCH}/include)
  set(KILN_KERNEL_FLAGS
    ${KILN_WARNINGS} ${KILN_ARCH_FLAGS}
    -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-common
    -fno-asynchronous-unwind-tables -fno-unwind-tables -ffunction-sections -fdata-sections -g)
  set(KILN_KERNEL_CXX_FLAGS ${KILN_CXX_WARNINGS} ${KILN_DIALECT} -fno-threadsafe-statics -fno-use-cxa-atexit)
  # With less inlined, GCC 12 takes the value of a failed Result for one that is used; HOT sources keep the warning.
  set(KILN_COLD_FLAGS -Os -Wno-maybe-uninitialized)
  set(KILN_HOT_FLAGS -O2 -finline-limit=600 -Wmaybe-uninitialized)
  if(CONFIG_OPTIMIZE_SIZE)
    list(APPEND KILN_KERNEL_FLAGS ${KILN_COLD_FLAGS})
  else()
    # An image's size counts, too: -O2 with functions inlined only where that makes code hardly larger, and not padded,
    # is a fifth smaller than plain -O2. kiln_library() says which sources are HOT or COLD.
    list(APPEND KILN_KERNEL_FLAGS
      -O2 -finline-limit=40 -falign-functions=1 -falign-jumps=1 -falign-loops=1 -Wno-maybe-uninitialized)
  endif()
  if(CONFIG_FRAME_POINTER)
    list(APPEND KILN_KERNEL_FLAGS -fno-omit-frame-pointer)
  endif()
  if(CONFIG_UBSAN)
    list(APPEND KILN_KERNEL_CXX_FLAGS -fsanitize=undefined -fno-sanitize=vptr -Wno-maybe-uninitialized)
  endif()
  set(KILN_KERNEL_LINK_FLAGS
    ${KILN_ARCH_LINK_FLAGS} -nostdlib -static -no-pie -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,max-page-size=4096
    -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,--fatal-warnings -Wl,--orphan-handling=error)
else()
  # The stand-in's folder first; what it lacks (TrapFrame) is the guest's own, so that code that reads registers is tested as it is.
  set(KILN_ARCH_INCLUDE ${CMAKE_SOURCE_DIR}/kernel/arch/host/include ${CMAKE_SOURCE_DIR}/kernel/arch/${KILN_ARCH}/include)
  set(KILN_SANITIZE -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
  if(KILN_TARGET STREQUAL "fuzz")
    if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
      message(FATAL_ERROR "libFuzzer comes with clang: configure with -DCMAKE_CXX_COMPILER=clang++ (make fuzz does)")
    endif()
    list(APPEND KILN_SANITIZE -fsanitize=fuzzer-no-link)
  endif()
  set(KILN_KERNEL_FLAGS ${KILN_WARNINGS} ${KILN_SANITIZE} -fno-omit-frame-pointer -O1 -g)
  set(KILN_KERNEL_CXX_FLAGS ${KILN_CXX_WARNINGS} ${KILN_DIALECT})
  # No RTTI in tests either: a test's class may derive from an interface of the kernel, which has none.
  set(KILN_TEST_FLAGS ${KILN_WARNINGS} ${KILN_SANITIZE} -fno-omit-frame-pointer -O1 -g -fno-rtti)
endif()
