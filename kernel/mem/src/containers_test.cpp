#include <map>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include <kiln/mem/hash_map.hpp>
#include <kiln/mem/pages.hpp>
#include <kiln/mem/string.hpp>
#include <kiln/mem/vector.hpp>

namespace kiln::mem {
namespace {

// Counts live objects; not trivially copyable.
struct Counted {
    static inline int live = 0;
    explicit Counted(int v = 0) : value(v) { live++; }
    Counted(const Counted& o) : value(o.value) { live++; }
    Counted(Counted&& o) noexcept : value(std::exchange(o.value, -1)) { live++; }
    Counted& operator=(Counted&&) = default;
    ~Counted() { live--; }
    int value;
};

TEST(Vector, GrowsMovesAndDestroys) {
    {
        Vector<Counted> v;
        for (int i = 0; i < 100; i++) ASSERT_TRUE(v.push_back(Counted(i)).ok());
        ASSERT_TRUE(v.insert(0, Counted(-5)).ok());
        EXPECT_EQ(v[0].value, -5);
        EXPECT_EQ(v[1].value, 0);
        v.erase(0);
        v.erase_unordered(10);
        EXPECT_EQ(v[10].value, 99);
        EXPECT_EQ(v.size(), 99u);
        Vector<Counted> copy = v.clone().value();
        EXPECT_EQ(copy.size(), 99u);
        EXPECT_EQ(Counted::live, 198);
        Vector<Counted> moved = std::move(v);
        ASSERT_TRUE(moved.resize(120).ok());
        EXPECT_EQ(moved.back().value, 0);
        ASSERT_TRUE(moved.emplace_back(7).ok());
        EXPECT_EQ(moved.back().value, 7);
        EXPECT_DEATH((void)moved[121], "assertion failed");
    }
    EXPECT_EQ(Counted::live, 0);
}

TEST(Vector, FailureLeavesItAsItWas) {
    Vector<int> v;
    for (int i = 0; i < 16; i++) ASSERT_TRUE(v.push_back(i).ok());
    inject_allocation_failures(1);
    EXPECT_EQ(v.push_back(16).error(), Errno::kENOMEM);
    EXPECT_EQ(v.reserve(SIZE_MAX).error(), Errno::kENOMEM);
    EXPECT_FALSE(v.clone().ok());
    inject_allocation_failures(0);
    EXPECT_EQ(v.size(), 16u);
    EXPECT_EQ(v[15], 15);
    const int more[] = {1, 2, 3};
    ASSERT_TRUE(v.append(more).ok());
    EXPECT_EQ(v.back(), 3);
}

TEST(String, AppendsFormatsAndFails) {
    String s;
    EXPECT_STREQ(s.c_str(), "");
    ASSERT_TRUE(s.append("hello").ok());
    ASSERT_TRUE(s.push_back(' ').ok());
    ASSERT_TRUE(s.append_format("{} {:04x}", "world", 0x2a).ok());
    EXPECT_EQ(s.view(), "hello world 002a");
    EXPECT_EQ(s.c_str()[s.size()], '\0');
    s.truncate(5);
    EXPECT_EQ(s, "hello");
    ASSERT_TRUE(s.assign(std::string(1000, 'x')).ok());
    EXPECT_EQ(s.size(), 1000u);
    ASSERT_TRUE(s.append_format("{:200}", "wide").ok());
    EXPECT_EQ(s.size(), 1200u);
    inject_allocation_failures(1);
    EXPECT_EQ(s.append(std::string(5000, 'y')).error(), Errno::kENOMEM);
    EXPECT_FALSE(String::create("text").ok());
    inject_allocation_failures(0);
    EXPECT_EQ(s.size(), 1200u);
    EXPECT_EQ(String::format("{}+{}", 1, 2).value(), "1+2");
}

// All keys collide with many others: probing and moving back are exercised.
struct PoorHash {
    static std::uint64_t of(int key) { return static_cast<std::uint64_t>(key) % 5; }
};

template <typename Map>
void run_model(unsigned seed) {
    std::mt19937 random(seed);
    Map map;
    std::map<int, int> model;
    for (int step = 0; step < 20000; step++) {
        const int key = static_cast<int>(random() % 60);
        switch (random() % 4) {
            case 0: {
                const bool fresh = model.emplace(key, step).second;
                Result<Counted*> added = map.insert(key, Counted(step));
                ASSERT_EQ(added.ok(), fresh);
                if (!fresh) {
                    EXPECT_EQ(added.error(), Errno::kEEXIST);
                }
                break;
            }
            case 1:
                model[key] = step;
                ASSERT_TRUE(map.set(key, Counted(step)).ok());
                break;
            case 2: ASSERT_EQ(map.erase(key), model.erase(key) == 1); break;
            default: {
                const Counted* found = map.find(key);
                ASSERT_EQ(found != nullptr, model.contains(key));
                if (found) {
                    ASSERT_EQ(found->value, model[key]);
                }
            }
        }
        ASSERT_EQ(map.size(), model.size());
        if (step % 2000 == 0) {
            const auto odd = [](int k, const Counted&) { return k % 2 == 1; };
            EXPECT_EQ(map.erase_if(odd),
                      std::erase_if(model, [](const auto& e) { return e.first % 2 == 1; }));
        }
    }
    std::size_t visited = 0;
    map.for_each([&](int k, Counted& v) {
        EXPECT_EQ(model.at(k), v.value);
        return ++visited < 10'000;
    });
    EXPECT_EQ(visited, model.size());
}

TEST(HashMap, AgreesWithMap) {
    run_model<HashMap<int, Counted>>(1);
    run_model<HashMap<int, Counted, PoorHash>>(2);
    EXPECT_EQ(Counted::live, 0);
}

TEST(HashMap, StringKeysAreFoundByView) {
    HashMap<String, int> map;
    for (int i = 0; i < 100; i++)
        ASSERT_TRUE(map.insert(String::format("key{}", i).value(), i).ok());
    ASSERT_NE(map.find(std::string_view("key42")), nullptr);
    EXPECT_EQ(*map.find(std::string_view("key42")), 42);
    EXPECT_FALSE(map.contains(std::string_view("key100")));
    inject_allocation_failures(1);
    HashMap<int, int> empty;
    EXPECT_EQ(empty.insert(1, 1).error(), Errno::kENOMEM);
    inject_allocation_failures(0);
    EXPECT_EQ(empty.find(1), nullptr);
}

}  // namespace
}  // namespace kiln::mem
