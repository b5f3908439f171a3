#include <gtest/gtest.h>

#include <kiln/base/list.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/result.hpp>

namespace kiln {
namespace {

Result<int> half(int n) {
    if (n % 2) return Errno::kEINVAL;
    return n / 2;
}
Result<int> quarter(int n) { return TRY(half(TRY(half(n)))); }

TEST(Result, TryPropagates) {
    EXPECT_EQ(quarter(8).value(), 2);
    EXPECT_EQ(quarter(6).error(), Errno::kEINVAL);
    EXPECT_DEATH((void)quarter(6).value(), "assertion failed");
}

struct Item {
    explicit Item(int v) : value(v) {}
    int value;
    ListNode node;
};

TEST(List, KeepsOrderAndRemovesWhileIterating) {
    List<Item, &Item::node> list;
    Item a(1), b(2), c(3);
    list.push_back(b);
    list.push_front(a);
    list.push_back(c);
    for (Item& i : list) {
        if (i.value == 2) list.remove(i);
    }
    EXPECT_EQ(list.front()->value, 1);
    EXPECT_EQ(list.next(a)->value, 3);
    EXPECT_FALSE(b.node.is_linked());
    EXPECT_EQ(list.pop_front(), &a);
    EXPECT_EQ(list.pop_front(), &c);
    EXPECT_TRUE(list.is_empty());
}

struct Counted : RefCounted<Counted> {
    explicit Counted(int* d) : destroyed(d) {}
    ~Counted() { ++*destroyed; }
    int* destroyed;
};

TEST(Ref, LastReferenceDeletes) {
    int destroyed = 0;
    {
        Ref<Counted> a = adopt_ref(new Counted(&destroyed));
        Ref<Counted> b = a;
        EXPECT_EQ(a->ref_count(), 2u);
        a = nullptr;
        EXPECT_EQ(destroyed, 0);
    }
    EXPECT_EQ(destroyed, 1);
}

}  // namespace
}  // namespace kiln
