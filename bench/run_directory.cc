#include "run_directory.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace warder::bench {

RunDirectory::RunDirectory(const std::string& program) {
  std::string name = "/tmp/" + program + ".XXXXXX";
  if (::mkdtemp(name.data()) != nullptr && ::chmod(name.c_str(), 0711) == 0) path_ = name;
}

RunDirectory::~RunDirectory() {
  std::error_code ignored;
  if (!path_.empty() && !kept_) std::filesystem::remove_all(path_, ignored);
}

}  // namespace warder::bench
