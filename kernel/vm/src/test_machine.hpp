// The machine of vm's unit tests: 64 MiB of RAM, one thread, software page tables.
#pragma once

#include <gtest/gtest.h>

#include <kiln/arch/host.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/plat/host.hpp>
#include <kiln/sched/thread.hpp>
#include <kiln/time/clock.hpp>
#include <kiln/vm/address_space.hpp>

namespace kiln::vm {

class VmTest : public testing::Test {
protected:
    VmTest() {
        static const bool started = [] {
            host::set_boot_info();
            mem::init();
            time::init();
            sched::init();
            init();
            // Makes the kernel's own tables, which stay.
            (void)AddressSpace::create().value();
            return true;
        }();
        EXPECT_TRUE(started);
        free_at_start_ = mem::page_stats().free;
    }
    ~VmTest() override { mem::inject_allocation_failures(0); }
    /// All pages that the test took are back.
    void expect_nothing_lost() { EXPECT_EQ(mem::page_stats().free, free_at_start_); }

    std::uint64_t free_at_start_ = 0;
};

/// An object in one run of physical memory, as the files of the boot image are.
class ContiguousObject : public MemoryObject {
public:
    explicit ContiguousObject(std::uint64_t pages)
        : order_(static_cast<unsigned>(std::bit_width(pages - 1))) {
        block_ = mem::allocate_pages(order_).value();
        size_ = pages * kPageSize;
    }
    ~ContiguousObject() override { mem::free_pages(block_, order_); }
    Result<ObjectPage> get_page(std::uint64_t index, hal::Access access) override {
        if (index >= page_up(size_) / kPageSize) return Errno::kENXIO;
        if (access == hal::Access::kWrite) return Errno::kEROFS;
        mem::ref_page(block_);
        return ObjectPage{.page = block_ + index * kPageSize, .writable = false};
    }
    std::uint64_t size() const override { return size_; }
    bool contiguous(PhysAddr* base) const override {
        *base = block_;
        return true;
    }
    std::byte* bytes() { return static_cast<std::byte*>(hal::phys_to_virt(block_)); }
    std::uint64_t size_;

private:
    unsigned order_;
    PhysAddr block_;
};

}  // namespace kiln::vm
