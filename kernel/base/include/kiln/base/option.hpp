// Options of the kernel command line: each library registers its own.
#pragma once

#include <string_view>

#include <kiln/base/registry.hpp>

namespace kiln {

/// `apply` gets the text after "key=", unquoted; it lives as long as the machine. It runs early in
/// boot, before threads exist, and returns false when the value makes no sense (logged).
struct Option {
    std::string_view key;
    bool (*apply)(std::string_view value);
};

}  // namespace kiln

/// `KILN_OPTION(loglevel, "loglevel", set_level);`
#define KILN_OPTION(ident, key_text, apply_fn) \
    KILN_REGISTER(::kiln::Option, kiln_options) kiln_option_##ident { key_text, apply_fn }
