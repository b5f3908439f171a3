#include <kiln/vfs_testing/test_tree.hpp>

namespace kiln::fs {
namespace {

using namespace vfs::testing;

TEST(Sysfs, SaysWhatIsThere) {
    start_machine();
    Tree t(vfs::find_file_system_type("sysfs").value()->create({}).value());
    EXPECT_EQ(t.read("/devices/system/cpu/online").value(), "0\n");
    EXPECT_EQ(t.read("/devices/system/cpu/cpu0/topology/core_id").value(), "0\n");
    EXPECT_ERRNO(kENOENT, t.read("/fs/cgroup"));
    EXPECT_EQ(t.list("/").value(),
              (std::vector<std::string>{".", "..", "class", "devices", "fs", "kernel"}));
    Tree again(vfs::find_file_system_type("sysfs").value()->create({}).value());
    for (std::uint32_t n = 1; n < 100; n += 3) {
        mem::inject_allocation_failures(n);
        (void)again.read("/devices/system/node/online");
        mem::inject_allocation_failures(0);
    }
    EXPECT_EQ(again.read("/devices/system/node/online").value(), "0\n");
    EXPECT_EQ(again.list("/devices/system/node").value().size(), 5u);
}

}  // namespace
}  // namespace kiln::fs
