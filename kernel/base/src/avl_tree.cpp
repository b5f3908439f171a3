// AVL: the heights of a node's subtrees differ by at most one. Chosen over red-black because the walk to the root that
// rebalancing needs is the one that an augmented tree takes anyway.
#include <kiln/base/avl_tree.hpp>

namespace kiln::detail {
namespace {

std::uint32_t height(const TreeNode* n) { return n ? n->height : 0; }

void refresh(TreeNode* n, TreeAugment augment) {
    n->height = 1 + std::max(height(n->left), height(n->right));
    if (augment) augment(n);
}

// Puts `to` (may be null) where `from` hangs.
void replace(TreeNode** root, TreeNode* from, TreeNode* to) {
    TreeNode* parent = from->parent;
    if (!parent) {
        *root = to;
    } else if (parent->left == from) {
        parent->left = to;
    } else {
        parent->right = to;
    }
    if (to) to->parent = parent;
}

// Rotates `n` down; its right (left) child takes its place.
TreeNode* rotate_left(TreeNode** root, TreeNode* n, TreeAugment augment) {
    TreeNode* up = n->right;
    replace(root, n, up);
    n->right = up->left;
    if (n->right) n->right->parent = n;
    up->left = n;
    n->parent = up;
    refresh(n, augment);
    return up;
}
TreeNode* rotate_right(TreeNode** root, TreeNode* n, TreeAugment augment) {
    TreeNode* up = n->left;
    replace(root, n, up);
    n->left = up->right;
    if (n->left) n->left->parent = n;
    up->right = n;
    n->parent = up;
    refresh(n, augment);
    return up;
}

// From `n` to the root: balance and summary. Without summaries it ends where the height did not change.
void rebalance(TreeNode** root, TreeNode* n, TreeAugment augment) {
    while (n) {
        const std::uint32_t before = n->height;
        const std::uint32_t left = height(n->left);
        const std::uint32_t right = height(n->right);
        if (left > right + 1) {
            if (height(n->left->left) < height(n->left->right)) rotate_left(root, n->left, augment);
            n = rotate_right(root, n, augment);
        } else if (right > left + 1) {
            if (height(n->right->right) < height(n->right->left))
                rotate_right(root, n->right, augment);
            n = rotate_left(root, n, augment);
        }
        refresh(n, augment);
        if (!augment && n->height == before) return;
        n = n->parent;
    }
}

}  // namespace

TreeNode* tree_first(TreeNode* n) {
    while (n && n->left) n = n->left;
    return n;
}

TreeNode* tree_last(TreeNode* n) {
    while (n && n->right) n = n->right;
    return n;
}

TreeNode* tree_next(TreeNode* n) {
    if (n->right) return tree_first(n->right);
    while (n->parent && n->parent->right == n) n = n->parent;
    return n->parent;
}

TreeNode* tree_prev(TreeNode* n) {
    if (n->left) return tree_last(n->left);
    while (n->parent && n->parent->left == n) n = n->parent;
    return n->parent;
}

void tree_insert(TreeNode** root, TreeNode* parent, TreeNode** link, TreeNode* n,
                 TreeAugment augment) {
    n->parent = parent;
    n->left = nullptr;
    n->right = nullptr;
    *link = n;
    refresh(n, augment);
    rebalance(root, parent, augment);
}

void tree_remove(TreeNode** root, TreeNode* n, TreeAugment augment) {
    TreeNode* start;  // the lowest node whose subtree changed
    if (n->left && n->right) {
        TreeNode* successor = tree_first(n->right);
        start = successor->parent == n ? successor : successor->parent;
        if (successor->parent != n) {
            replace(root, successor, successor->right);
            successor->right = n->right;
            successor->right->parent = successor;
        }
        replace(root, n, successor);
        successor->left = n->left;
        successor->left->parent = successor;
        // The walk below compares with the height that stood here before.
        successor->height = n->height;
    } else {
        start = n->parent;
        replace(root, n, n->left ? n->left : n->right);
    }
    n->parent = nullptr;
    n->left = nullptr;
    n->right = nullptr;
    n->height = 0;
    rebalance(root, start, augment);
}

void tree_propagate(TreeNode* n, TreeAugment augment) {
    if (!augment) return;
    for (; n; n = n->parent) augment(n);
}

}  // namespace kiln::detail
