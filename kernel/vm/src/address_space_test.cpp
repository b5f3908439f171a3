#include <cstring>
#include <vector>

#include <kiln/vm/address_space.hpp>
#include <kiln/vm/anonymous_object.hpp>

#include "test_machine.hpp"

namespace kiln::vm {
namespace {

constexpr std::uint32_t kRw = kProtRead | kProtWrite;
constexpr std::uintptr_t kAt = 0x40000000;

class AddressSpaceTest : public VmTest {
protected:
    AddressSpaceTest() { space_ = AddressSpace::create().value(); }

    MapRequest fixed(std::uintptr_t at, std::uint64_t pages, std::uint32_t prot = kRw) {
        MapRequest request;
        request.address = {at};
        request.length = pages * kPageSize;
        request.prot = prot;
        request.placement = Placement::kFixedReplace;
        return request;
    }
    Errno map(const MapRequest& request) { return space_->map(request).error(); }

    /// What an access of the application does: 0 or the signal.
    int access(std::uintptr_t at, hal::Access kind) {
        const std::uint32_t right = kind == hal::Access::kWrite     ? hal::kMapWrite
                                    : kind == hal::Access::kExecute ? hal::kMapExecute
                                                                    : hal::kMapRead;
        for (int tries = 0; tries < 4; tries++) {
            hal::PageEntry entry;
            if (hal::query_page(space_->page_table_root(), {page_down(at)}, &entry) &&
                (entry.flags & right))
                return 0;
            if (!space_->handle_fault({at}, kind, &failure_)) return failure_.signal;
        }
        ADD_FAILURE() << "fault at " << at << " does not end";
        return -1;
    }
    int write(std::uintptr_t at, char value) {
        if (const int signal = access(at, hal::Access::kWrite)) return signal;
        *byte(at) = value;
        return 0;
    }
    /// The byte, or -signal.
    int read(std::uintptr_t at) {
        if (const int signal = access(at, hal::Access::kRead)) return -signal;
        return *byte(at);
    }
    char* byte(std::uintptr_t at) {
        hal::PageEntry entry;
        EXPECT_TRUE(hal::query_page(space_->page_table_root(), {page_down(at)}, &entry));
        return static_cast<char*>(hal::phys_to_virt(entry.page)) + at % kPageSize;
    }
    bool is_mapped(std::uintptr_t at) {
        hal::PageEntry entry;
        return hal::query_page(space_->page_table_root(), {page_down(at)}, &entry);
    }
    std::vector<MappingInfo> mappings() {
        std::vector<MappingInfo> all;
        space_->for_each_mapping(
            [](const MappingInfo& info, void* cookie) {
                static_cast<std::vector<MappingInfo>*>(cookie)->push_back(info);
                return true;
            },
            &all);
        return all;
    }
    void finish() {
        space_ = nullptr;
        expect_nothing_lost();
    }

