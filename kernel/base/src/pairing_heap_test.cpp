#include <kiln/base/pairing_heap.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <random>
#include <set>
#include <vector>

namespace kiln {
namespace {

struct Item {
    explicit Item(int k) : key(k) {}
    int key;
    HeapNode node;
};
struct ByKey {
    bool operator()(const Item& a, const Item& b) const { return a.key < b.key; }
};
using Heap = PairingHeap<Item, &Item::node, ByKey>;

TEST(PairingHeap, EmptyHasNoTop) {
    Heap heap;
    EXPECT_TRUE(heap.is_empty());
    EXPECT_EQ(heap.top(), nullptr);
    EXPECT_EQ(heap.pop(), nullptr);
}

TEST(PairingHeap, PopsInOrder) {
    std::deque<Item> items;
    Heap heap;
    for (int k : {5, 3, 8, 1, 9, 2, 2, 7}) heap.push(items.emplace_back(k));
    std::vector<int> out;
    while (Item* i = heap.pop()) {
        EXPECT_FALSE(i->node.is_linked());
        out.push_back(i->key);
    }
    EXPECT_EQ(out, (std::vector<int>{1, 2, 2, 3, 5, 7, 8, 9}));
}

TEST(PairingHeap, ForEachVisitsAll) {
    std::deque<Item> items;
    Heap heap;
    for (int k = 0; k < 50; k++) heap.push(items.emplace_back((k * 37) % 50));
    heap.pop();
    std::set<int> seen;
    heap.for_each([&](Item& i) { EXPECT_TRUE(seen.insert(i.key).second); });
    EXPECT_EQ(seen.size(), 49u);
    EXPECT_EQ(seen.count(0), 0u);
    while (heap.pop()) {
    }
}

TEST(PairingHeap, AgreesWithMultisetUnderRandomOperations) {
    std::minstd_rand random(7);
    std::deque<Item> items;
    for (int i = 0; i < 200; i++) items.emplace_back(0);
    Heap heap;
    std::multiset<int> model;
    for (int step = 0; step < 20000; step++) {
        Item& item = items[random() % items.size()];
        if (item.node.is_linked()) {
            heap.remove(item);
            model.erase(model.find(item.key));
        } else {
            item.key = static_cast<int>(random() % 1000);
            heap.push(item);
            model.insert(item.key);
        }
        if (random() % 8 == 0 && !model.empty()) {
            Item* top = heap.pop();
            ASSERT_EQ(top->key, *model.begin());
            model.erase(model.begin());
        }
        ASSERT_EQ(heap.is_empty(), model.empty());
        if (!model.empty()) {
            ASSERT_EQ(heap.top()->key, *model.begin());
        }
    }
    while (heap.pop()) {
    }
}

}  // namespace
}  // namespace kiln
