#include <algorithm>
#include <cstring>
#include <new>

#include <kiln/abi/linux/fcntl.hpp>
#include <kiln/mem/hash_map.hpp>
#include <kiln/mem/heap.hpp>

#include "file_pages.hpp"
#include "ram_nodes.hpp"

namespace kiln::fs {
namespace {

// Up to so many entries a directory is searched from end to end.
constexpr std::size_t kSmall = 8;

RamInode& ram(vfs::Inode& inode) { return static_cast<RamInode&>(inode); }

}  // namespace

std::uint32_t RamDirectory::hash_of(std::string_view name) {
    std::uint32_t h = 0x811c9dc5;
    for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x01000193;
    return h ^ (h >> 15);
}

Result<RamDirectory::Entry*> RamDirectory::make_entry(std::string_view name, Ref<Inode> inode) {
    void* memory = mem::allocate(sizeof(Entry) + name.size());
    if (!memory) return Errno::kENOMEM;
    Entry* e = ::new (memory)
        Entry{nullptr, 0, hash_of(name), static_cast<std::uint8_t>(name.size()), std::move(inode)};
    std::memcpy(static_cast<void*>(e + 1), name.data(), name.size());
    return e;
}

void RamDirectory::free_entry(Entry* entry) {
    entry->~Entry();
    mem::release(entry);
}

// A tree goes without recursion, however deep: the entries of a subdirectory that nobody else holds
// join the list before the subdirectory itself goes.
RamDirectory::~RamDirectory() {
    Entry* open = nullptr;
    const auto take_all = [&open](RamDirectory& d) {
        for (const Slot& slot : d.slots_.span()) {
            if (!slot.entry) continue;
            slot.entry->chain = open;
            open = slot.entry;
        }
        d.slots_.clear();
    };
    take_all(*this);
    while (open) {
        Entry* e = open;
        open = e->chain;
        if (e->inode->is_directory() && e->inode->ref_count() == 1)
            take_all(static_cast<RamDirectory&>(*e->inode));
        free_entry(e);
    }
}

std::uint64_t RamDirectory::size() { return count_ * 20 + 40; }  // as tmpfs: 20 bytes an entry

Result<vfs::Attributes> RamDirectory::attributes() {
    vfs::Attributes a = TRY(RamInode::attributes());
    a.size = size();
    return a;
}

RamDirectory::Entry* RamDirectory::find(std::string_view name) {
    const std::uint32_t hash = hash_of(name);
    if (buckets_.is_empty()) {
        for (const Slot& slot : slots_.span()) {
            if (slot.entry && slot.entry->hash == hash && slot.entry->name() == name)
                return slot.entry;
        }
        return nullptr;
    }
    for (Entry* e = buckets_[hash & (buckets_.size() - 1)]; e; e = e->chain) {
        if (e->hash == hash && e->name() == name) return e;
    }
    return nullptr;
}

Result<void> RamDirectory::reserve() {
    if (slots_.size() == slots_.capacity()) {
        if (slots_.size() > 2 * count_ + kSmall) {
            compact();
        } else {
            TRY(slots_.reserve(std::max<std::size_t>(4, 2 * slots_.size())));
        }
    }
    if (count_ >= kSmall && count_ >= buckets_.size()) {
        mem::Vector<Entry*> grown;
        TRY(grown.resize(std::max<std::size_t>(2 * kSmall, 2 * buckets_.size())));
        std::swap(grown, buckets_);
        for (const Slot& slot : slots_.span()) {
            if (!slot.entry) continue;
            Entry*& head = buckets_[slot.entry->hash & (buckets_.size() - 1)];
            slot.entry->chain = head;
            head = slot.entry;
        }
    }
    return {};
}

void RamDirectory::compact() {
    std::size_t to = 0;
    for (const Slot& slot : slots_.span()) {
        if (slot.entry) slots_[to++] = slot;
    }
    while (slots_.size() > to) slots_.pop_back();
}

void RamDirectory::insert(Entry* entry) {
    entry->sequence = next_sequence_++;
    KILN_ASSERT(slots_.push_back({entry->sequence, entry}).ok());  // reserved
    if (!buckets_.is_empty()) {
        Entry*& head = buckets_[entry->hash & (buckets_.size() - 1)];
        entry->chain = head;
        head = entry;
    }
    count_++;
}

RamDirectory::Entry* RamDirectory::take(std::string_view name) {
    Entry* e = find(name);
    if (!e) return nullptr;
    if (!buckets_.is_empty()) {
        Entry** at = &buckets_[e->hash & (buckets_.size() - 1)];
        while (*at != e) at = &(*at)->chain;
        *at = e->chain;
    }
    Slot* slot = std::lower_bound(
        slots_.begin(), slots_.end(), e->sequence,
        [](const Slot& s, std::uint64_t sequence) { return s.sequence < sequence; });
    slot->entry = nullptr;
    count_--;
    while (!slots_.is_empty() && !slots_.back().entry) slots_.pop_back();
    return e;
}

Result<void> RamDirectory::add(std::string_view name, Ref<Inode> inode) {
    if (links() == 0) return Errno::kENOENT;  // removed
    if (find(name)) return Errno::kEEXIST;
    TRY(reserve());
    Entry* e = TRY(make_entry(name, std::move(inode)));
    insert(e);
    if (e->inode->is_directory()) add_link();  // its ".."
    touch_modified();
    return {};
}

Result<Ref<vfs::Inode>> RamDirectory::lookup(std::string_view name) {
    Entry* e = find(name);
    if (!e) return Errno::kENOENT;
    return Ref<Inode>(e->inode);
}

Result<Ref<vfs::Inode>> RamDirectory::create(std::string_view name, std::uint32_t mode,
                                             std::uint64_t rdev, std::uint32_t uid,
                                             std::uint32_t gid) {
    Ref<Inode> inode = TRY(make_ram_inode(ram_fs(), mode, rdev, uid, gid, 1));
    TRY(add(name, inode));
    return inode;
}

Result<Ref<vfs::Inode>> RamDirectory::symlink(std::string_view name, std::string_view target,
                                              std::uint32_t uid, std::uint32_t gid) {
    Ref<Inode> inode = TRY(make_ram_symlink(ram_fs(), target, uid, gid));
    TRY(add(name, inode));
    return inode;
}

Result<Ref<vfs::Inode>> RamDirectory::create_unnamed(std::uint32_t mode, std::uint32_t uid,
                                                     std::uint32_t gid) {
    return make_ram_inode(ram_fs(), mode, 0, uid, gid, 0);
}

Result<void> RamDirectory::link(std::string_view name, Inode& target) {
    TRY(add(name, Ref<Inode>(&target)));
    ram(target).add_link();
    ram(target).touch_changed();
    return {};
}

Result<void> RamDirectory::unlink(std::string_view name, Inode& target) {
    Entry* e = take(name);
    if (!e) return Errno::kENOENT;
    KILN_ASSERT(e->inode.get() == &target);
    ram(target).drop_link();
    ram(target).touch_changed();
    touch_modified();
    free_entry(e);
    return {};
}

Result<void> RamDirectory::rmdir(std::string_view name, Inode& target) {
    auto& victim = static_cast<RamDirectory&>(target);
    if (!victim.is_empty()) return Errno::kENOTEMPTY;
    Entry* e = take(name);
    if (!e) return Errno::kENOENT;
    victim.drop_all_links();
    victim.touch_changed();
    drop_link();
    touch_modified();
    free_entry(e);
    return {};
}

Result<void> RamDirectory::rename_exchange(std::string_view old_name, RamDirectory& other,
                                           std::string_view new_name) {
    Entry* a = find(old_name);
    Entry* b = other.find(new_name);
    if (!a || !b) return Errno::kENOENT;
    if (a->inode->is_directory() != b->inode->is_directory() && this != &other) {
        RamDirectory& gains = a->inode->is_directory() ? other : *this;
        RamDirectory& loses = a->inode->is_directory() ? *this : other;
        gains.add_link();
        loses.drop_link();
    }
    std::swap(a->inode, b->inode);
    ram(*a->inode).touch_changed();
    ram(*b->inode).touch_changed();
    touch_modified();
    other.touch_modified();
    return {};
}

Result<void> RamDirectory::rename(std::string_view old_name, Inode& moved, Inode& new_parent,
                                  std::string_view new_name, Inode* replaced, std::uint32_t flags) {
    auto& to = static_cast<RamDirectory&>(new_parent);
    if ((flags & abi::kRENAME_EXCHANGE) != 0) return rename_exchange(old_name, to, new_name);
    if (to.links() == 0) return Errno::kENOENT;
    if (replaced && replaced->is_directory() && !static_cast<RamDirectory*>(replaced)->is_empty())
        return Errno::kENOTEMPTY;
    TRY(to.reserve());
    Entry* fresh = TRY(make_entry(new_name, Ref<Inode>(&moved)));
    Entry* old = take(old_name);
    if (!old) {
        free_entry(fresh);
        return Errno::kENOENT;
    }
    if (Entry* gone = to.take(new_name)) {
        RamInode& inode = ram(*gone->inode);
        if (inode.is_directory()) {
            inode.drop_all_links();
            to.drop_link();
        } else {
            inode.drop_link();
        }
        inode.touch_changed();
        free_entry(gone);
    }
    to.insert(fresh);
    if (moved.is_directory()) {
        drop_link();
        to.add_link();
    }
    free_entry(old);
    ram(moved).touch_changed();
    touch_modified();
    if (&to != this) to.touch_modified();
    return {};
}

// Offset n: what was made after the n-th.
Result<void> RamDirectory::read_directory(std::uint64_t offset, vfs::DirectorySink& sink) {
    const Slot* at = std::upper_bound(
        slots_.begin(), slots_.end(), offset,
        [](std::uint64_t sequence, const Slot& s) { return sequence < s.sequence; });
    for (; at != slots_.end(); at++) {
        const Entry* e = at->entry;
        if (!e) continue;
        if (!sink.add(e->name(), e->inode->number(), e->inode->type(), e->sequence)) break;
    }
    note_access();
    return {};
}

}  // namespace kiln::fs
