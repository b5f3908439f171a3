#include <kiln/init/command_line.hpp>

namespace kiln::init {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n'; }

}  // namespace

bool WordReader::next(std::string_view* word) {
    while (at_ < buffer_.size() && is_blank(buffer_[at_])) ++at_;
    if (at_ == buffer_.size()) return false;
    const std::size_t begin = at_;
    std::size_t end = at_;  // where the next unquoted character goes; never ahead of at_
    bool quoted = false;
    while (at_ < buffer_.size() && (quoted || !is_blank(buffer_[at_]))) {
        char c = buffer_[at_++];
        if (c == '"') {
            quoted = !quoted;
            continue;
        }
        if (c == '\\' && at_ < buffer_.size()) c = buffer_[at_++];
        buffer_[end++] = c;
    }
    *word = {&buffer_[begin], end - begin};
    return true;
}

}  // namespace kiln::init
