#include <kiln/metrics/metrics.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace kiln::metrics {
namespace {

KILN_COUNTER(test_apples, "apples counted");
KILN_COUNTER(test_pears, "pears counted");

TEST(Metrics, CountersAreFoundByName) {
    test_apples.add();
    test_apples.add(4);
    ASSERT_NE(find("test_apples"), nullptr);
    EXPECT_EQ(find("test_apples")->value(), 5u);
    EXPECT_EQ(find("test_pears")->value(), 0u);
    EXPECT_EQ(find("test_plums"), nullptr);
}

TEST(Metrics, ForEachVisitsUntilToldToStop) {
    std::set<std::string> names;
    for_each(
        [](const CounterInfo& info, void* out) {
            static_cast<std::set<std::string>*>(out)->emplace(info.name);
            EXPECT_FALSE(info.help.empty());
            return true;
        },
        &names);
    EXPECT_TRUE(names.contains("test_apples") && names.contains("test_pears"));
    int visited = 0;
    for_each([](const CounterInfo&, void* n) { return ++*static_cast<int*>(n) < 1; }, &visited);
    EXPECT_EQ(visited, 1);
}

}  // namespace
}  // namespace kiln::metrics
