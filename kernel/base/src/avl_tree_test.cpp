#include <map>
#include <memory>
#include <random>

#include <gtest/gtest.h>

#include <kiln/base/avl_tree.hpp>

namespace kiln {
namespace {

struct Item {
    int key = 0;
    int largest = 0;  // summary: the largest value in the subtree
    int value = 0;
    TreeNode node;
};
struct ItemTraits {
    static int key(const Item& e) { return e.key; }
    static void augment(Item& e, Item* left, Item* right) {
        e.largest = std::max({e.value, left ? left->largest : 0, right ? right->largest : 0});
    }
};
struct PlainTraits {
    static int key(const Item& e) { return e.key; }
};
using Augmented = AvlTree<Item, &Item::node, ItemTraits>;
using Plain = AvlTree<Item, &Item::node, PlainTraits>;

// Checks balance, links and summaries; returns the height.
std::uint32_t check(const TreeNode* n, const TreeNode* parent) {
    if (!n) return 0;
    EXPECT_EQ(n->parent, parent);
    const std::uint32_t left = check(n->left, n);
    const std::uint32_t right = check(n->right, n);
    EXPECT_LE(std::max(left, right) - std::min(left, right), 1u);
    EXPECT_EQ(n->height, 1 + std::max(left, right));
    return n->height;
}
int check_largest(Item* e) {
    if (!e) return 0;
    const int expected = std::max(
        {e->value, check_largest(Augmented::left(*e)), check_largest(Augmented::right(*e))});
    EXPECT_EQ(e->largest, expected);
    return expected;
}

template <typename Tree>
void run_random(unsigned seed) {
    std::mt19937 random(seed);
    Tree tree;
    std::map<int, std::unique_ptr<Item>> model;
    for (int step = 0; step < 3000; step++) {
        const int key = static_cast<int>(random() % 400);
        auto found = model.find(key);
        if (found == model.end()) {
            auto item = std::make_unique<Item>();
            item->key = key;
            item->value = static_cast<int>(random() % 1000);
            tree.insert(*item);
            model.emplace(key, std::move(item));
        } else if (random() % 3 == 0) {
            found->second->value = static_cast<int>(random() % 1000);
            tree.update(*found->second);
        } else {
            tree.remove(*found->second);
            EXPECT_FALSE(found->second->node.is_linked());
            model.erase(found);
        }
        if (step % 50 == 0) {
            check(tree.root() ? &tree.root()->node : nullptr, nullptr);
            if constexpr (std::is_same_v<Tree, Augmented>) check_largest(tree.root());
            auto expected = model.begin();
            for (Item* e = tree.first(); e; e = Tree::next(*e), ++expected)
                ASSERT_EQ(e, expected->second.get());
            EXPECT_EQ(expected, model.end());
        }
        const int probe = static_cast<int>(random() % 400);
        auto above = model.lower_bound(probe);
        EXPECT_EQ(tree.lower_bound(probe), above == model.end() ? nullptr : above->second.get());
        auto below = model.upper_bound(probe);
        EXPECT_EQ(tree.last_not_above(probe),
                  below == model.begin() ? nullptr : std::prev(below)->second.get());
    }
    for (Item* e = tree.last(); e; e = tree.last()) tree.remove(*e);
    EXPECT_TRUE(tree.is_empty());
}

TEST(AvlTree, RandomOperationsAgreeWithMap) {
    for (unsigned seed = 1; seed <= 4; seed++) {
        run_random<Augmented>(seed);
        run_random<Plain>(seed);
    }
}

TEST(AvlTree, AscendingInsertionStaysBalanced) {
    Plain tree;
    std::vector<std::unique_ptr<Item>> items;
    for (int i = 0; i < 1000; i++) {
        items.push_back(std::make_unique<Item>());
        items.back()->key = i;
        tree.insert(*items.back());
    }
    EXPECT_EQ(check(&tree.root()->node, nullptr), 10u);
    Item* e = tree.find(500);
    ASSERT_NE(e, nullptr);
    EXPECT_EQ(Plain::prev(*e)->key, 499);
    EXPECT_EQ(tree.find(1000), nullptr);
    while (Item* last = tree.last()) tree.remove(*last);
}

}  // namespace
}  // namespace kiln
