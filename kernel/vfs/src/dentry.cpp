#include <cstring>

#include <kiln/mem/heap.hpp>
#include <kiln/vfs/dentry.hpp>

namespace kiln::vfs {
namespace {

constexpr std::size_t kBuckets = 2048;
constexpr std::size_t kDefaultLimit = 16384;
// Entries that one insertion looks at for something to drop when the cache is full.
constexpr std::size_t kScanPerInsert = 16;

constinit sync::SpinLock cache_lock{sync::LockRank::kDentryCache};
// Guarded by cache_lock.
constinit Dentry* buckets[kBuckets] = {};
constinit std::size_t entries = 0;
constinit std::size_t limit_entries = kDefaultLimit;

Dentry*& bucket_of(std::uint32_t hash) { return buckets[hash % kBuckets]; }

}  // namespace

Result<Ref<Dentry>> Dentry::create(Dentry* parent, std::string_view name, Ref<Inode> inode) {
    KILN_ASSERT(name.size() <= 255);
    Dentry* d = new (std::nothrow) Dentry;
    if (!d) return Errno::kENOMEM;
    Ref<Dentry> dentry = adopt_ref(d);
    if (name.size() > kInlineName) {
        char* heap = static_cast<char*>(mem::allocate(name.size()));
        if (!heap) return Errno::kENOMEM;
        d->name_ = heap;
    }
    if (!name.empty()) std::memcpy(d->name_, name.data(), name.size());
    d->name_length_ = static_cast<std::uint8_t>(name.size());
    d->parent_ = Ref<Dentry>(parent);
    if (parent) d->hash_ = NameHash::of(*parent, name);
    d->inode_.store(inode.release(), std::memory_order_relaxed);
    return dentry;
}

Dentry::~Dentry() {
    if (Inode* i = inode_.load(std::memory_order_relaxed)) i->unref();
    if (!is_inline()) mem::release(name_);
}

// A deep tree is a long chain of parents: freed in a loop, because the kernel stack is small.
void Dentry::last_reference_dropped() {
    Dentry* d = this;
    while (d) {
        Dentry* parent = d->parent_.release();
        delete d;
        d = parent && parent->drop_ref() ? parent : nullptr;
    }
}

sync::SpinLock& DentryCache::lock() { return cache_lock; }

Dentry* DentryCache::find_locked(const Dentry& parent, std::string_view name, std::uint32_t hash) {
    for (Dentry* d = bucket_of(hash); d; d = d->chain_) {
        if (d->hash_ == hash && d->parent_.get() == &parent && d->name_length_ == name.size() &&
            std::memcmp(d->name_, name.data(), name.size()) == 0) {
            d->used_ = true;
            return d;
        }
    }
    return nullptr;
}

Ref<Dentry> DentryCache::find(const Dentry& parent, std::string_view name, std::uint32_t hash) {
    sync::SpinGuard guard(cache_lock);
    return Ref<Dentry>(find_locked(parent, name, hash));
}

DentryCache::AgeList& DentryCache::age_list() {
    static constinit AgeList list;  // guarded by cache_lock
    return list;
}

void DentryCache::link_locked(Dentry& d) {
    Dentry*& head = bucket_of(d.hash_);
    d.chain_ = head;
    head = &d;
    d.hashed_ = true;
}

void DentryCache::unlink_locked(Dentry& d) {
    Dentry** at = &bucket_of(d.hash_);
    while (*at != &d) at = &(*at)->chain_;
    *at = d.chain_;
    d.chain_ = nullptr;
    d.hashed_ = false;
}

// Takes up to `limit` unused dentries off the cache into a list through chain_, whose references
// the caller drops without the lock. Second chance: what was looked up since the last visit goes to
// the young end.
std::size_t DentryCache::collect_locked(std::size_t limit, const FileSystem* only,
                                        Dentry** victims) {
    std::size_t found = 0;
    std::size_t looked = entries;
    if (!only && looked > limit * kScanPerInsert) looked = limit * kScanPerInsert;
    auto& ages = age_list();
    for (; looked != 0 && found < limit; looked--) {
        Dentry* d = ages.pop_front();
        const Inode* inode = d->inode();
        bool take = d->ref_count() == 1;
        if (only) {
            const Inode* owner = inode ? inode : d->parent_->inode();
            take = take && owner && &owner->file_system() == only;
        } else if (take && d->used_) {
            d->used_ = false;
            take = false;
        }
        if (!take) {
            ages.push_back(*d);
            continue;
        }
        unlink_locked(*d);
        entries--;
        d->chain_ = *victims;
        *victims = d;
        found++;
    }
    return found;
}

void DentryCache::drop_list(Dentry* victims) {
    while (victims) {
        Dentry* d = victims;
        victims = d->chain_;
        d->chain_ = nullptr;
        d->unref();
    }
}

Ref<Dentry> DentryCache::insert(Ref<Dentry> dentry) {
    Dentry* victims = nullptr;
    {
        sync::SpinGuard guard(cache_lock);
        Dentry& d = *dentry;
        if (Dentry* there = find_locked(*d.parent_, d.name(), d.hash_)) {
            return Ref<Dentry>(there);  // the new one goes after the lock: `dentry` is a parameter
        }
        d.ref();  // the cache's own
        link_locked(d);
        age_list().push_back(d);
        entries++;
        if (entries > limit_entries) collect_locked(1, nullptr, &victims);
    }
    drop_list(victims);
    return dentry;
}

void DentryCache::set_inode(Dentry& dentry, Ref<Inode> inode) {
    KILN_ASSERT(dentry.is_negative());
    dentry.inode_.store(inode.release(), std::memory_order_release);
}

void DentryCache::forget(Dentry& dentry) {
    {
        sync::SpinGuard guard(cache_lock);
        if (!dentry.hashed_) return;
        unlink_locked(dentry);
        age_list().remove(dentry);
        entries--;
    }
    dentry.unref();  // the caller still has a reference
}

void DentryCache::unlink(Dentry& dentry) {
    {
        sync::SpinGuard guard(cache_lock);
        dentry.unlinked_ = true;
    }
    forget(dentry);
}

DentryCache::NewName::~NewName() { mem::release(heap); }

Result<void> DentryCache::reserve_name(std::string_view name, NewName* out) {
    if (name.size() > Dentry::kInlineName) {
        out->heap = static_cast<char*>(mem::allocate(name.size()));
        if (!out->heap) return Errno::kENOMEM;
    }
    return {};
}

void DentryCache::move(Dentry& dentry, Dentry& new_parent, std::string_view new_name,
                       NewName& storage, Dentry* replaced) {
    if (replaced) unlink(*replaced);
    Ref<Dentry> old_parent;  // dropped after the lock
    char* old_heap = nullptr;
    Ref<Dentry> stale;
    {
        sync::SpinGuard guard(cache_lock);
        const std::uint32_t hash = NameHash::of(new_parent, new_name);
        // A negative entry may wait at the new place.
        if (Dentry* there = find_locked(new_parent, new_name, hash); there && there != &dentry) {
            unlink_locked(*there);
            age_list().remove(*there);
            entries--;
            stale = Ref<Dentry>::adopt(there);
        }
        const bool was_hashed = dentry.hashed_;
        if (was_hashed) unlink_locked(dentry);
        old_parent = std::move(dentry.parent_);
        dentry.parent_ = Ref<Dentry>(&new_parent);
        if (!dentry.is_inline()) old_heap = dentry.name_;
        if (storage.heap) {
            dentry.name_ = storage.heap;
            storage.heap = nullptr;
        } else {
            dentry.name_ = dentry.inline_name_;
        }
        std::memcpy(dentry.name_, new_name.data(), new_name.size());
        dentry.name_length_ = static_cast<std::uint8_t>(new_name.size());
        dentry.hash_ = hash;
        if (was_hashed) link_locked(dentry);
    }
    mem::release(old_heap);
}

void DentryCache::exchange(Dentry& a, Dentry& b) {
    sync::SpinGuard guard(cache_lock);
    const bool a_hashed = a.hashed_;
    const bool b_hashed = b.hashed_;
    if (a_hashed) unlink_locked(a);
    if (b_hashed) unlink_locked(b);
    // Without touching a count: neither parent may go under the lock.
    Dentry* parent = a.parent_.release();
    a.parent_ = Ref<Dentry>::adopt(b.parent_.release());
    b.parent_ = Ref<Dentry>::adopt(parent);
    const bool a_inline = a.is_inline();
    const bool b_inline = b.is_inline();
    std::swap(a.name_, b.name_);
    std::swap(a.inline_name_, b.inline_name_);
    if (b_inline) a.name_ = a.inline_name_;
    if (a_inline) b.name_ = b.inline_name_;
    std::swap(a.name_length_, b.name_length_);
    a.hash_ = NameHash::of(*a.parent_, a.name());
    b.hash_ = NameHash::of(*b.parent_, b.name());
    if (a_hashed) link_locked(a);
    if (b_hashed) link_locked(b);
}

std::size_t DentryCache::reclaim(std::size_t limit) {
    Dentry* victims = nullptr;
    std::size_t found;
    {
        sync::SpinGuard guard(cache_lock);
        found = collect_locked(limit, nullptr, &victims);
    }
    drop_list(victims);
    return found;
}

void DentryCache::purge(const FileSystem& fs) {
    for (;;) {
        Dentry* victims = nullptr;
        {
            sync::SpinGuard guard(cache_lock);
            collect_locked(entries, &fs, &victims);
        }
        if (!victims) return;
        drop_list(victims);  // frees parents for the next round
    }
}

std::size_t DentryCache::count() {
    sync::SpinGuard guard(cache_lock);
    return entries;
}

void DentryCache::set_limit(std::size_t limit) {
    sync::SpinGuard guard(cache_lock);
    limit_entries = limit;
}

}  // namespace kiln::vfs
