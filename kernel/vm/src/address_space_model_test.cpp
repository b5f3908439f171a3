// Random operations on an address space against a model that keeps one record per page. Also with allocations that fail:
// then an operation may answer ENOMEM, must keep its invariants, and must lose no page.
#include <array>
#include <optional>
#include <random>

#include <kiln/vm/address_space.hpp>
#include <kiln/vm/anonymous_object.hpp>

#include "test_machine.hpp"
#include "zero_page.hpp"

namespace kiln::vm {
namespace {

constexpr std::size_t kPages = 96;
constexpr std::size_t kObjectPages = 24;
constexpr std::uintptr_t kBase = 0x7fe00000 - 40 * kPageSize;  // the range spans two page tables
constexpr int kSegv = 11;
constexpr int kBus = 7;
constexpr int kKill = 9;

enum class Kind { kAnonymous, kImage, kFilePrivate, kFileShared };

struct ModelPage {
    Kind kind;
    std::uint32_t prot;
    std::size_t index;         // in the object
    std::optional<char> copy;  // what the private mapping wrote
};

class Model {
public:
    std::array<std::optional<ModelPage>, kPages> pages;
    std::array<char, kObjectPages> image{};
    std::array<char, kObjectPages> file{};
    std::size_t file_pages = kObjectPages;

