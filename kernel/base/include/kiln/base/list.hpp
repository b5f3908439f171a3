// Intrusive doubly linked list: no allocation, O(1) removal of a known element.
#pragma once

#include <cstddef>
#include <iterator>

#include <kiln/base/panic.hpp>
#include <kiln/base/types.hpp>

namespace kiln {

/// The hook inside an element. Unlinked when `next` is null.
struct ListNode {
    constexpr ListNode() = default;
    KILN_NON_COPYABLE(ListNode);
    bool is_linked() const { return next != nullptr; }

    ListNode* next = nullptr;
    ListNode* prev = nullptr;
};

/// A list of T linked through its member `Hook`. Does not own its elements. Not synchronised.
template <typename T, ListNode T::*Hook>
class List {
public:
    constexpr List() : head_() {
        head_.next = &head_;
        head_.prev = &head_;
    }
    KILN_NON_COPYABLE(List);

    bool is_empty() const { return head_.next == &head_; }
    T* front() { return is_empty() ? nullptr : owner(head_.next); }
    T* back() { return is_empty() ? nullptr : owner(head_.prev); }
    void push_back(T& e) { insert_before(&head_, &(e.*Hook)); }
    void push_front(T& e) { insert_before(head_.next, &(e.*Hook)); }
    /// Links `e` right before `position`, which is in this list.
    void insert_before(T& position, T& e) { insert_before(&(position.*Hook), &(e.*Hook)); }

    /// Unlinks `e`, which is in this list.
    static void remove(T& e) {
        ListNode* n = &(e.*Hook);
        KILN_ASSERT(n->is_linked());
        n->prev->next = n->next;
        n->next->prev = n->prev;
        n->next = nullptr;
        n->prev = nullptr;
    }
    T* pop_front() {
        T* e = front();
        if (e) remove(*e);
        return e;
    }
    /// The element after `e`, or null.
    T* next(T& e) {
        ListNode* n = (e.*Hook).next;
        return n == &head_ ? nullptr : owner(n);
    }
    T* prev(T& e) {
        ListNode* n = (e.*Hook).prev;
        return n == &head_ ? nullptr : owner(n);
    }

    /// Iteration; the current element may be removed (the next one is read before).
    class Iterator {
    public:
        explicit Iterator(ListNode* n) : at_(n), next_(n->next) {}
        T& operator*() const { return *owner(at_); }
        T* operator->() const { return owner(at_); }
        Iterator& operator++() {
            at_ = next_;
            next_ = at_->next;
            return *this;
        }
        bool operator==(const Iterator& o) const { return at_ == o.at_; }

    private:
        ListNode* at_;
        ListNode* next_;
    };
    Iterator begin() { return Iterator(head_.next); }
    Iterator end() { return Iterator(&head_); }

private:
    static T* owner(ListNode* n) {
        // Offset of a member pointer: standard layout is not required of T, GCC and clang agree on
        // this form.
        const auto offset =
            reinterpret_cast<std::uintptr_t>(&(reinterpret_cast<T*>(kProbe)->*Hook)) - kProbe;
        return reinterpret_cast<T*>(reinterpret_cast<std::uintptr_t>(n) - offset);
    }
    static void insert_before(ListNode* position, ListNode* n) {
        KILN_ASSERT(!n->is_linked());
        n->next = position;
        n->prev = position->prev;
        position->prev->next = n;
        position->prev = n;
    }

    static constexpr std::uintptr_t kProbe = 0x1000;
    ListNode head_;
};

}  // namespace kiln
