// HashMap<K, V>: open addressing with linear probing; growth can fail.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

#include <kiln/base/panic.hpp>
#include <kiln/base/result.hpp>
#include <kiln/mem/heap.hpp>
#include <kiln/mem/string.hpp>

namespace kiln::mem {

/// Spreads the bits of an integer (finaliser of MurmurHash3).
constexpr std::uint64_t hash_u64(std::uint64_t v) {
    v ^= v >> 33;
    v *= 0xff51afd7ed558ccdull;
    v ^= v >> 33;
    v *= 0xc4ceb9fe1a85ec53ull;
    v ^= v >> 33;
    return v;
}
/// FNV-1a, 64 bits. `seed` keeps tables that outsiders fill from being predictable.
constexpr std::uint64_t hash_bytes(std::string_view bytes, std::uint64_t seed = 0) {
    std::uint64_t h = 0xcbf29ce484222325ull ^ seed;
    for (const char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ull;
    return h;
}

/// How keys are hashed; specialise for own types, or give HashMap another policy.
template <typename K>
struct Hash {
    static std::uint64_t of(const K& key) {
        if constexpr (std::is_pointer_v<K>) {
            return hash_u64(reinterpret_cast<std::uintptr_t>(key));
        } else {
            static_assert(std::is_integral_v<K> || std::is_enum_v<K>, "no Hash for this key type");
            return hash_u64(static_cast<std::uint64_t>(key));
        }
    }
};
template <>
struct Hash<std::string_view> {
    static std::uint64_t of(std::string_view key) { return hash_bytes(key); }
};
/// Look-ups in a map with String keys take a string_view.
template <>
struct Hash<String> : Hash<std::string_view> {};

/// Movable, not synchronised. Pointers to values are valid until the next insert or erase.
template <typename K, typename V, typename HashPolicy = Hash<K>>
class HashMap {
public:
    struct Entry {
        K key;
        V value;
    };

    constexpr HashMap() = default;
    HashMap(const HashMap&) = delete;
    HashMap& operator=(const HashMap&) = delete;
    HashMap(HashMap&& o) noexcept
        : slots_(std::exchange(o.slots_, nullptr)),
          capacity_(std::exchange(o.capacity_, 0)),
          size_(std::exchange(o.size_, 0)) {}
    HashMap& operator=(HashMap&& o) noexcept {
        std::swap(slots_, o.slots_);
        std::swap(capacity_, o.capacity_);
        std::swap(size_, o.size_);
        return *this;
    }
    ~HashMap() { clear(); }

    std::size_t size() const { return size_; }
    bool is_empty() const { return size_ == 0; }

    template <typename Key>
    V* find(const Key& key) {
        const std::size_t at = locate(key);
        return at == kNone ? nullptr : &slots_[at].entry.value;
    }
    template <typename Key>
    const V* find(const Key& key) const {
        return const_cast<HashMap*>(this)->find(key);
    }
    template <typename Key>
    bool contains(const Key& key) const {
        return find(key) != nullptr;
    }
    /// Adds the pair. EEXIST when the key is there, ENOMEM.
    Result<V*> insert(K key, V value) {
        if (locate(key) != kNone) return Errno::kEEXIST;
        TRY(make_room());
        return place(std::move(key), std::move(value));
    }
    /// Adds the pair or replaces the value. ENOMEM.
    Result<V*> set(K key, V value) {
        if (V* old = find(key)) {
            *old = std::move(value);
            return old;
        }
        TRY(make_room());
        return place(std::move(key), std::move(value));
    }
    /// False when the key is absent.
    template <typename Key>
    bool erase(const Key& key) {
        const std::size_t at = locate(key);
        if (at == kNone) return false;
        erase_at(at);
        return true;
    }
    void clear() {
        for (std::size_t i = 0; i < capacity_; i++) {
            if (slots_[i].used) destroy(slots_[i]);
        }
        release(slots_);
        slots_ = nullptr;
        capacity_ = 0;
        size_ = 0;
    }
    /// Calls `visit(const K&, V&)` for each pair, in no order, until it returns false. It must not change the map.
    template <typename Visit>
    void for_each(Visit visit) {
        for (std::size_t i = 0; i < capacity_; i++) {
            if (slots_[i].used &&
                !visit(static_cast<const K&>(slots_[i].entry.key), slots_[i].entry.value))
                return;
        }
    }
    /// Removes the pairs for which `pick(const K&, V&)` is true; returns how many.
    template <typename Pick>
    std::size_t erase_if(Pick pick) {
        std::size_t erased = 0;
        for (std::size_t i = 0; i < capacity_;) {
            // An erase moves later entries into slot i: look at it again.
            if (slots_[i].used &&
                pick(static_cast<const K&>(slots_[i].entry.key), slots_[i].entry.value)) {
                erase_at(i);
                erased++;
            } else {
                i++;
            }
        }
        return erased;
    }

private:
    struct Slot {
        std::uint64_t hash;
        bool used;
        union {
            Entry entry;
        };
    };
    static_assert(alignof(Slot) <= 16);
    static constexpr std::size_t kNone = ~std::size_t{0};
    static constexpr std::size_t kFirstCapacity = 8;

    std::size_t next(std::size_t at) const { return (at + 1) & (capacity_ - 1); }
    static void destroy(Slot& slot) {
        slot.entry.~Entry();
        slot.used = false;
    }
    static void move_entry(Slot& to, Slot& from) {
        ::new (static_cast<void*>(&to.entry)) Entry(std::move(from.entry));
        to.hash = from.hash;
        to.used = true;
        destroy(from);
    }
    void erase_at(std::size_t hole) {
        destroy(slots_[hole]);
        // Entries further on in the same run move back, so that no probe stops at the hole: no tombstones.
        for (std::size_t at = next(hole); slots_[at].used; at = next(at)) {
            const std::size_t home = slots_[at].hash & (capacity_ - 1);
            if (((at - home) & (capacity_ - 1)) < ((at - hole) & (capacity_ - 1))) continue;
            move_entry(slots_[hole], slots_[at]);
            hole = at;
        }
        size_--;
    }
    template <typename Key>
    std::size_t locate(const Key& key) const {
        if (size_ == 0) return kNone;
        const std::uint64_t hash = HashPolicy::of(key);
        for (std::size_t at = hash & (capacity_ - 1); slots_[at].used; at = next(at)) {
            if (slots_[at].hash == hash && slots_[at].entry.key == key) return at;
        }
        return kNone;
    }
    V* place(K key, V value) {
        const std::uint64_t hash = HashPolicy::of(key);
        std::size_t at = hash & (capacity_ - 1);
        while (slots_[at].used) at = next(at);
        ::new (static_cast<void*>(&slots_[at].entry)) Entry{std::move(key), std::move(value)};
        slots_[at].hash = hash;
        slots_[at].used = true;
        size_++;
        return &slots_[at].entry.value;
    }
    // Keeps the table at most three quarters full.
    Result<void> make_room() {
        if (4 * (size_ + 1) <= 3 * capacity_) return {};
        const std::size_t capacity = capacity_ ? 2 * capacity_ : kFirstCapacity;
        std::size_t bytes;
        if (!checked_mul(capacity, sizeof(Slot), &bytes)) return Errno::kENOMEM;
        Slot* old = slots_;
        const std::size_t old_capacity = capacity_;
        Slot* grown = static_cast<Slot*>(allocate(bytes));
        if (!grown) return Errno::kENOMEM;
        for (std::size_t i = 0; i < capacity; i++) grown[i].used = false;
        slots_ = grown;
        capacity_ = capacity;
        for (std::size_t i = 0; i < old_capacity; i++) {
            if (!old[i].used) continue;
            std::size_t at = old[i].hash & (capacity_ - 1);
            while (slots_[at].used) at = next(at);
            move_entry(slots_[at], old[i]);
        }
        release(old);
        return {};
    }

    Slot* slots_ = nullptr;
    std::size_t capacity_ = 0;  ///< a power of two, or 0
    std::size_t size_ = 0;
};

}  // namespace kiln::mem
