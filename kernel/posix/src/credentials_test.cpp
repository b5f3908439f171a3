#include <kiln/posix/credentials.hpp>

#include <gtest/gtest.h>

namespace kiln::posix {
namespace {

constexpr std::uint32_t kKeep = UINT32_MAX;

TEST(Credentials, RootDropsForGood) {
    Credentials c = Credentials::for_user(0, 0);
    EXPECT_TRUE(c.set_gid(100).ok());
    EXPECT_TRUE(c.set_uid(1000).ok());
    EXPECT_EQ(c.user.saved, 1000u);
    EXPECT_EQ(c.effective, 0u);
    EXPECT_EQ(c.permitted, 0u);
    EXPECT_EQ(c.set_uid(0).error(), Errno::kEPERM);
    EXPECT_EQ(c.set_gid(0).error(), Errno::kEPERM);
}

TEST(Credentials, TemporaryDropAndBack) {
    Credentials c = Credentials::for_user(0, 0);
    EXPECT_TRUE(c.set_resuid(kKeep, 1000, 0).ok());
    EXPECT_EQ(c.user.file_system, 1000u);
    EXPECT_EQ(c.effective, 0u)
        << "capabilities(7): effective uid from 0 to other clears the effective set";
    EXPECT_EQ(c.permitted, kAllCapabilities);
    EXPECT_TRUE(c.set_uid(0).ok()) << "the saved id allows it";
    EXPECT_EQ(c.effective, kAllCapabilities);
    EXPECT_EQ(c.user.real, 0u);
}

TEST(Credentials, SetreuidMovesTheSavedId) {
    Credentials c = Credentials::for_user(1000, 1000);
    EXPECT_EQ(c.set_reuid(0, kKeep).error(), Errno::kEPERM);
    EXPECT_EQ(c.set_reuid(kKeep, 0).error(), Errno::kEPERM);
    EXPECT_EQ(c.user.real, 1000u);
    Credentials root = Credentials::for_user(0, 0);
    EXPECT_TRUE(root.set_reuid(5, 6).ok());
    EXPECT_EQ(root.user.real, 5u);
    EXPECT_EQ(root.user.effective, 6u);
    EXPECT_EQ(root.user.saved, 6u);
}

TEST(Credentials, RefusesMinusOneWhereItIsNoId) {
    Credentials c = Credentials::for_user(0, 0);
    EXPECT_EQ(c.set_uid(kKeep).error(), Errno::kEINVAL);
    EXPECT_TRUE(c.set_resuid(kKeep, kKeep, kKeep).ok());
    EXPECT_EQ(c.user.real, 0u);
}

TEST(Credentials, FileSystemIdTakesFileCapabilities) {
    Credentials c = Credentials::for_user(0, 0);
    EXPECT_EQ(c.set_fsuid(1000), 0u);
    EXPECT_FALSE(c.has(kCapDacOverride));
    EXPECT_TRUE(c.has(kCapKill));
    EXPECT_EQ(c.set_fsuid(0), 1000u);
    EXPECT_TRUE(c.has(kCapDacOverride));
    Credentials user = Credentials::for_user(1000, 1000);
    EXPECT_EQ(user.set_fsuid(0), 1000u);
    EXPECT_EQ(user.user.file_system, 1000u) << "not allowed, and says so by the old id only";
}

TEST(Credentials, CapabilitiesNeverGrow) {
    Credentials c = Credentials::for_user(0, 0);
    EXPECT_TRUE(c.set_capabilities(1, 3, 0).ok());
    EXPECT_EQ(c.set_capabilities(1, 7, 0).error(), Errno::kEPERM);
    EXPECT_EQ(c.set_capabilities(4, 3, 0).error(), Errno::kEPERM);
    EXPECT_TRUE(c.set_capabilities(3, 3, 1).ok());
}

TEST(Credentials, Groups) {
    Credentials c = Credentials::for_user(1000, 50);
    c.groups[0] = 7;
    c.group_count = 1;
    EXPECT_TRUE(c.in_group(50));
    EXPECT_TRUE(c.in_group(7));
    EXPECT_FALSE(c.in_group(8));
}

}  // namespace
}  // namespace kiln::posix
