// What -fsanitize=undefined calls (gcc/ubsan.cc, libsanitizer/ubsan/ubsan_handlers.h): each violation ends the machine.
#include <cstdint>
#include <string_view>

#include <kiln/base/format.hpp>

namespace {

struct SourceLocation {
    const char* file;
    std::uint32_t line;
    std::uint32_t column;
};

[[noreturn]] void report(const void* data, std::string_view what) {
    // Each handler's data begins with the place.
    const auto* at = static_cast<const SourceLocation*>(data);
    kiln::panicf("undefined behaviour: {} at {}:{}:{}", what, std::string_view(at->file), at->line,
                 at->column);
}

struct TypeMismatch {
    SourceLocation at;
    const void* type;
    unsigned char log_alignment;
    unsigned char kind;
};

}  // namespace

extern "C" {

void __ubsan_handle_type_mismatch_v1(const TypeMismatch* data, std::uintptr_t pointer) {
    const std::uintptr_t alignment = std::uintptr_t{1} << data->log_alignment;
    report(data, pointer == 0                       ? "null pointer"
                 : (pointer & (alignment - 1)) != 0 ? "misaligned pointer"
                                                    : "pointer to an object that is too small");
}
void __ubsan_handle_add_overflow(const void* data, std::uintptr_t, std::uintptr_t) {
    report(data, "signed addition overflows");
}
void __ubsan_handle_sub_overflow(const void* data, std::uintptr_t, std::uintptr_t) {
    report(data, "signed subtraction overflows");
}
void __ubsan_handle_mul_overflow(const void* data, std::uintptr_t, std::uintptr_t) {
    report(data, "signed multiplication overflows");
}
void __ubsan_handle_negate_overflow(const void* data, std::uintptr_t) {
    report(data, "negation overflows");
}
void __ubsan_handle_divrem_overflow(const void* data, std::uintptr_t, std::uintptr_t) {
    report(data, "division by zero or overflow");
}
void __ubsan_handle_shift_out_of_bounds(const void* data, std::uintptr_t, std::uintptr_t) {
    report(data, "shift out of bounds");
}
void __ubsan_handle_out_of_bounds(const void* data, std::uintptr_t) {
    report(data, "index out of bounds");
}
void __ubsan_handle_builtin_unreachable(const void* data) {
    report(data, "unreachable code reached");
}
void __ubsan_handle_missing_return(const void* data) {
    report(data, "function ends without a return");
}
void __ubsan_handle_vla_bound_not_positive(const void* data, std::uintptr_t) {
    report(data, "array bound not positive");
}
void __ubsan_handle_load_invalid_value(const void* data, std::uintptr_t) {
    report(data, "value not of its type");
}
void __ubsan_handle_pointer_overflow(const void* data, std::uintptr_t, std::uintptr_t) {
    report(data, "pointer arithmetic overflows");
}
void __ubsan_handle_nonnull_arg(const void* data) {
    report(data, "null passed as argument that must not be");
}
void __ubsan_handle_nonnull_return_v1(const void*, const void* at) {
    report(at, "null returned where it must not be");
}
void __ubsan_handle_invalid_builtin(const void* data) {
    report(data, "invalid argument of a builtin");
}
void __ubsan_handle_alignment_assumption(const void* data, std::uintptr_t, std::uintptr_t,
                                         std::uintptr_t) {
    report(data, "alignment assumption is wrong");
}

}  // extern "C"
