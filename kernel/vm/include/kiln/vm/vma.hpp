// The mappings of an address space: what is mapped where, without page tables.
#pragma once

#include <atomic>
#include <cstdint>

#include <kiln/base/avl_tree.hpp>
#include <kiln/base/ref.hpp>
#include <kiln/base/types.hpp>
#include <kiln/vm/memory_object.hpp>

namespace kiln::vm {

class AddressSpace;

enum class Sharing : std::uint8_t { kPrivate, kShared };

/// One mapping ("virtual memory area"): a run of pages with the same rights and the same object behind it.
struct Vma : MappingLink {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    std::uint32_t prot = 0;
    std::uint32_t max_prot = 0;
    Sharing sharing = Sharing::kPrivate;
    bool is_stack = false;         ///< grows down
    bool is_dont_fork = false;     ///< MADV_DONTFORK
    bool is_wipe_on_fork = false;  ///< MADV_WIPEONFORK
    bool is_contiguous = false;    ///< object is one run of physical memory, from object_base on
    PhysAddr object_base;
    Ref<MemoryObject> object;  ///< null: anonymous private memory
    std::uint64_t offset = 0;  ///< of `begin` in the object
    const char* label = nullptr;
    AddressSpace* space = nullptr;

    std::uint64_t length() const { return end - begin; }
    std::uint64_t offset_of(std::uintptr_t address) const { return offset + (address - begin); }
    /// The object's page at `address`, if the object is contiguous.
    PhysAddr contiguous_page(std::uintptr_t address) const {
        return object_base + offset_of(address);
    }
    bool is_writable_share() const { return sharing == Sharing::kShared && (max_prot & 2) != 0; }

    // VmaSet's.
    TreeNode node;
    std::uint64_t gap = 0;          ///< free bytes below it that may be given out
    std::uint64_t largest_gap = 0;  ///< in its subtree
    Vma* next_removed = nullptr;
};

/// Mappings taken out of a VmaSet, and objects with them: destroyed with this, when no lock is held any more (the last
/// reference of a file may sleep).
class RemovedVmas {
public:
    RemovedVmas() = default;
    KILN_NON_COPYABLE(RemovedVmas);
    ~RemovedVmas();
    void add(Vma* vma) {
        vma->next_removed = first_;
        first_ = vma;
    }

private:
    Vma* first_ = nullptr;
};

/// Disjoint mappings, ordered by address, with a search for free space in O(log n). Owns what is in it. Not
/// synchronised; changes to mappings of an object also take the lock of the object's list.
class VmaSet {
public:
    /// Kept free below a mapping that grows down (Linux: stack_guard_gap).
    static constexpr std::uint64_t kStackGuardGap = 256 * kPageSize;

    constexpr VmaSet() = default;
    ~VmaSet();

    std::size_t count() const { return count_; }
    std::uint64_t mapped_bytes() const { return mapped_bytes_; }
    Vma* first() const { return tree_.first(); }
    static Vma* next(Vma& vma) { return Tree::next(vma); }
    static Vma* prev(Vma& vma) { return Tree::prev(vma); }
    /// The mapping that holds `address`, or null.
    Vma* find(std::uintptr_t address) const {
        Vma* vma = tree_.last_not_above(address);
        return vma && address < vma->end ? vma : nullptr;
    }
    /// The first mapping that ends above `address`, or null.
    Vma* first_ending_above(std::uintptr_t address) const;
    bool is_free(std::uintptr_t begin, std::uintptr_t end) const;
    /// As is_free(), and not in the guard gap below a stack either.
    bool is_available(std::uintptr_t begin, std::uintptr_t end) const;

    /// The highest free range of `length` bytes within [low, high); its begin, or 0.
    std::uintptr_t find_gap(std::uint64_t length, std::uintptr_t low, std::uintptr_t high) const;

    void insert(Vma& vma);
    /// Its owner is now `removed`.
    void remove(Vma& vma, RemovedVmas& removed);
    /// Moves an end into free space, or shrinks; the offset goes along with the begin.
    void set_begin(Vma& vma, std::uintptr_t begin);
    void set_end(Vma& vma, std::uintptr_t end);
    /// Makes `upper`, new, the part of `vma` from `at` on.
    void split(Vma& vma, std::uintptr_t at, Vma& upper);
    /// Joins `vma` with its neighbours where nothing tells them apart; returns what it is part of now.
    Vma& merge(Vma& vma, RemovedVmas& removed);

private:
    struct Traits {
        static std::uintptr_t key(const Vma& vma) { return vma.begin; }
        static void augment(Vma& vma, Vma* left, Vma* right) {
            vma.largest_gap = vma.gap;
            if (left && left->largest_gap > vma.largest_gap) vma.largest_gap = left->largest_gap;
            if (right && right->largest_gap > vma.largest_gap) vma.largest_gap = right->largest_gap;
        }
    };
    using Tree = AvlTree<Vma, &Vma::node, Traits>;

    static bool can_merge(const Vma& lower, const Vma& upper);
    static std::uint64_t gap_below(Vma& vma);
    static Vma* highest_with_gap(Vma* subtree, std::uint64_t length);
    void update_gap(Vma* vma);
    static void link_object(Vma& vma);
    static void unlink_object(Vma& vma);

    Tree tree_;
    std::size_t count_ = 0;
    std::uint64_t mapped_bytes_ = 0;
};

}  // namespace kiln::vm
