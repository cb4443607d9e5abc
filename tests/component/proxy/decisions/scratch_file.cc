#include "scratch_file.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace warder::decisions {

ScratchFile::ScratchFile() {
  REQUIRE(::mkdtemp(folder_.data()) != nullptr);
  path_ = folder_ + "/log";
}

ScratchFile::~ScratchFile() { std::filesystem::remove_all(folder_); }

void ScratchFile::write(std::string_view bytes) const {
  std::ofstream(path_, std::ios::trunc) << bytes;
}

void ScratchFile::append(std::string_view bytes) const {
  std::ofstream(path_, std::ios::app) << bytes;
}

void ScratchFile::rotate() const { std::filesystem::rename(path_, path_ + ".1"); }

}  // namespace warder::decisions
