// Pages and heap on the real machine's memory, until it is used up and after it is given back.
#include <array>
#include <cstring>

#include <kiln/init/application.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/mem/vector.hpp>

#include "tap.hpp"

namespace kiln {
namespace {

void pages_are_distinct_and_come_back() {
    const std::uint64_t before = mem::page_stats().free;
    std::array<PhysAddr, 64> pages{};
    for (PhysAddr& page : pages) {
        auto got = mem::allocate_page(mem::kPageZeroed);
        EXPECT(got.ok());
        if (!got.ok()) return;
        page = got.value();
    }
    for (std::size_t i = 0; i < pages.size(); i++)
        for (std::size_t j = 0; j < i; j++) EXPECT(pages[i] != pages[j]);
    EXPECT(mem::page_stats().free <= before - pages.size());
    for (const PhysAddr page : pages) mem::unref_page(page);
    EXPECT(mem::page_stats().free >= before - 1);
}

void large_blocks_are_aligned() {
    for (unsigned order = 0; order <= 6; order++) {
        auto block = mem::allocate_pages(order);
        EXPECT(block.ok());
        if (!block.ok()) continue;
        EXPECT((block.value().value & ((4096ull << order) - 1)) == 0);
        mem::free_pages(block.value(), order);
    }
}

void all_pages_can_be_taken_and_given_back() {
    const std::uint64_t before = mem::page_stats().free;
    // each page taken holds the address of the one before it
    mem::Vector<PhysAddr> taken;
    EXPECT(taken.reserve(before + 1).ok());
    std::uint64_t count = 0;
    for (;;) {
        auto page = mem::allocate_page();
        if (!page.ok()) {
            EXPECT(page.error() == Errno::kENOMEM);
            break;
        }
        if (!taken.push_back(page.value()).ok()) {
            mem::unref_page(page.value());
            break;
        }
        count++;
    }
    EXPECT(count > 0 && count <= before);
    EXPECT(!mem::allocate_pages(mem::kMaxOrder).ok());
    EXPECT(mem::allocate(1 << 20) == nullptr);
    for (const PhysAddr page : taken) mem::unref_page(page);
    taken.clear();
    auto large = mem::allocate_pages(4);
    EXPECT(large.ok());
    if (large.ok()) mem::free_pages(large.value(), 4);
}

void heap_blocks_keep_their_content() {
    struct Block {
        unsigned char* data;
        std::size_t size;
        unsigned char fill;
    };
    static std::array<Block, 300> blocks;
    std::uint32_t state = 1;
    const auto random = [&] { return state = state * 1664525 + 1013904223, state >> 8; };
    blocks.fill({nullptr, 0, 0});
    bool intact = true;
    for (int round = 0; round < 6000; round++) {
        Block& b = blocks[random() % blocks.size()];
        for (std::size_t i = 0; i < b.size; i++) intact &= b.data[i] == b.fill;
        mem::release(b.data);
        b.size = random() % (random() % 50 == 0 ? 9000 : 200);
        b.fill = static_cast<unsigned char>(random());
        b.data = static_cast<unsigned char*>(mem::allocate(b.size));
        if (!b.data) {
            intact = false;
            b.size = 0;
            break;
        }
        intact &= (reinterpret_cast<std::uintptr_t>(b.data) & 15) == 0;
        std::memset(b.data, b.fill, b.size);
    }
    EXPECT(intact);
    for (Block& b : blocks) mem::release(b.data);
}

void impossible_sizes_are_refused() {
    EXPECT(mem::allocate(static_cast<std::size_t>(-1)) == nullptr);
    EXPECT(mem::allocate(static_cast<std::size_t>(-4096)) == nullptr);
    EXPECT(mem::allocate(1ull << 40) == nullptr);
    mem::release(nullptr);
}

void reallocating_keeps_what_fits() {
    auto* p = static_cast<char*>(mem::allocate(100));
    EXPECT(p != nullptr);
    if (!p) return;
    std::memset(p, 7, 100);
    auto* q = static_cast<char*>(mem::reallocate(p, 5000));
    EXPECT(q != nullptr);
    if (!q) return;
    bool same = true;
    for (int i = 0; i < 100; i++) same &= q[i] == 7;
    EXPECT(same);
    mem::release(q);
}

}  // namespace
}  // namespace kiln

int kiln_application_main() {
    using namespace kiln;
    RUN(pages_are_distinct_and_come_back);
    RUN(large_blocks_are_aligned);
    RUN(all_pages_can_be_taken_and_given_back);
    RUN(heap_blocks_keep_their_content);
    RUN(impossible_sizes_are_refused);
    RUN(reallocating_keeps_what_fits);
    return tap::finish();
}
