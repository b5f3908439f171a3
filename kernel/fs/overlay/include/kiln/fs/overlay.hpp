// overlay: a writable file system above a read-only one, seen as one tree.
//
// A name is looked for above, then below. What is changed is first copied up; what is removed is
// covered by a whiteout (a character device 0:0 above, as Linux's overlayfs has it). What an upper
// object covers is remembered with its inode (vfs::LayerMark), so a directory stays merged when it is
// renamed, and a copied file keeps its inode number. Opening a file for reading hands out the inode
// that has the contents: reads and mappings of lower files cost nothing more than without overlay.
// As Linux's overlayfs: a file opened for reading before its copy-up goes on showing the lower file.
#pragma once

#include <kiln/vfs/file_system.hpp>

namespace kiln::fs {

/// `lower` is never changed. `upper` is writable and used by nobody else. ENOMEM.
Result<Ref<vfs::FileSystem>> create_overlay(Ref<vfs::FileSystem> lower, Ref<vfs::FileSystem> upper);

}  // namespace kiln::fs
