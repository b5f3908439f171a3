// Intrusive pairing heap: a priority queue without allocation. Insert O(1), removal of the smallest or of any
// known element O(log n) amortised.
// M. Fredman, R. Sedgewick, D. Sleator, R. Tarjan: The pairing heap: a new form of self-adjusting heap,
// Algorithmica 1 (1986).
#pragma once

#include <cstdint>

#include <kiln/base/panic.hpp>
#include <kiln/base/types.hpp>

namespace kiln {

/// The hook inside an element.
struct HeapNode {
    constexpr HeapNode() = default;
    KILN_NON_COPYABLE(HeapNode);
    bool is_linked() const { return linked; }

    HeapNode* child = nullptr;  ///< leftmost child
    HeapNode* next = nullptr;   ///< sibling to the right
    HeapNode* prev =
        nullptr;  ///< sibling to the left; of a leftmost child the parent; null for the root
    bool linked = false;
};

/// A heap of T linked through its member `Hook`, smallest on top as `Less{}(a, b)` says. Does not own its
/// elements. Not synchronised. An element's key does not change while it is linked.
template <typename T, HeapNode T::*Hook, typename Less>
class PairingHeap {
public:
    constexpr PairingHeap() = default;
    KILN_NON_COPYABLE(PairingHeap);

    bool is_empty() const { return root_ == nullptr; }
    /// The smallest element, or null.
    T* top() const { return root_ ? owner(root_) : nullptr; }

    void push(T& e) {
        HeapNode* n = &(e.*Hook);
        KILN_ASSERT(!n->linked);
        n->linked = true;
        n->child = n->next = n->prev = nullptr;
        root_ = root_ ? meld(root_, n) : n;
    }
    T* pop() {
        T* e = top();
        if (e) remove(*e);
        return e;
    }
    /// Unlinks `e`, which is in this heap.
    void remove(T& e) {
        HeapNode* n = &(e.*Hook);
        KILN_ASSERT(n->linked);
        HeapNode* rest = merge_children(n);
        if (n == root_) {
            root_ = rest;
        } else {
            cut(n);
            if (rest) root_ = meld(root_, rest);
        }
        n->child = n->next = n->prev = nullptr;
        n->linked = false;
    }

    /// Calls `visit(T&)` for each element, in no particular order.
    template <typename Visit>
    void for_each(Visit visit) const {
        const HeapNode* n = root_;
        while (n) {
            visit(*owner(const_cast<HeapNode*>(n)));
            if (n->child) {
                n = n->child;
                continue;
            }
            while (n && !n->next) n = parent(n);
            if (n) n = n->next;
        }
    }

private:
    static T* owner(HeapNode* n) {
        const auto offset =
            reinterpret_cast<std::uintptr_t>(&(reinterpret_cast<T*>(kProbe)->*Hook)) - kProbe;
        return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(n) - offset);
    }
    static const HeapNode* parent(const HeapNode* n) {
        while (n->prev && n->prev->child != n) n = n->prev;
        return n->prev;
    }
    /// Joins two trees; both are roots without siblings.
    static HeapNode* meld(HeapNode* a, HeapNode* b) {
        if (Less{}(*owner(b), *owner(a))) {
            HeapNode* t = a;
            a = b;
            b = t;
        }
        b->prev = a;
        b->next = a->child;
        if (a->child) a->child->prev = b;
        a->child = b;
        a->prev = a->next = nullptr;
        return a;
    }
    /// Takes `n`, not the root, with its subtree out of its parent's children.
    static void cut(HeapNode* n) {
        if (n->prev->child == n) {
            n->prev->child = n->next;
        } else {
            n->prev->next = n->next;
        }
        if (n->next) n->next->prev = n->prev;
        n->next = n->prev = nullptr;
    }
    /// The two passes: pairs from left to right, then the pairs from right to left.
    static HeapNode* merge_children(HeapNode* parent_node) {
        HeapNode* pairs = nullptr;  // linked by `next`, last pair first
        HeapNode* n = parent_node->child;
        parent_node->child = nullptr;
        while (n) {
            HeapNode* a = n;
            HeapNode* b = a->next;
            n = b ? b->next : nullptr;
            a->next = a->prev = nullptr;
            if (b) {
                b->next = b->prev = nullptr;
                a = meld(a, b);
            }
            a->next = pairs;
            pairs = a;
        }
        HeapNode* all = nullptr;
        while (pairs) {
            HeapNode* following = pairs->next;
            pairs->next = nullptr;
            all = all ? meld(all, pairs) : pairs;
            pairs = following;
        }
        if (all) all->prev = all->next = nullptr;
        return all;
    }

    static constexpr std::uintptr_t kProbe = 0x1000;
    HeapNode* root_ = nullptr;
};

}  // namespace kiln