    Ref<AddressSpace> space_;
    FaultFailure failure_{};
};

constexpr int kSegv = 11;
constexpr int kBus = 7;
constexpr int kKill = 9;

TEST_F(AddressSpaceTest, AnonymousPagesAreZeroAndKeepWhatIsWritten) {
    ASSERT_EQ(map(fixed(kAt, 4)), Errno::kOk);
    EXPECT_EQ(read(kAt), 0);
    EXPECT_EQ(space_->stats().resident_pages, 0u) << "only the zero page so far";
    EXPECT_EQ(write(kAt, 'a'), 0);
    EXPECT_EQ(write(kAt + kPageSize, 'b'), 0);
    EXPECT_EQ(read(kAt), 'a');
    EXPECT_EQ(read(kAt + kPageSize), 'b');
    EXPECT_EQ(space_->stats().resident_pages, 2u);
    EXPECT_EQ(read(kAt + 4 * kPageSize), -kSegv);
    EXPECT_EQ(failure_.si_code, 1);
    EXPECT_EQ(space_->stats().mapped_bytes, 4 * kPageSize);
    ASSERT_TRUE(space_->unmap({kAt}, kPageSize).ok());
    EXPECT_EQ(read(kAt), -kSegv);
    EXPECT_EQ(space_->stats().resident_pages, 1u);
    EXPECT_EQ(space_->stats().peak_resident_pages, 2u);
    finish();
}

TEST_F(AddressSpaceTest, RightsAreKept) {
    ASSERT_EQ(map(fixed(kAt, 3)), Errno::kOk);
    EXPECT_EQ(write(kAt, 'a'), 0);
    ASSERT_TRUE(space_->protect({kAt}, kPageSize, kProtRead).ok());
    EXPECT_EQ(write(kAt, 'b'), kSegv);
    EXPECT_EQ(failure_.si_code, 2);
    EXPECT_EQ(read(kAt), 'a');
    EXPECT_EQ(access(kAt, hal::Access::kExecute), kSegv);
    ASSERT_TRUE(space_->protect({kAt}, kPageSize, kProtNone).ok());
    EXPECT_EQ(read(kAt), -kSegv);
    EXPECT_EQ(mappings().size(), 2u);
    ASSERT_TRUE(space_->protect({kAt}, kPageSize, kRw).ok());
    EXPECT_EQ(mappings().size(), 1u) << "merged again";
    EXPECT_EQ(write(kAt + 1, 'c'), 0);
    EXPECT_EQ(read(kAt), 'a');
    EXPECT_EQ(space_->stats().resident_pages, 1u);
    finish();
}

TEST_F(AddressSpaceTest, ErrorsOfMmapFamily) {
    MapRequest request = fixed(kAt, 1);
    request.length = 0;
    EXPECT_EQ(map(request), Errno::kEINVAL);
    request = fixed(kAt + 1, 1);
    EXPECT_EQ(map(request), Errno::kEINVAL);
    request = fixed(0, 1);
    EXPECT_EQ(map(request), Errno::kEPERM);
    request = fixed(hal::kUserEnd, 1);
    EXPECT_EQ(map(request), Errno::kENOMEM);
    request = fixed(kAt, 1);
    request.length = UINT64_MAX;
    EXPECT_EQ(map(request), Errno::kENOMEM);
    request = fixed(kAt, 1);
    request.offset = UINT64_MAX - kPageSize + 1;
    EXPECT_EQ(map(request), Errno::kEOVERFLOW);
    ASSERT_EQ(map(fixed(kAt, 4)), Errno::kOk);
    request = fixed(kAt + 3 * kPageSize, 2);
    request.placement = Placement::kFixedNoReplace;
    EXPECT_EQ(map(request), Errno::kEEXIST);

    EXPECT_EQ(space_->unmap({kAt + 1}, 1).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->unmap({kAt}, 0).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->unmap({kAt}, hal::kUserEnd).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->unmap({kAt + 1_GiB}, kPageSize).error(), Errno::kOk);

    EXPECT_EQ(space_->protect({kAt + 1}, 1, kRw).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->protect({kAt}, 0, kRw).error(), Errno::kOk);
    EXPECT_EQ(space_->protect({kAt}, UINT64_MAX, kRw).error(), Errno::kENOMEM);
    EXPECT_EQ(space_->protect({kAt}, kPageSize, 8).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->protect({kAt}, 5 * kPageSize, kProtRead).error(), Errno::kENOMEM);
    EXPECT_EQ(write(kAt, 'x'), kSegv) << "the mapped part was changed";
    request = fixed(kAt, 1, kProtRead);
    request.max_prot = kProtRead;
    ASSERT_EQ(map(request), Errno::kOk);
    EXPECT_EQ(space_->protect({kAt}, kPageSize, kRw).error(), Errno::kEACCES);

    const auto remap = [&](std::uintptr_t from, std::uint64_t old_length, std::uint64_t new_length,
                           std::uint32_t flags, std::uintptr_t to = 0) {
        return space_->remap({from}, old_length, new_length, flags, {to}).error();
    };
    EXPECT_EQ(remap(kAt + 1, 1, 1, 0), Errno::kEINVAL);
    EXPECT_EQ(remap(kAt, 1, 0, 0), Errno::kEINVAL);
    EXPECT_EQ(remap(kAt, 1, 1, 8), Errno::kEINVAL);
    EXPECT_EQ(remap(kAt, 1, 1, 2, kAt + 1_GiB), Errno::kEINVAL);
    EXPECT_EQ(remap(kAt, 1, 1, 3, kAt + 1), Errno::kEINVAL);
    EXPECT_EQ(remap(kAt, 2 * kPageSize, kPageSize, 3, kAt + kPageSize), Errno::kEINVAL);
    EXPECT_EQ(remap(kAt + 1_GiB, kPageSize, kPageSize, 0), Errno::kEFAULT);
    EXPECT_EQ(remap(kAt, 9 * kPageSize, 10 * kPageSize, 1), Errno::kEFAULT);
    EXPECT_EQ(remap(kAt, 0, kPageSize, 1), Errno::kEINVAL);
    EXPECT_EQ(remap(kAt, kPageSize, 2 * kPageSize, 0), Errno::kENOMEM);

    EXPECT_EQ(space_->advise({kAt}, kPageSize, 999).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->advise({kAt + 1}, kPageSize, 4).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->advise({kAt}, UINT64_MAX, 4).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->advise({kAt}, 0, 4).error(), Errno::kOk);
    EXPECT_EQ(space_->advise({kAt}, 100 * kPageSize, 4).error(), Errno::kENOMEM);
    EXPECT_EQ(space_->advise({kAt}, kPageSize, 23).error(), Errno::kEINVAL)
        << "POPULATE_WRITE of read-only memory";
    EXPECT_EQ(space_->sync({kAt}, kPageSize, 5).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->sync({kAt + 1_GiB}, kPageSize, 4).error(), Errno::kENOMEM);
    std::uint8_t vec[8];
    EXPECT_EQ(space_->resident({kAt + 1}, 1, vec).error(), Errno::kEINVAL);
    EXPECT_EQ(space_->resident({kAt}, 5 * kPageSize, vec).error(), Errno::kENOMEM);
    finish();
}

TEST_F(AddressSpaceTest, LimitsAreKept) {
    space_->set_limits({.address_space = 10 * kPageSize, .data = 6 * kPageSize, .stack = 8_MiB});
    EXPECT_EQ(map(fixed(kAt, 7)), Errno::kENOMEM) << "RLIMIT_DATA";
    EXPECT_EQ(map(fixed(kAt, 6)), Errno::kOk);
    EXPECT_EQ(map(fixed(kAt + 1_MiB, 1)), Errno::kENOMEM);
    EXPECT_EQ(map(fixed(kAt + 1_MiB, 4, kProtRead)), Errno::kOk);
    EXPECT_EQ(map(fixed(kAt + 2_MiB, 1, kProtRead)), Errno::kENOMEM) << "RLIMIT_AS";
    EXPECT_EQ(space_->protect({kAt + 1_MiB}, kPageSize, kRw).error(), Errno::kENOMEM);
    finish();
}

TEST_F(AddressSpaceTest, HintsAndTopDownPlacement) {
    space_->set_mmap_base({kAt});
    MapRequest request;
    request.length = 2 * kPageSize;
    request.prot = kRw;
    const std::uintptr_t a = space_->map(request).value().value;
    EXPECT_EQ(a, kAt - 2 * kPageSize);
    EXPECT_EQ(space_->map(request).value().value, a - 2 * kPageSize);
    request.address = {kAt + 5 * kPageSize + 77};
    EXPECT_EQ(space_->map(request).value().value, kAt + 5 * kPageSize);
    EXPECT_EQ(space_->map(request).value().value, a - 4 * kPageSize)
        << "a hint in use is not followed";
    EXPECT_EQ(mappings().size(), 2u) << "neighbours merge";
    finish();
}

TEST_F(AddressSpaceTest, ContiguousObjectsAreMappedInPlace) {
    {
        Ref<ContiguousObject> object = mem::make_ref<ContiguousObject>(100).value();
        for (int i = 0; i < 100; i++)
            object->bytes()[static_cast<std::size_t>(i) * kPageSize] = std::byte(i);
        object->size_ -= kPageSize / 2;
        MapRequest request = fixed(kAt, 102, kProtRead | kProtExec);
        request.object = object;
        ASSERT_EQ(map(request), Errno::kOk);
        const std::uint64_t free = mem::page_stats().free;
        EXPECT_EQ(access(kAt + 10 * kPageSize, hal::Access::kExecute), 0);
        EXPECT_EQ(byte(kAt + 10 * kPageSize),
                  reinterpret_cast<char*>(object->bytes() + 10 * kPageSize));
        EXPECT_TRUE(is_mapped(kAt + 63 * kPageSize)) << "fault-around";
        EXPECT_FALSE(is_mapped(kAt + 64 * kPageSize));
        EXPECT_EQ(space_->stats().minor_faults, 1u);
        EXPECT_EQ(read(kAt + 99 * kPageSize), 99);
        EXPECT_EQ(read(kAt + 100 * kPageSize), -kBus);
        EXPECT_FALSE(is_mapped(kAt + 100 * kPageSize));
        EXPECT_GE(mem::page_stats().free + 4, free) << "nothing but page tables";
        EXPECT_EQ(space_->stats().resident_pages, 100u);

        // A private copy is made on write, and only there.
        request = fixed(kAt + 1_GiB, 8);
        request.object = object;
        request.offset = 2 * kPageSize;
        ASSERT_EQ(map(request), Errno::kOk);
        EXPECT_EQ(read(kAt + 1_GiB), 2);
        EXPECT_EQ(write(kAt + 1_GiB + 1, 'w'), 0);
        EXPECT_EQ(write(kAt + 1_GiB + kPageSize + 1, 'v'), 0);
        EXPECT_EQ(read(kAt + 1_GiB), 2);
        EXPECT_EQ(read(kAt + 1_GiB + 1), 'w');
        EXPECT_EQ(object->bytes()[2 * kPageSize + 1], std::byte{0});
        ASSERT_TRUE(space_->advise({kAt + 1_GiB}, kPageSize, 4).ok());
        EXPECT_EQ(read(kAt + 1_GiB + 1), 0) << "MADV_DONTNEED shows the file again";
        EXPECT_EQ(read(kAt + 1_GiB + kPageSize + 1), 'v');
        // Shared and written: the object refuses.
        request = fixed(kAt + 2_GiB, 1);
        request.object = object;
        request.sharing = Sharing::kShared;
        ASSERT_EQ(map(request), Errno::kOk);
        EXPECT_EQ(write(kAt + 2_GiB, 'x'), kBus);
        space_ = nullptr;
        EXPECT_EQ(object->ref_count(), 1u + 1u) << "ours and request's";
    }
    expect_nothing_lost();
}

TEST_F(AddressSpaceTest, SharedMappingsSeeEachOtherAndTruncation) {
    {
        Ref<AnonymousObject> object = AnonymousObject::create(8 * kPageSize).value();
        MapRequest request = fixed(kAt, 8);
        request.object = object;
        request.sharing = Sharing::kShared;
        ASSERT_EQ(map(request), Errno::kOk);
        request.address = {kAt + 1_GiB};
        request.sharing = Sharing::kPrivate;
        ASSERT_EQ(map(request), Errno::kOk);
        EXPECT_EQ(read(kAt), 0) << "a hole";
        EXPECT_EQ(read(kAt + 1_GiB), 0);
        EXPECT_EQ(write(kAt, 'a'), 0);
        EXPECT_EQ(object->page_count(), 1u);
        EXPECT_EQ(write(kAt + 5 * kPageSize, 'f'), 0);
        EXPECT_EQ(read(kAt + 1_GiB + 5 * kPageSize), 'f');
        EXPECT_EQ(write(kAt + 1_GiB + 5 * kPageSize, 'g'), 0);
        EXPECT_EQ(read(kAt + 5 * kPageSize), 'f');
        EXPECT_EQ(read(kAt + 1_GiB + 5 * kPageSize), 'g');

        // A hole keeps private copies, truncation does not.
        ASSERT_TRUE(object->punch_hole(5 * kPageSize, kPageSize).ok());
        EXPECT_EQ(read(kAt + 5 * kPageSize), 0);
        EXPECT_EQ(read(kAt + 1_GiB + 5 * kPageSize), 'g');
        ASSERT_TRUE(object->set_size(5 * kPageSize).ok());
        EXPECT_EQ(read(kAt + 5 * kPageSize), -kBus);
        EXPECT_EQ(failure_.si_code, 2);
        EXPECT_EQ(read(kAt + 1_GiB + 5 * kPageSize), -kBus);
        EXPECT_EQ(read(kAt), 'a');
        ASSERT_TRUE(space_->advise({kAt}, kPageSize, 9).ok()) << "MADV_REMOVE";
        EXPECT_EQ(read(kAt), 0);
        EXPECT_EQ(object->page_count(), 0u);
        space_ = nullptr;
    }
    expect_nothing_lost();
}

TEST_F(AddressSpaceTest, SharedAnonymousMemoryGetsAnObject) {
    MapRequest request = fixed(kAt, 4);
    request.sharing = Sharing::kShared;
    ASSERT_EQ(map(request), Errno::kOk);
    EXPECT_EQ(write(kAt + kPageSize, 'x'), 0);
    // mremap with length 0 makes a second view.
    const std::uintptr_t second = space_->remap({kAt}, 0, 4 * kPageSize, 1, {}).value().value;
    EXPECT_NE(second, kAt);
    EXPECT_EQ(read(second + kPageSize), 'x');
    EXPECT_EQ(write(second, 'y'), 0);
    EXPECT_EQ(read(kAt), 'y');
    finish();
}

TEST_F(AddressSpaceTest, RemapMovesPages) {
    ASSERT_EQ(map(fixed(kAt, 600)), Errno::kOk);
    ASSERT_EQ(map(fixed(kAt + 600 * kPageSize, 1, kProtRead)), Errno::kOk);
    for (const std::uintptr_t page : {0, 1, 511, 512, 599})
        EXPECT_EQ(write(kAt + page * kPageSize, 'p'), 0);
    EXPECT_EQ(read(kAt + 5 * kPageSize), 0);
    const std::uint64_t resident = space_->stats().resident_pages;
    EXPECT_EQ(space_->remap({kAt}, 600 * kPageSize, 700 * kPageSize, 0, {}).error(),
              Errno::kENOMEM);
    const std::uintptr_t to =
        space_->remap({kAt}, 600 * kPageSize, 700 * kPageSize, 1, {}).value().value;
    EXPECT_FALSE(is_mapped(kAt));
    for (const std::uintptr_t page : {0, 1, 511, 512, 599})
        EXPECT_EQ(read(to + page * kPageSize), 'p') << page;
    EXPECT_EQ(read(to + 5 * kPageSize), 0);
    EXPECT_EQ(write(to + 5 * kPageSize, 'q'), 0);
    EXPECT_EQ(read(to + 6 * kPageSize), 0) << "the zero page stayed zero";
    EXPECT_EQ(read(to + 650 * kPageSize), 0);
    EXPECT_EQ(space_->stats().resident_pages, resident + 1);
    EXPECT_EQ(space_->remap({to}, 700 * kPageSize, 3 * kPageSize, 0, {}).value().value, to);
    EXPECT_EQ(read(to + 3 * kPageSize), -kSegv);
    EXPECT_EQ(space_->remap({to}, 3 * kPageSize, 5 * kPageSize, 0, {}).value().value, to)
        << "grows in place";
    // Fixed, over something else, and DONTUNMAP.
    ASSERT_EQ(map(fixed(kAt, 3)), Errno::kOk);
    EXPECT_EQ(write(kAt, 'o'), 0);
    EXPECT_EQ(space_->remap({to}, 3 * kPageSize, 3 * kPageSize, 3, {kAt}).value().value, kAt);
    EXPECT_EQ(read(kAt), 'p');
    EXPECT_EQ(read(to), -kSegv);
    const std::uintptr_t kept =
        space_->remap({kAt}, 3 * kPageSize, 3 * kPageSize, 5, {}).value().value;
    EXPECT_EQ(read(kept), 'p');
    EXPECT_EQ(read(kAt), 0);
    finish();
}

TEST_F(AddressSpaceTest, BreakMovesBothWays) {
    space_->init_break({kAt + 100});
    EXPECT_EQ(space_->set_break({0}).value, kAt + 100);
    EXPECT_EQ(space_->set_break({kAt + 3 * kPageSize + 5}).value, kAt + 3 * kPageSize + 5);
    EXPECT_EQ(read(kAt), -kSegv) << "the page of the start belongs to the program's bss";
    EXPECT_EQ(write(kAt + kPageSize, 'h'), 0);
    EXPECT_EQ(write(kAt + 3 * kPageSize, 'h'), 0);
    ASSERT_EQ(mappings().size(), 1u);
    EXPECT_STREQ(mappings()[0].label, "[heap]");
    EXPECT_EQ(space_->set_break({kAt + 2 * kPageSize}).value, kAt + 2 * kPageSize);
    EXPECT_EQ(read(kAt + 3 * kPageSize), -kSegv);
    ASSERT_EQ(map(fixed(kAt + 16 * kPageSize, 1)), Errno::kOk);
    EXPECT_EQ(space_->set_break({kAt + 17 * kPageSize}).value, kAt + 2 * kPageSize) << "in the way";
    EXPECT_EQ(read(kAt + kPageSize), 'h');
    finish();
}

TEST_F(AddressSpaceTest, StacksGrowToTheirLimitAndKeepAGap) {
    space_->set_limits({.stack = 1_MiB});
    MapRequest request = fixed(kAt, 4);
    request.stack = true;
    request.label = "[stack]";
    ASSERT_EQ(map(request), Errno::kOk);
    const std::uintptr_t top = kAt + 4 * kPageSize;
    EXPECT_EQ(write(kAt - 3 * kPageSize, 's'), 0);
    EXPECT_EQ(mappings()[0].begin.value, kAt - 3 * kPageSize);
    EXPECT_EQ(write(top - 1_MiB, 's'), 0);
    EXPECT_EQ(write(top - 1_MiB - 1, 's'), kSegv);
    EXPECT_EQ(mappings()[0].begin.value, top - 1_MiB);
    finish();

    space_ = AddressSpace::create().value();
    ASSERT_EQ(map(request), Errno::kOk);
    ASSERT_EQ(map(fixed(kAt - 2_MiB, 256)), Errno::kOk);  // ends 1 MiB below
    EXPECT_EQ(write(kAt - 1, 's'), kSegv) << "stack_guard_gap";
    ASSERT_TRUE(space_->protect({kAt - 2_MiB}, 1_MiB, kProtNone).ok());
    EXPECT_EQ(write(kAt - 1, 's'), 0) << "memory without rights is a guard by itself";
    ASSERT_TRUE(space_
                    ->protect({kAt + kPageSize}, kPageSize,
                              kProtRead | kProtExec | kProtWrite | kProtGrowsDown)
                    .ok());
    EXPECT_EQ(access(kAt - 1, hal::Access::kExecute), 0);
    finish();
}

TEST_F(AddressSpaceTest, AdviceAndResidency) {
    ASSERT_EQ(map(fixed(kAt, 6)), Errno::kOk);
    ASSERT_TRUE(space_->advise({kAt}, 3 * kPageSize, 23).ok()) << "POPULATE_WRITE";
    std::uint8_t vec[6];
    ASSERT_TRUE(space_->resident({kAt}, 6 * kPageSize, vec).ok());
    EXPECT_EQ(std::vector<int>(vec, vec + 6), (std::vector<int>{1, 1, 1, 0, 0, 0}));
    ASSERT_TRUE(space_->advise({kAt + kPageSize}, kPageSize, 8).ok()) << "FREE";
    ASSERT_TRUE(space_->resident({kAt}, 6 * kPageSize, vec).ok());
    EXPECT_EQ(vec[1], 0);
    ASSERT_TRUE(space_->advise({kAt + kPageSize}, kPageSize, 10).ok()) << "DONTFORK splits";
    EXPECT_EQ(mappings().size(), 3u);
    ASSERT_TRUE(space_->advise({kAt + kPageSize}, kPageSize, 11).ok());
    EXPECT_EQ(mappings().size(), 1u);
    for (const int advice : {0, 1, 2, 3, 14, 15, 16, 17, 18, 19, 20, 21})
        EXPECT_TRUE(space_->advise({kAt}, 6 * kPageSize, advice).ok()) << advice;
    EXPECT_EQ(space_->advise({kAt}, kPageSize, 12).error(), Errno::kEINVAL)
        << "MERGEABLE without KSM";
    MapRequest request = fixed(kAt + 1_MiB, 2);
    request.populate = true;
    ASSERT_EQ(map(request), Errno::kOk);
    EXPECT_TRUE(is_mapped(kAt + 1_MiB + kPageSize));
    finish();
}

TEST_F(AddressSpaceTest, OutOfMemoryKillsAndSparesTheRest) {
    ASSERT_EQ(map(fixed(kAt, 100)), Errno::kOk);
    EXPECT_EQ(write(kAt, 'a'), 0);
    mem::inject_allocation_failures(1);
    EXPECT_EQ(write(kAt + kPageSize, 'b'), kKill);
    EXPECT_EQ(map(fixed(kAt, 1)), Errno::kENOMEM);
    EXPECT_EQ(space_->unmap({kAt + kPageSize}, kPageSize).error(), Errno::kENOMEM)
        << "the middle needs a record";
    EXPECT_EQ(space_->protect({kAt + kPageSize}, kPageSize, kProtRead).error(), Errno::kENOMEM);
    mem::inject_allocation_failures(0);
    EXPECT_EQ(read(kAt), 'a');
    EXPECT_EQ(write(kAt + kPageSize, 'b'), 0);
    finish();
}

TEST_F(AddressSpaceTest, TheHandlerServesTheRunningThread) {
    ASSERT_EQ(map(fixed(kAt, 1)), Errno::kOk);
    EXPECT_FALSE(host::page_fault(kAt, hal::Access::kWrite, false)) << "no space attached";
    {
        ScopedAddressSpace scope(*space_);
        EXPECT_EQ(host::loaded_page_table_root(), space_->page_table_root());
        EXPECT_TRUE(host::page_fault(kAt, hal::Access::kWrite, false));
        EXPECT_FALSE(host::page_fault(kAt + kPageSize, hal::Access::kWrite, false));
        hal::preempt_disable();
        EXPECT_FALSE(host::page_fault(kAt, hal::Access::kWrite, false)) << "must not sleep";
        hal::preempt_enable();
    }
    EXPECT_EQ(current_address_space(), nullptr);
    EXPECT_EQ(host::loaded_page_table_root(), hal::kernel_page_table_root());
    finish();
}

}  // namespace
}  // namespace kiln::vm
