// What unit tests say to the pretended machine around the CPU.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include <kiln/base/types.hpp>

namespace kiln::host {

/// Fills hal::boot_info() anew from host::ram_size(): RAM [0, 640 KiB) and [1 MiB, size); reserved are the first
/// 64 KiB and [1 MiB, 1 MiB + 64 KiB). The initrd, if any, is copied to the end of RAM and reserved, too.
void set_boot_info(std::string_view command_line = {}, std::span<const std::byte> initrd = {});

/// What was written to the console since the last call.
std::string take_console_output();
/// Bytes that hal::console_read() gives; calls the input interrupt's handler.
void type_on_console(std::string_view bytes);

}  // namespace kiln::host
