// Registration by linker section: an element is declared where it belongs, nobody edits a list. The
// section has a C identifier as its name, so the linker makes __start_/__stop_ symbols for it; kernel.ld
// keeps all sections named kiln_*.
#pragma once

#include <span>

/// Begins the definition of an element of the registry `section`:
/// `KILN_REGISTER(Option, kiln_options) x{…};`. The alignment is stated because the compiler would
/// raise that of larger objects, which tears holes into the array.
#define KILN_REGISTER(Type, section_name) \
    [[gnu::used, gnu::section(#section_name)]] alignas(Type) constinit const Type

/// Declares the bounds of a registry, at namespace scope; the section may be empty.
#define KILN_REGISTRY(Type, section_name)                                                   \
    extern "C" {                                                                            \
    extern const Type __start_##section_name[] __attribute__((weak, visibility("hidden"))); \
    extern const Type __stop_##section_name[] __attribute__((weak, visibility("hidden")));  \
    }                                                                                       \
    static_assert(true)

/// All elements, as a std::span<const Type>.
#define KILN_REGISTRY_ELEMENTS(section_name) \
    (std::span(__start_##section_name, __stop_##section_name))
