#include <kiln/loader/script.hpp>

namespace kiln::loader {
namespace {

constexpr std::string_view kBlanks = " \t";

std::string_view trim(std::string_view s) {
    const std::size_t first = s.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return {s.data() + first, s.find_last_not_of(kBlanks) - first + 1};
}

}  // namespace

bool is_script(std::span<const std::byte> head) {
    return head.size() >= 2 && head[0] == std::byte{'#'} && head[1] == std::byte{'!'};
}

Result<ScriptLine> parse_script_line(std::span<const std::byte> head) {
    if (!is_script(head)) return Errno::kENOEXEC;
    const bool at_limit = head.size() >= kScriptLineMax;
    std::string_view text(reinterpret_cast<const char*>(head.data()),
                          at_limit ? kScriptLineMax : head.size());
    const std::size_t nul = text.find('\0');
    if (nul != std::string_view::npos) text = {text.data(), nul};
    text.remove_prefix(2);
    const std::size_t end = text.find('\n');
    const bool whole = end != std::string_view::npos || !at_limit;
    const std::string_view line =
        trim(end == std::string_view::npos ? text : std::string_view(text.data(), end));
    if (line.empty()) return Errno::kENOEXEC;
    const std::size_t blank = line.find_first_of(kBlanks);
    // The argument may be cut off, as on Linux; the interpreter's name may not.
    if (blank == std::string_view::npos) {
        if (!whole) return Errno::kENOEXEC;
        return ScriptLine{line, {}};
    }
    return ScriptLine{{line.data(), blank}, trim({line.data() + blank, line.size() - blank})};
}

}  // namespace kiln::loader
