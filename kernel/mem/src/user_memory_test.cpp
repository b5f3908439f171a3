#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <kiln/arch/host.hpp>
#include <kiln/mem/io_buffer.hpp>
#include <kiln/mem/user_ptr.hpp>

namespace kiln::mem {
namespace {

std::uintptr_t address(const void* p) { return reinterpret_cast<std::uintptr_t>(p); }

class UserMemory : public testing::Test {
protected:
    ~UserMemory() override { host::set_bad_user_range(nullptr, 0); }
};

TEST_F(UserMemory, StringsAreCopiedWithTheirErrors) {
    const char text[] = "hello";
    std::array<char, 8> buffer;
    UserPtr<const char> from(address(text));
    EXPECT_EQ(copy_string_from_user(from, buffer).value(), 5u);
    EXPECT_STREQ(buffer.data(), "hello");
    EXPECT_EQ(copy_string_from_user(from, std::span(buffer).first(6)).value(), 5u);
    EXPECT_EQ(copy_string_from_user(from, std::span(buffer).first(5)).error(),
              Errno::kENAMETOOLONG);
    EXPECT_EQ(copy_string_from_user(UserPtr<const char>(0), buffer).error(), Errno::kEFAULT);
    host::set_bad_user_range(text + 3, 3);
    EXPECT_EQ(copy_string_from_user(from, buffer).error(), Errno::kEFAULT);
}

TEST_F(UserMemory, PointersAnswerEfault) {
    std::uint32_t value = 7;
    UserPtr<std::uint32_t> p(address(&value));
    EXPECT_EQ(p.read().value(), 7u);
    ASSERT_TRUE(p.write(8).ok());
    EXPECT_EQ(value, 8u);
    host::set_bad_user_range(&value, 4);
    EXPECT_EQ(p.read().error(), Errno::kEFAULT);
    EXPECT_EQ(p.write(9).error(), Errno::kEFAULT);
    EXPECT_EQ(value, 8u);
}

TEST_F(UserMemory, IoBufferStopsAtTheFaultAndTellsWhatWasMoved) {
    std::array<char, 64> memory{};
    host::set_bad_user_range(memory.data() + 40, 24);
    IoBuffer io = IoBuffer::user(address(memory.data()), memory.size());
    std::string text(64, 'a');
    EXPECT_EQ(io.copy_out(text.data(), 30).value(), 30u);
    EXPECT_EQ(io.copy_out(text.data(), 30).value(), 10u);
    EXPECT_EQ(io.remaining(), 24u);
    EXPECT_EQ(io.copy_out(text.data(), 1).error(), Errno::kEFAULT);
    EXPECT_EQ(io.copy_out(text.data(), 0).value(), 0u);
    io.revert(40);
    EXPECT_EQ(io.remaining(), 64u);
    std::array<char, 8> out{};
    EXPECT_EQ(io.copy_in(out.data(), 8).value(), 8u);
    EXPECT_EQ(out[7], 'a');
    IoBuffer low = IoBuffer::user(16, 8);
    EXPECT_EQ(low.zero(8).error(), Errno::kEFAULT);
}

TEST_F(UserMemory, VectorsOfAnyShapeActAsOneBuffer) {
    std::mt19937 random(3);
    for (int round = 0; round < 200; round++) {
        std::vector<std::vector<char>> parts(random() % 8);
        std::vector<IoVec> vec;
        std::size_t total = 0;
        for (auto& part : parts) {
            part.resize(random() % 3 ? random() % 20 : 0);
            vec.push_back({address(part.data()), part.size()});
            total += part.size();
        }
        IoBuffer io = IoBuffer::user_vector(vec, total);
        std::string written(total, '\0');
        for (char& c : written) c = static_cast<char>('a' + random() % 26);
        std::size_t at = 0;
        while (io.remaining() > 0) {
            const std::size_t n = random() % 12;
            const std::size_t moved = io.copy_out(written.data() + at, n).value();
            ASSERT_EQ(moved, std::min(n, total - at));
            at += moved;
            ASSERT_EQ(io.remaining(), total - at);
            if (random() % 4 == 0) {
                const std::size_t back = random() % (moved + 1);
                io.revert(back);
                at -= back;
            }
        }
        std::string flat;
        for (const auto& part : parts) flat.append(part.begin(), part.end());
        ASSERT_EQ(flat, written);
        IoBuffer reader = IoBuffer::user_vector(vec, total);
        std::string read(total, '\0');
        ASSERT_EQ(reader.copy_in(read.data(), total + 5).value(), total);
        ASSERT_EQ(read, written);
        reader.revert(total);
        ASSERT_EQ(reader.remaining(), total);
        reader.skip(total);
        ASSERT_EQ(reader.remaining(), 0u);
    }
}

TEST_F(UserMemory, KernelBuffersNeedNoUserRange) {
    std::array<char, 16> memory{};
    host::set_bad_user_range(memory.data(), memory.size());
    IoBuffer io = IoBuffer::kernel(memory.data(), memory.size());
    EXPECT_EQ(io.copy_out("0123456789abcdef", 16).value(), 16u);
    EXPECT_EQ(memory[15], 'f');
    io.revert(4);
    EXPECT_EQ(io.zero(100).value(), 4u);
    EXPECT_EQ(memory[12], '\0');
}

}  // namespace
}  // namespace kiln::mem
