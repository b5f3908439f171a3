// memfd_create(2): a nameless file in memory that can be sealed.
#pragma once

#include <cstdint>
#include <string_view>

#include <kiln/base/result.hpp>
#include <kiln/vfs/file.hpp>
#include <kiln/vm/address_space.hpp>

namespace kiln::posix {

enum class Sealing : bool { kForbidden, kAllowed };

/// `name` shows in /proc/self/fd as "/memfd:NAME (deleted)". ENOMEM; ENODEV without ramfs.
Result<Ref<vfs::File>> create_memfd(std::string_view name, Sealing sealing);
/// F_ADD_SEALS: EPERM (sealed, or not writable), EINVAL (no memfd, unknown seal), EBUSY.
Result<void> add_seals(vfs::File& file, std::uint32_t seals);
/// F_GET_SEALS: EINVAL.
Result<std::int64_t> seals(vfs::File& file);

/// A shared mapping of a sealed file: EPERM if it were writable; without right to become so.
Result<void> check_shared_mapping(vfs::File& file, vm::MapRequest* request);

}  // namespace kiln::posix
