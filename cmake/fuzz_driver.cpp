// Runs a libFuzzer entry point over each file of the folders given, and over simple mutations of
// each: cut short, and with bytes changed by a fixed pseudo-random sequence. Repeatable, and needs
// no clang.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutationsPerSeed = 500;
constexpr int kLargestChangeCount = 8;

// A vector of its own, so that ASan sees a read beyond the end.
void run(const std::vector<uint8_t>& input) {
    std::vector<uint8_t> exact(input.begin(), input.end());
    exact.shrink_to_fit();
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void run_seed(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<uint8_t> seed((std::istreambuf_iterator<char>(file)), {});
    run(seed);
    if (seed.empty()) return;
    std::minstd_rand random(1);
    for (int i = 0; i < kMutationsPerSeed; i++) {
        std::vector<uint8_t> input = seed;
        if (i % 4 == 0) input.resize(random() % input.size());
        for (int changes = random() % kLargestChangeCount; changes >= 0 && !input.empty();
             changes--) {
            constexpr uint8_t kInteresting[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
            // Headers are where a parser decides: half of the changes go to the first bytes.
            const size_t range = random() % 2 ? input.size() : std::min<size_t>(input.size(), 128);
            input[random() % range] = random() % 2
                                          ? kInteresting[random() % std::size(kInteresting)]
                                          : static_cast<uint8_t>(random());
        }
        run(input);
    }
}

}  // namespace

int main(int argc, char** argv) {
    int seeds = 0;
    for (int i = 1; i < argc; i++) {
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            run_seed(entry.path());
            seeds++;
        }
    }
    std::printf("%d seeds, %d mutations each\n", seeds, kMutationsPerSeed);
    return seeds > 0 ? 0 : 1;
}
