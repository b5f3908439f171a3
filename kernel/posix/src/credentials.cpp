#include <kiln/posix/credentials.hpp>

namespace kiln::posix {
namespace {

constexpr std::uint32_t kKeep = UINT32_MAX;  ///< −1: leave as it is

// Capabilities that come and go with fsuid 0 (capabilities(7)): CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH,
// FOWNER, FSETID, LINUX_IMMUTABLE, MKNOD, MAC_OVERRIDE.
constexpr CapabilitySet kFileSystemCapabilities =
    0x1f | 1u << 9 | 1u << 27 | CapabilitySet{1} << 32;

bool is_one_of(const UserIds& ids, std::uint32_t id) {
    return id == ids.real || id == ids.effective || id == ids.saved;
}

// Users and groups follow the same rules, each with its capability.
Result<void> set_one(UserIds& ids, std::uint32_t id, bool privileged) {
    if (id == kKeep) return Errno::kEINVAL;
    if (privileged) {
        ids.real = ids.saved = id;
    } else if (id != ids.real && id != ids.saved) {
        return Errno::kEPERM;
    }
    ids.effective = ids.file_system = id;
    return {};
}

Result<void> set_real_effective(UserIds& ids, std::uint32_t real, std::uint32_t effective,
                                bool privileged) {
    const UserIds old = ids;
    if (real != kKeep) {
        if (!privileged && real != old.real && real != old.effective) return Errno::kEPERM;
        ids.real = real;
    }
    if (effective != kKeep) {
        if (!privileged && !is_one_of(old, effective)) {
            ids = old;
            return Errno::kEPERM;
        }
        ids.effective = effective;
    }
    // setreuid(2): the saved id follows if the real one is set, or the effective one to something
    // other than the real.
    if (real != kKeep || (effective != kKeep && effective != old.real)) ids.saved = ids.effective;
    ids.file_system = ids.effective;
    return {};
}

Result<void> set_all(UserIds& ids, std::uint32_t real, std::uint32_t effective, std::uint32_t saved,
                     bool privileged) {
    for (const std::uint32_t id : {real, effective, saved}) {
        if (!privileged && id != kKeep && !is_one_of(ids, id)) return Errno::kEPERM;
    }
    if (real != kKeep) ids.real = real;
    if (effective != kKeep) ids.effective = effective;
    if (saved != kKeep) ids.saved = saved;
    ids.file_system = ids.effective;
    return {};
}

std::uint32_t set_file_system(UserIds& ids, std::uint32_t id, bool privileged) {
    const std::uint32_t old = ids.file_system;
    if (id != kKeep && (privileged || id == old || is_one_of(ids, id))) ids.file_system = id;
    return old;
}

}  // namespace

Credentials Credentials::for_user(std::uint32_t uid, std::uint32_t gid) {
    Credentials c;
    c.user = {uid, uid, uid, uid};
    c.group = {gid, gid, gid, gid};
    if (uid != 0) c.effective = c.permitted = 0;
    return c;
}

bool Credentials::in_group(std::uint32_t gid) const {
    if (group.file_system == gid) return true;
    for (std::uint32_t i = 0; i < group_count; i++) {
        if (groups[i] == gid) return true;
    }
    return false;
}

void Credentials::user_changed(const UserIds& before) {
    // capabilities(7), "Effect of user ID changes on capabilities", points 1 to 3.
    constexpr std::uint32_t kSecureNoSetuidFixup = 1u << 2;
    constexpr std::uint32_t kSecureKeepCaps = 1u << 4;
    if (secure_bits & kSecureNoSetuidFixup) return;
    if (is_one_of(before, 0) && !is_one_of(user, 0)) {
        if ((secure_bits & kSecureKeepCaps) == 0) {
            permitted = 0;
            ambient = 0;
        }
        effective = 0;
    }
    if (before.effective == 0 && user.effective != 0) effective = 0;
    if (before.effective != 0 && user.effective == 0) effective = permitted;
}

Result<void> Credentials::set_uid(std::uint32_t uid) {
    const UserIds before = user;
    TRY(set_one(user, uid, has(kCapSetuid)));
    user_changed(before);
    return {};
}
Result<void> Credentials::set_reuid(std::uint32_t real, std::uint32_t effective_id) {
    const UserIds before = user;
    TRY(set_real_effective(user, real, effective_id, has(kCapSetuid)));
    user_changed(before);
    return {};
}
Result<void> Credentials::set_resuid(std::uint32_t real, std::uint32_t effective_id,
                                     std::uint32_t saved) {
    const UserIds before = user;
    TRY(set_all(user, real, effective_id, saved, has(kCapSetuid)));
    user_changed(before);
    return {};
}
Result<void> Credentials::set_gid(std::uint32_t gid) {
    return set_one(group, gid, has(kCapSetgid));
}
Result<void> Credentials::set_regid(std::uint32_t real, std::uint32_t effective_id) {
    return set_real_effective(group, real, effective_id, has(kCapSetgid));
}
Result<void> Credentials::set_resgid(std::uint32_t real, std::uint32_t effective_id,
                                     std::uint32_t saved) {
    return set_all(group, real, effective_id, saved, has(kCapSetgid));
}

std::uint32_t Credentials::set_fsuid(std::uint32_t uid) {
    const std::uint32_t old = set_file_system(user, uid, has(kCapSetuid));
    // Point 4 of the same section.
    if (old == 0 && user.file_system != 0) effective &= ~kFileSystemCapabilities;
    if (old != 0 && user.file_system == 0) effective |= permitted & kFileSystemCapabilities;
    return old;
}
std::uint32_t Credentials::set_fsgid(std::uint32_t gid) {
    return set_file_system(group, gid, has(kCapSetgid));
}

Result<void> Credentials::set_capabilities(CapabilitySet new_effective, CapabilitySet new_permitted,
                                           CapabilitySet new_inheritable) {
    // Linux security/commoncap.c, cap_capset.
    if (!has(kCapSetpcap) && (new_inheritable & ~(inheritable | permitted)) != 0)
        return Errno::kEPERM;
    if ((new_inheritable & ~(inheritable | bounding)) != 0) return Errno::kEPERM;
    if ((new_permitted & ~permitted) != 0) return Errno::kEPERM;
    if ((new_effective & ~new_permitted) != 0) return Errno::kEPERM;
    effective = new_effective;
    permitted = new_permitted;
    inheritable = new_inheritable;
    ambient &= permitted & inheritable;
    return {};
}

}  // namespace kiln::posix
