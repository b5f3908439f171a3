// Any bytes as an EROFS image: walk what can be reached, reading every byte that is claimed to be there.
#include <cstdlib>

#include <kiln/fs/erofs_format.hpp>

using namespace kiln;
using namespace kiln::fs;

namespace {

void visit(const ErofsImage& image, std::uint64_t nid, int depth) {
    auto info = image.inode(nid);
    if (!info.ok()) return;
    unsigned sum = 0;
    for (std::uint64_t offset = 0; offset < info->size && offset < 1 << 20;) {
        const auto part = image.data(*info, offset);
        if (part.empty()) std::abort();
        sum += static_cast<unsigned>(part.front()) + static_cast<unsigned>(part.back());
        offset += part.size();
    }
    asm volatile("" ::"r"(sum));
    if ((info->mode & 0170000) != 0040000 || depth == 0) return;
    std::uint64_t position = 0;
    for (int n = 0; n < 64; ++n) {
        auto entry = image.entry_at(*info, &position);
        if (!entry.ok()) break;
        (void)image.find(*info, entry->name).ok();
        visit(image, entry->nid, depth - 1);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const char* reason = nullptr;
    auto image = ErofsImage::open({reinterpret_cast<const std::byte*>(data), size}, &reason);
    if (image.ok()) visit(*image, image->root_nid(), 3);
    return 0;
}
