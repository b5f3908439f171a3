// As Linux's arch/x86/kernel/cpu/proc.c shows it.
#include "../../cpuinfo.hpp"

#include <kiln/hal/platform.hpp>

#include "../../text.hpp"

namespace kiln::fs {
namespace {

struct CpuId {
    std::uint32_t a, b, c, d;
};
CpuId cpuid(std::uint32_t leaf, std::uint32_t sub = 0) {
    CpuId r;
    asm volatile("cpuid" : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(sub));
    return r;
}

struct Feature {
    std::uint8_t word;  // index into the words below
    std::uint8_t bit;
    std::string_view name;
};
// Names of Linux's arch/x86/include/asm/cpufeatures.h, those that programs look for. Words: 1.EDX, 1.ECX,
// 0x80000001.EDX, 0x80000001.ECX, 7.EBX, 7.ECX.
constexpr Feature kFeatures[] = {
    {0, 0, "fpu"},     {0, 4, "tsc"},       {0, 6, "pae"},         {0, 8, "cx8"},
    {0, 11, "sep"},    {0, 15, "cmov"},     {0, 19, "clflush"},    {0, 23, "mmx"},
    {0, 24, "fxsr"},   {0, 25, "sse"},      {0, 26, "sse2"},       {2, 11, "syscall"},
    {2, 20, "nx"},     {2, 26, "pdpe1gb"},  {2, 27, "rdtscp"},     {2, 29, "lm"},
    {1, 0, "pni"},     {1, 1, "pclmulqdq"}, {1, 9, "ssse3"},       {1, 12, "fma"},
    {1, 13, "cx16"},   {1, 19, "sse4_1"},   {1, 20, "sse4_2"},     {1, 22, "movbe"},
    {1, 23, "popcnt"}, {1, 25, "aes"},      {1, 26, "xsave"},      {1, 28, "avx"},
    {1, 29, "f16c"},   {1, 30, "rdrand"},   {1, 31, "hypervisor"}, {3, 0, "lahf_lm"},
    {3, 5, "abm"},     {3, 6, "sse4a"},     {4, 0, "fsgsbase"},    {4, 3, "bmi1"},
    {4, 5, "avx2"},    {4, 7, "smep"},      {4, 8, "bmi2"},        {4, 9, "erms"},
    {4, 18, "rdseed"}, {4, 19, "adx"},      {4, 20, "smap"},       {4, 23, "clflushopt"},
    {4, 29, "sha_ni"}, {5, 2, "umip"},      {5, 3, "pku"},         {5, 22, "rdpid"},
};

}  // namespace

Result<void> format_cpuinfo(vfs::TextSink& out) {
    const CpuId vendor = cpuid(0);
    const CpuId version = cpuid(1);
    const std::uint32_t extended = cpuid(0x80000000).a;
    const CpuId high = extended >= 0x80000001 ? cpuid(0x80000001) : CpuId{};
    const CpuId seven = vendor.a >= 7 ? cpuid(7) : CpuId{};
    char id[12];
    for (unsigned i = 0; i < 4; i++) {
        id[i] = static_cast<char>(vendor.b >> (8 * i));
        id[4 + i] = static_cast<char>(vendor.d >> (8 * i));
        id[8 + i] = static_cast<char>(vendor.c >> (8 * i));
    }
    std::uint32_t family = version.a >> 8 & 15;
    std::uint32_t model = version.a >> 4 & 15;
    if (family >= 6) model |= (version.a >> 16 & 15) << 4;
    if (family == 15) family += version.a >> 20 & 255;
    char name[48] = {};
    if (extended >= 0x80000004) {
        for (unsigned i = 0; i < 3; i++) {
            const CpuId part = cpuid(0x80000002 + i);
            const std::uint32_t words[4] = {part.a, part.b, part.c, part.d};
            for (unsigned k = 0; k < 16; k++)
                name[16 * i + k] = static_cast<char>(words[k / 4] >> (8 * (k % 4)));
        }
    }
    std::string_view model_name(name, sizeof(name));
    model_name = model_name.substr(0, model_name.find('\0'));
    while (model_name.starts_with(' ')) model_name.remove_prefix(1);
    const std::uint64_t khz = hal::clock_scale().frequency_hz / 1000;
    const std::uint32_t words[] = {version.d, version.c, high.d, high.c, seven.b, seven.c};
    for (unsigned cpu = 0; cpu < kCpus; cpu++) {
        print(out,
              "processor\t: {}\nvendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\n"
              "model name\t: {}\nstepping\t: {}\ncpu MHz\t\t: {}.{:03}\n",
              cpu, std::string_view(id, sizeof(id)), family, model, model_name, version.a & 15,
              khz / 1000, khz % 1000);
        print(out,
              "physical id\t: 0\nsiblings\t: {}\ncore id\t\t: {}\ncpu cores\t: {}\napicid\t\t: {}\n"
              "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\nflags\t\t:",
              kCpus, cpu, kCpus, cpu, vendor.a);
        for (const Feature& f : kFeatures) {
            if ((words[f.word] >> f.bit & 1) != 0) print(out, " {}", f.name);
        }
        print(out, "\nbogomips\t: {}.{:02}\nclflush size\t: {}\n", khz / 500, khz / 5 % 100,
              (version.b >> 8 & 255) * 8);
        out.write("cache_alignment\t: 64\naddress sizes\t: 48 bits physical, 48 bits virtual\n\n");
    }
    return {};
}

}  // namespace kiln::fs
