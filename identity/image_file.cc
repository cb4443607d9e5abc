#include "identity/image_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <vector>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

constexpr std::size_t kSlice = std::size_t{1} << 20;
constexpr std::size_t kChunk = std::size_t{64} * 1024;
constexpr std::size_t kThreads = 1024;
constexpr std::size_t kMountTable = std::size_t{16} * 1024 * 1024;

// proc_pid_mountinfo(5): "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw". To open
// a file on FUSE, or to ask for the kind of its file system, may wait for its owner for ever.
bool mounted_by_fuse(int proc_root, pid_t pid, std::uint64_t device) {
  const std::string wanted =
      " " + std::to_string(major(device)) + ":" + std::to_string(minor(device)) + " ";
  bool found = false;
  (void)read_lines(proc_root, std::to_string(pid) + "/mountinfo", kMountTable,
                   [&](std::string_view line) {
                     const std::size_t kind = line.find(" - fuse");
                     found |= kind != std::string_view::npos && line.find(wanted) < kind;
                   });
  return found;
}

// After its first thread has exited only the others show what a process runs.
std::vector<std::string> exe_links(int proc_root, pid_t pid) {
  const std::string process = std::to_string(pid);
  std::vector<std::string> links{process + "/exe"};
  (void)list_directory(proc_root, process + "/task", [&](int, const char* name) {
    if (links.size() <= kThreads && parse_pid(name))
      links.push_back(process + "/task/" + name + "/exe");
  });
  return links;
}

Result<net::UniqueFd> open_image(int proc_root, const std::string& link, const FileId& image,
                                 pid_t pid) {
  const auto state = file_state(proc_root, link.c_str(), 0, "the image");
  if (!state) return fail(state.error());
  if (state->id != image) return fail(Errc::system, "the process runs another image now");
  if (!state->regular) return fail(Errc::system, "the image is not a regular file");
  if (mounted_by_fuse(proc_root, pid, image.device))
    return fail(Errc::system, "the image is on FUSE");
  net::UniqueFd file(
      ::openat(proc_root, link.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return fail(from_errno(errno, "the image"));
  return file;
}

}  // namespace

Result<FileState> image_state(int proc_root, pid_t pid) {
  return file_state(proc_root, (std::to_string(pid) + "/exe").c_str(), 0, "the image");
}

void ImageFile::DigestFree::operator()(evp_md_ctx_st* context) const { ::EVP_MD_CTX_free(context); }

ImageFile::ImageFile(net::UniqueFd file, const FileState& state)
    : file_(std::move(file)),
      state_(state),
      fresh_(changed_just_now(state)),
      digest_(::EVP_MD_CTX_new()) {}

Result<ImageFile> ImageFile::open(int proc_root, pid_t pid, const FileId& image,
                                  std::size_t max_bytes) {
  Result<net::UniqueFd> file = net::UniqueFd();
  for (const std::string& link : exe_links(proc_root, pid)) {
    file = open_image(proc_root, link, image, pid);
    if (file || file.error().code != Errc::not_found) break;
  }
  if (!file && file.error().code == Errc::not_found)
    return fail(Errc::not_found, "the process has ended");
  if (!file) return fail(std::move(file.error()));
  const auto state = file_state(file->get(), "", AT_EMPTY_PATH, "the image");
  if (!state) return fail(state.error());
  struct statfs system {};
  if (::fstatfs(file->get(), &system) != 0) return fail(from_errno(errno, "the image"));
  if (system.f_type == FUSE_SUPER_MAGIC) return fail(Errc::system, "the image is on FUSE");
  if (state->id != image) return fail(Errc::system, "the process runs another image now");
  if (state->size > max_bytes)
    return fail(Errc::system, "the image is larger than " + std::to_string(max_bytes) + " bytes");
  ImageFile opened(std::move(*file), *state);
  if (!opened.digest_ || ::EVP_DigestInit_ex(opened.digest_.get(), ::EVP_sha256(), nullptr) != 1)
    return fail(Errc::system, "SHA-256 is not available");
  return opened;
}

Result<std::optional<std::string>> ImageFile::read_slice() {
  std::array<char, kChunk> chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (std::size_t slice = 0; slice < kSlice;) {
    const ssize_t got = ::read(file_.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(from_errno(errno, "the image"));
    if (got == 0) return finish();
    const auto size = static_cast<std::size_t>(got);
    if (::EVP_DigestUpdate(digest_.get(), chunk.data(), size) != 1)
      return fail(Errc::system, "SHA-256 failed");
    slice += size;
    done_ += size;
    if (done_ > state_.size) break;  // it grows
  }
  if (done_ > state_.size) return finish();
  return std::nullopt;
}

Result<std::optional<std::string>> ImageFile::finish() {
  const auto now = file_state(file_.get(), "", AT_EMPTY_PATH, "the image");
  if (!now) return fail(now.error());
  if (done_ != state_.size || *now != state_)
    return fail(Errc::system, "the image changed while it was read");
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned size = 0;
  if (::EVP_DigestFinal_ex(digest_.get(), bytes.data(), &size) != 1)
    return fail(Errc::system, "SHA-256 failed");
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (unsigned i = 0; i < size; ++i) {
    text += kDigits[bytes[i] >> 4U];
    text += kDigits[bytes[i] & 15U];
  }
  return text;
}

}  // namespace warder::identity
