// Intrusive balanced search tree (AVL), optionally augmented: each node can keep a summary of its subtree
// (a largest gap, a sum) which lets a search skip whole branches. No allocation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include <kiln/base/panic.hpp>
#include <kiln/base/types.hpp>

namespace kiln {

/// The hook inside an element. Height 0: not in a tree.
struct TreeNode {
    constexpr TreeNode() = default;
    KILN_NON_COPYABLE(TreeNode);
    bool is_linked() const { return height != 0; }

    TreeNode* parent = nullptr;
    TreeNode* left = nullptr;
    TreeNode* right = nullptr;
    std::uint32_t height = 0;
};

namespace detail {

/// Recomputes a node's summary from its own element and its children; null when there is none.
using TreeAugment = void (*)(TreeNode* node);

// The part that does not depend on T.
TreeNode* tree_first(TreeNode* root);
TreeNode* tree_last(TreeNode* root);
TreeNode* tree_next(TreeNode* node);
TreeNode* tree_prev(TreeNode* node);
/// Links `node` below `parent` at `*link` (which is null) and rebalances.
void tree_insert(TreeNode** root, TreeNode* parent, TreeNode** link, TreeNode* node,
                 TreeAugment augment);
void tree_remove(TreeNode** root, TreeNode* node, TreeAugment augment);
/// Recomputes the summaries from `node` up to the root.
void tree_propagate(TreeNode* node, TreeAugment augment);

}  // namespace detail

/// Elements of type T, linked through member `Hook`, ordered by `Traits::key(const T&)` (any type with <).
/// If Traits has `static void augment(T& e, T* left, T* right)`, it is called, children first, for each
/// element whose subtree changed. Does not own its elements. Not synchronised.
template <typename T, TreeNode T::*Hook, typename Traits>
class AvlTree {
public:
    constexpr AvlTree() = default;
    KILN_NON_COPYABLE(AvlTree);

    bool is_empty() const { return root_ == nullptr; }
    T* root() const { return owner(root_); }
    T* first() const { return owner(detail::tree_first(root_)); }
    T* last() const { return owner(detail::tree_last(root_)); }
    static T* next(T& e) { return owner(detail::tree_next(&(e.*Hook))); }
    static T* prev(T& e) { return owner(detail::tree_prev(&(e.*Hook))); }
    static T* left(T& e) { return owner((e.*Hook).left); }
    static T* right(T& e) { return owner((e.*Hook).right); }
    static T* parent(T& e) { return owner((e.*Hook).parent); }

    /// Elements of equal keys stay in order of insertion.
    void insert(T& e) {
        KILN_ASSERT(!(e.*Hook).is_linked());
        TreeNode* up = nullptr;
        TreeNode** link = &root_;
        while (*link) {
            up = *link;
            link = Traits::key(e) < Traits::key(*owner(up)) ? &up->left : &up->right;
        }
        detail::tree_insert(&root_, up, link, &(e.*Hook), augment());
    }
    void remove(T& e) {
        KILN_ASSERT((e.*Hook).is_linked());
        detail::tree_remove(&root_, &(e.*Hook), augment());
    }
    /// To be called after a change of `e` that its summary depends on. Its key may change, too, as long as the order of
    /// the elements stays the same.
    void update(T& e) { detail::tree_propagate(&(e.*Hook), augment()); }

    /// The first element whose key is not less than `key`.
    template <typename Key>
    T* lower_bound(const Key& key) const {
        TreeNode* best = nullptr;
        for (TreeNode* n = root_; n;) {
            if (Traits::key(*owner(n)) < key) {
                n = n->right;
            } else {
                best = n;
                n = n->left;
            }
        }
        return owner(best);
    }
    /// The last element whose key is not greater than `key`.
    template <typename Key>
    T* last_not_above(const Key& key) const {
        TreeNode* best = nullptr;
        for (TreeNode* n = root_; n;) {
            if (key < Traits::key(*owner(n))) {
                n = n->left;
            } else {
                best = n;
                n = n->right;
            }
        }
        return owner(best);
    }
    template <typename Key>
    T* find(const Key& key) const {
        T* e = lower_bound(key);
        return e && !(key < Traits::key(*e)) ? e : nullptr;
    }

private:
    static T* owner(TreeNode* n) {
        if (!n) return nullptr;
        const auto offset =
            reinterpret_cast<std::uintptr_t>(&(reinterpret_cast<T*>(kProbe)->*Hook)) - kProbe;
        return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(n) - offset);
    }
    static constexpr detail::TreeAugment augment() {
        if constexpr (requires(T & e, T * child) { Traits::augment(e, child, child); }) {
            return [](TreeNode* n) { Traits::augment(*owner(n), owner(n->left), owner(n->right)); };
        } else {
            return nullptr;
        }
    }

    static constexpr std::uintptr_t kProbe = 0x1000;
    TreeNode* root_ = nullptr;
};

}  // namespace kiln
