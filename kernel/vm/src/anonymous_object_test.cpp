#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <kiln/vm/anonymous_object.hpp>

#include "test_machine.hpp"
#include "zero_page.hpp"

namespace kiln::vm {
namespace {

using AnonymousObjectTest = VmTest;

std::string read_all(AnonymousObject& object, std::uint64_t offset, std::size_t length) {
    std::string text(length, '?');
    mem::IoBuffer to = mem::IoBuffer::kernel(text.data(), length);
    text.resize(object.read(to, offset).value());
    return text;
}
std::size_t write_all(AnonymousObject& object, std::uint64_t offset, std::string text) {
    mem::IoBuffer from = mem::IoBuffer::kernel(text.data(), text.size());
    return object.write(from, offset).value();
}

TEST_F(AnonymousObjectTest, RandomUseAgreesWithABuffer) {
    {
        constexpr std::uint64_t kMax = 600'000;
        Ref<AnonymousObject> object = AnonymousObject::create(0).value();
        std::string model;
        std::mt19937 random(9);
        for (int step = 0; step < 4000; step++) {
            const std::uint64_t offset = random() % kMax;
            const std::size_t length = random() % (random() % 4 ? 5000 : 40000);
            switch (random() % 6) {
                case 0:
                case 1: {
                    std::string text(length, static_cast<char>('a' + step % 26));
                    ASSERT_EQ(write_all(*object, offset, text), length);
                    if (length == 0) break;
                    if (model.size() < offset + length) model.resize(offset + length);
                    model.replace(offset, length, text);
                    break;
                }
                case 2:
                    ASSERT_TRUE(object->set_size(offset).ok());
                    model.resize(offset);
                    break;
                case 3: {
                    ASSERT_TRUE(object->punch_hole(offset, length).ok());
                    for (std::size_t i = offset; i < std::min(model.size(), offset + length); i++)
                        model[i] = '\0';
                    break;
                }
                case 4: {
                    // A mapping writes beyond the end of the last page's contents.
                    if (model.empty()) break;
                    Result<ObjectPage> page =
                        object->get_page((model.size() - 1) / kPageSize, hal::Access::kWrite);
                    ASSERT_TRUE(page.ok());
                    const std::size_t used = model.size() % kPageSize;
                    if (used != 0)
                        std::memset(static_cast<char*>(hal::phys_to_virt(page.value().page)) + used,
                                    'X', kPageSize - used);
                    mem::unref_page(page.value().page);
                    break;
                }
                default: {
                    const std::string expected =
                        offset < model.size() ? model.substr(offset, length) : "";
                    ASSERT_TRUE(read_all(*object, offset, length) == expected) << step;
                }
            }
            ASSERT_EQ(object->size(), model.size());
        }
        ASSERT_TRUE(read_all(*object, 0, kMax * 2) == model);
        EXPECT_EQ(object->get_page(model.size() / kPageSize + 1, hal::Access::kRead).error(),
                  Errno::kENXIO);
    }
    expect_nothing_lost();
}

TEST_F(AnonymousObjectTest, IsSparse) {
    Ref<AnonymousObject> object = AnonymousObject::create(AnonymousObject::kMaxSize).value();
    EXPECT_EQ(write_all(*object, 1_GiB * 100 + 5, "data"), 4u);
    EXPECT_EQ(object->page_count(), 1u);
    EXPECT_EQ(read_all(*object, 1_GiB * 100 + 4, 6), std::string("\0data\0", 6));
    EXPECT_EQ(read_all(*object, 0, 3), std::string(3, '\0'));
    EXPECT_EQ(object->get_page(7, hal::Access::kRead).value().page, zero_page());
    EXPECT_EQ(object->seek_data(0).value(), 1_GiB * 100);
    EXPECT_EQ(object->seek_hole(1_GiB * 100 + 9).value(), 1_GiB * 100 + kPageSize);
    EXPECT_EQ(object->seek_data(1_GiB * 100 + kPageSize).error(), Errno::kENXIO);
    EXPECT_EQ(AnonymousObject::create(AnonymousObject::kMaxSize + 1).error(), Errno::kEFBIG);
}

TEST_F(AnonymousObjectTest, FailuresAreReportedAndLoseNothing) {
    {
        Ref<AnonymousObject> object = AnonymousObject::create(0).value();
        std::string text(20 * kPageSize, 'x');
        for (std::uint32_t nth = 1; nth < 12; nth++) {
            mem::inject_allocation_failures(nth);
            mem::IoBuffer from = mem::IoBuffer::kernel(text.data(), text.size());
            Result<std::size_t> written = object->write(from, 1_GiB * nth);
            mem::inject_allocation_failures(0);
            if (written.ok()) {
                EXPECT_LT(written.value(), text.size());
                EXPECT_EQ(object->size(), 1_GiB * nth + written.value());
            } else {
                EXPECT_EQ(written.error(), Errno::kENOMEM);
            }
        }
    }
    expect_nothing_lost();
}

}  // namespace
}  // namespace kiln::vm