    int expected_signal(std::size_t page, bool is_write) const {
        const auto& p = pages[page];
        if (!p || p->prot == 0 || (is_write && !(p->prot & kProtWrite))) return kSegv;
        if (p->copy) return 0;
        if (p->kind == Kind::kImage && p->index >= kObjectPages) return kBus;
        if ((p->kind == Kind::kFilePrivate || p->kind == Kind::kFileShared) &&
            p->index >= file_pages)
            return kBus;
        return 0;
    }
    char value(std::size_t page) const {
        const ModelPage& p = *pages[page];
        if (p.copy) return *p.copy;
        switch (p.kind) {
            case Kind::kAnonymous: return 0;
            case Kind::kImage: return image[p.index];
            default: return file[p.index];
        }
    }
    void write(std::size_t page, char value) {
        ModelPage& p = *pages[page];
        if (p.kind == Kind::kFileShared) {
            file[p.index] = value;
        } else {
            p.copy = value;
        }
    }
    void truncate(std::size_t new_pages) {
        for (std::size_t i = new_pages; i < kObjectPages; i++) file[i] = 0;
        file_pages = new_pages;
        for (auto& p : pages) {
            if (p && p->kind == Kind::kFilePrivate && p->index >= new_pages) p->copy.reset();
        }
    }
};

class AddressSpaceModelTest : public VmTest {
protected:
    void run(unsigned seed, std::uint32_t fail_every);
    int access(std::size_t page, hal::Access kind) {
        const std::uintptr_t at = kBase + page * kPageSize;
        for (int tries = 0; tries < 4; tries++) {
            hal::PageEntry entry;
            const std::uint32_t right =
                kind == hal::Access::kWrite ? hal::kMapWrite : hal::kMapRead;
            if (hal::query_page(space_->page_table_root(), {at}, &entry) && (entry.flags & right))
                return 0;
            FaultFailure failure{};
            if (!space_->handle_fault({at}, kind, &failure)) return failure.signal;
        }
        return -1;
    }
    char* byte(std::size_t page) {
        hal::PageEntry entry;
        EXPECT_TRUE(hal::query_page(space_->page_table_root(), {kBase + page * kPageSize}, &entry));
        return static_cast<char*>(hal::phys_to_virt(entry.page));
    }
    Ref<AddressSpace> space_;
};

void AddressSpaceModelTest::run(unsigned seed, std::uint32_t fail_every) {
    {
        std::mt19937 random(seed);
        Model model;
        Ref<ContiguousObject> image = mem::make_ref<ContiguousObject>(kObjectPages).value();
        Ref<AnonymousObject> file = AnonymousObject::create(kObjectPages * kPageSize).value();
        for (std::size_t i = 0; i < kObjectPages; i++) {
            model.image[i] = static_cast<char>('A' + i);
            image->bytes()[i * kPageSize] = static_cast<std::byte>(model.image[i]);
        }
        space_ = AddressSpace::create().value();
        const std::uint32_t prots[] = {0, kProtRead, kProtRead | kProtWrite, kProtRead | kProtWrite,
                                       kProtRead | kProtExec};
        for (int step = 0; step < 6000; step++) {
            SCOPED_TRACE(testing::Message() << "seed " << seed << " step " << step);
            const std::size_t first = random() % kPages;
            const std::size_t count = std::min<std::size_t>(1 + random() % 12, kPages - first);
            const VirtAddr at = {kBase + first * kPageSize};
            const std::uint64_t length = count * kPageSize;
            const bool may_fail = fail_every != 0;
            mem::inject_allocation_failures(fail_every);
            switch (random() % 12) {
                case 0:
                case 1: {
                    const auto kind = static_cast<Kind>(random() % 4);
                    const std::size_t index = random() % kObjectPages;
                    MapRequest request;
                    request.address = at;
                    request.length = length;
                    request.prot = prots[random() % std::size(prots)];
                    request.placement = Placement::kFixedReplace;
                    request.populate = random() % 4 == 0;
                    // With failures, which pages got their copies would be unknown.
                    if (kind == Kind::kFilePrivate && may_fail) request.populate = false;
                    if (kind == Kind::kImage) request.object = image;
                    if (kind == Kind::kFilePrivate || kind == Kind::kFileShared)
                        request.object = file;
                    if (kind == Kind::kFileShared) request.sharing = Sharing::kShared;
                    request.offset = index * kPageSize;
                    Result<VirtAddr> mapped = space_->map(request);
                    if (!mapped.ok()) {
                        ASSERT_TRUE(may_fail);
                        ASSERT_EQ(mapped.error(), Errno::kENOMEM);
                        break;
                    }
                    for (std::size_t i = 0; i < count; i++) {
                        model.pages[first + i] = ModelPage{kind, request.prot, index + i, {}};
                        // Population makes the private copies already, as on Linux.
                        if (request.populate && kind == Kind::kFilePrivate &&
                            model.expected_signal(first + i, true) == 0)
                            model.pages[first + i]->copy = model.value(first + i);
                    }
                    break;
                }
                case 2: {
                    Result<void> unmapped = space_->unmap(at, length);
                    if (!unmapped.ok()) {
                        ASSERT_TRUE(may_fail);
                        break;
                    }
                    for (std::size_t i = 0; i < count; i++) model.pages[first + i].reset();
                    break;
                }
                case 3: {
                    const std::uint32_t prot = prots[random() % std::size(prots)];
                    std::size_t end = first;
                    while (end < first + count && model.pages[end]) end++;
                    Result<void> changed = space_->protect(at, length, prot);
                    if (!changed.ok() && end == first + count) {
                        ASSERT_TRUE(may_fail);
                        ASSERT_EQ(changed.error(), Errno::kENOMEM);
                        // Some of it may have changed: ask.
                        for (std::size_t i = first; i < end; i++) {
                            MappingInfo info;
                            ASSERT_TRUE(space_->find_mapping({kBase + i * kPageSize}, &info));
                            ASSERT_TRUE(info.prot == prot || info.prot == model.pages[i]->prot);
                            model.pages[i]->prot = info.prot;
                        }
                        break;
                    }
                    ASSERT_EQ(changed.ok(), end == first + count);
                    for (std::size_t i = first; i < end; i++) {
                        MappingInfo info;
                        ASSERT_TRUE(space_->find_mapping({kBase + i * kPageSize}, &info));
                        if (!may_fail) {
                            ASSERT_EQ(info.prot, prot);
                        }
                        model.pages[i]->prot = info.prot;
                    }
                    break;
                }
                case 4: {
                    Result<void> advised = space_->advise(at, length, 4);
                    bool has_hole = false;
                    for (std::size_t i = first; i < first + count; i++) {
                        if (model.pages[i]) {
                            model.pages[i]->copy.reset();
                        } else {
                            has_hole = true;
                        }
                    }
                    ASSERT_EQ(advised.ok(), !has_hole);
                    break;
                }
                case 5: {
                    // Moves a stretch of one mapping over something else.
                    const std::size_t to = random() % (kPages - count + 1);
                    const bool overlaps = to < first + count && first < to + count;
                    MappingInfo info;
                    const bool is_one =
                        space_->find_mapping(at, &info) && info.end.value >= at.value + length;
                    Result<VirtAddr> moved =
                        space_->remap(at, length, length, 3, {kBase + to * kPageSize});
                    if (overlaps) {
                        ASSERT_EQ(moved.error(), Errno::kEINVAL);
                    } else if (!model.pages[first]) {
                        ASSERT_EQ(moved.error(), Errno::kEFAULT);
                    } else {
                        if (moved.ok() || !may_fail || moved.error() == Errno::kEFAULT) {
                            // The target is gone, even if the source turns out to be several mappings.
                            for (std::size_t i = 0; i < count; i++) model.pages[to + i].reset();
                        } else {
                            MappingInfo target;
                            for (std::size_t i = 0; i < count; i++) {
                                if (!space_->find_mapping({kBase + (to + i) * kPageSize}, &target))
                                    model.pages[to + i].reset();
                            }
                        }
                        if (!moved.ok()) {
                            ASSERT_TRUE(!is_one || (may_fail && moved.error() == Errno::kENOMEM));
                            break;
                        }
                        ASSERT_TRUE(is_one);
                        for (std::size_t i = 0; i < count; i++) {
                            model.pages[to + i] = model.pages[first + i];
                            model.pages[first + i].reset();
                        }
                    }
                    break;
                }
                case 6: {
                    if (random() % 8) break;
                    const std::size_t pages = random() % (kObjectPages + 1);
                    ASSERT_TRUE(file->set_size(pages * kPageSize).ok());
                    model.truncate(pages);
                    break;
                }
                case 7:
                case 8:
                case 9: {
                    const int signal = access(first, hal::Access::kWrite);
                    const int expected = model.expected_signal(first, true);
                    if (signal == kKill) {
                        ASSERT_TRUE(may_fail);
                        break;
                    }
                    ASSERT_EQ(signal, expected);
                    if (signal != 0) break;
                    ASSERT_EQ(*byte(first), model.value(first));
                    const auto value = static_cast<char>(1 + step % 100);
                    *byte(first) = value;
                    model.write(first, value);
                    break;
                }
                default: {
                    const int signal = access(first, hal::Access::kRead);
                    if (signal == kKill) {
                        ASSERT_TRUE(may_fail);
                        break;
                    }
                    ASSERT_EQ(signal, model.expected_signal(first, false));
                    if (signal == 0) {
                        ASSERT_EQ(*byte(first), model.value(first));
                    }
                }
            }
            mem::inject_allocation_failures(0);
            if (step % 200 != 0) continue;
            // All that is mapped is what the model says, and adds up.
            std::size_t mapped = 0;
            std::uint64_t resident = 0;
            for (std::size_t i = 0; i < kPages; i++) {
                MappingInfo info;
                ASSERT_EQ(space_->find_mapping({kBase + i * kPageSize}, &info),
                          model.pages[i].has_value());
                if (model.pages[i]) {
                    mapped++;
                    ASSERT_EQ(info.prot, model.pages[i]->prot);
                    if (model.expected_signal(i, false) == 0) {
                        ASSERT_EQ(access(i, hal::Access::kRead), 0);
                        ASSERT_EQ(*byte(i), model.value(i));
                    }
                }
                hal::PageEntry entry;
                const bool is_present =
                    hal::query_page(space_->page_table_root(), {kBase + i * kPageSize}, &entry);
                if (is_present) {
                    ASSERT_TRUE(model.pages[i].has_value());
                }
                if (is_present && entry.page != zero_page()) resident++;
            }
            ASSERT_EQ(space_->stats().mapped_bytes, mapped * kPageSize);
            ASSERT_EQ(space_->stats().resident_pages, resident);
        }
        space_ = nullptr;
    }
    expect_nothing_lost();
}

TEST_F(AddressSpaceModelTest, AgreesWithTheModel) {
    for (unsigned seed = 1; seed <= 12; seed++) {
        run(seed, 0);
        if (HasFatalFailure()) return;
    }
}

TEST_F(AddressSpaceModelTest, SurvivesFailingAllocations) {
    for (std::uint32_t every = 1; every <= 9; every++) {
        run(100 + every, every);
        if (HasFatalFailure()) return;
    }
}

}  // namespace
}  // namespace kiln::vm
