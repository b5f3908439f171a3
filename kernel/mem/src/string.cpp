#include <kiln/mem/string.hpp>

namespace kiln::mem {

Result<void> String::vappend_format(std::string_view format_text, std::span<const FormatArg> args) {
    // vformat_to() tells how much it wrote, not how much it needed: a full buffer means try a larger one.
    std::size_t room = format_text.size() + 16 * args.size() + 16;
    for (const FormatArg& arg : args) {
        if (arg.kind == FormatArg::Kind::kString) room += arg.s.size();
    }
    for (;;) {
        std::size_t total;
        if (!checked_add(size_, room, &total)) return Errno::kENOMEM;
        TRY(reserve(total));
        const std::size_t written = vformat_to({data_ + size_, room}, format_text, args);
        if (written < room) {
            size_ += written;
            data_[size_] = '\0';
            return {};
        }
        data_[size_] = '\0';
        room *= 2;
    }
}

}  // namespace kiln::mem
