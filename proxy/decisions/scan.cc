#include "proxy/decisions/scan.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>

#include "proxy/decisions/line_reader.h"

namespace warder::decisions {
namespace {

constexpr std::uint64_t kLinesBetweenLooks = 1024;
constexpr std::int64_t kFirstShown = 1'000'000'000;  // nanoseconds
constexpr std::int64_t kBetweenShown = 500'000'000;
constexpr std::uint64_t kMegabyte = 1'000'000;

std::int64_t monotonic() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

// False: the sink wants no more.
Result<bool> scan_file(const std::string& path, const Prefilter& prefilter, LineCounts& counts,
                       ItemSink& sink, Progress& progress) {
  auto fd = open_source(path);
  if (!fd) return fail(std::move(fd.error()));
  LineReader reader(std::move(*fd));
  LineDecoder decoder(prefilter, counts);
  const auto give = [&](const Event* event) {
    return event == nullptr || sink.on_item({*event, decoder.text()});
  };
  bool more = true;
  while (more) {
    const auto line = reader.next();
    if (!line) return fail(Error{line.error().code, line.error().sys_errno, path});
    if (!*line) break;
    more = give(decoder.decode(**line));
    progress.advance(reader.source().consumed());
  }
  if (more) more = give(decoder.decode_rest(reader.rest()));
  decoder.end();
  counts.overlong += reader.overlong();
  counts.bytes += reader.source().consumed();
  if (reader.source().damaged()) ++counts.damaged_files;
  progress.next_file();
  return more;
}

}  // namespace

Progress::Progress(bool wanted, const std::vector<std::string>& paths)
    : wanted_(wanted),
      rows_to_terminal_(::isatty(STDOUT_FILENO) == 1),
      begun_(monotonic()),
      last_(begun_) {
  for (const std::string& path : paths) {
    struct stat about {};
    const bool known = path != "-" && ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode);
    if (!known) {
      total_ = 0;
      return;
    }
    total_ += static_cast<std::uint64_t>(about.st_size);
  }
}

Progress::~Progress() { erase(); }

void Progress::make_way() {
  if (rows_to_terminal_) erase();
}

void Progress::erase() {
  if (shown_) fmt::print(stderr, "\r\x1b[K");
  shown_ = false;
}

void Progress::advance(std::uint64_t bytes_of_file) {
  current_ = bytes_of_file;
  if (!wanted_ || ++calls_ % kLinesBetweenLooks != 0) return;
  const std::int64_t now = monotonic();
  if (now - begun_ < kFirstShown || now - last_ < kBetweenShown) return;
  last_ = now;
  shown_ = true;
  const std::uint64_t done = before_ + current_;
  fmt::print(stderr, "\r{} MB", grouped(done / kMegabyte));
  if (total_ > 0)
    fmt::print(stderr, " of {} MB, {} %", grouped(total_ / kMegabyte), done * 100 / total_);
  fmt::print(stderr, "\x1b[K");
}

void Progress::next_file() {
  before_ += current_;
  current_ = 0;
}

Result<void> scan(const ScanOptions& options, const Prefilter& prefilter, LineCounts& counts,
                  ItemSink& sink) {
  Progress progress(options.progress, options.paths);
  return scan(options.paths, prefilter, counts, sink, progress);
}

Result<void> scan(const std::vector<std::string>& paths, const Prefilter& prefilter,
                  LineCounts& counts, ItemSink& sink, Progress& progress) {
  Result<bool> more = true;
  for (const std::string& path : paths) {
    more = scan_file(path, prefilter, counts, sink, progress);
    if (!more || !*more) break;
  }
  progress.erase();
  if (!more) return fail(more.error());
  return {};
}

std::string summary(const LineCounts& counts) {
  std::string text =
      fmt::format("{} lines: {} decisions", grouped(counts.lines()), grouped(counts.decisions));
  const auto add = [&](std::uint64_t count, std::string_view what) {
    if (count > 0) text += fmt::format(", {} {}", grouped(count), what);
  };
  add(counts.records, "records of Warder's");
  add(counts.foreign, "foreign");
  add(counts.broken, "broken");
  add(counts.torn, "torn");
  add(counts.overlong, "too long");
  add(counts.pieces, "pieces of split lines");
  add(counts.left_out, "left out by journalctl (it writes all with --all)");
  add(counts.unread, "not looked into");
  add(counts.damaged_files, "damaged gzip files");
  return text;
}

}  // namespace warder::decisions
