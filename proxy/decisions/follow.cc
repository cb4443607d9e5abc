#include "proxy/decisions/follow.h"

#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace warder::decisions {

Followed::Followed(std::string path, bool from_start, const Prefilter& prefilter,
                   LineCounts& counts)
    : path_(std::move(path)), from_start_(from_start), prefilter_(prefilter), counts_(counts) {}

Result<void> Followed::open(bool at_end) {
  auto fd = open_source(path_);
  if (!fd) return fail(std::move(fd.error()));
  began_at_ = 0;
  in_line_ = false;
  if (at_end) {
    // The last byte is read again: it says whether what follows begins a line.
    const off_t size = ::lseek(fd->get(), 0, SEEK_END);
    if (size > 0) began_at_ = ::lseek(fd->get(), size - 1, SEEK_SET);
    in_line_ = size > 0;
  }
  reader_ = std::make_unique<LineReader>(std::move(*fd));
  decoder_ = std::make_unique<LineDecoder>(prefilter_, counts_);
  return {};
}

Result<bool> Followed::read_lines(ItemSink& sink) {
  while (true) {
    const auto line = reader_->next();
    if (!line) return fail(Error{line.error().code, line.error().sys_errno, path_});
    if (!*line) return true;
    if (std::exchange(in_line_, false)) continue;
    const Event* event = decoder_->decode(**line);
    if (event != nullptr && !sink.on_item({*event, decoder_->text()})) return false;
  }
}

bool Followed::give_rest(ItemSink& sink) {
  const Event* event = decoder_->decode_rest(reader_->rest());
  const bool more = event == nullptr || sink.on_item({*event, decoder_->text()});
  decoder_->end();
  return more;
}

bool Followed::renamed() const {
  struct stat ours {};
  struct stat named {};
  // Renamed, and the new one isn't there yet: the old one may still grow.
  if (::stat(path_.c_str(), &named) != 0) return false;
  if (::fstat(reader_->source().fd(), &ours) != 0) return false;
  return named.st_ino != ours.st_ino || named.st_dev != ours.st_dev;
}

bool Followed::overwritten() const {
  if (reader_->source().cut_off()) return true;
  const std::string& before = reader_->source().last();
  std::string now(before.size(), '\0');
  const auto end = began_at_ + static_cast<std::int64_t>(reader_->source().consumed());
  const auto size = static_cast<std::int64_t>(before.size());
  const ssize_t got = ::pread(reader_->source().fd(), now.data(), now.size(), end - size);
  return got != size || now != before;
}

Result<bool> Followed::change_over(ItemSink& sink) {
  if (!give_rest(sink)) return false;
  if (auto opened = open(false); !opened) {
    reader_.reset();
    from_start_ = true;
    return opened.error().code == Errc::not_found ? Result<bool>(true) : fail(opened.error());
  }
  return read_lines(sink);
}

Result<bool> Followed::look(ItemSink& sink) {
  if (!reader_) {
    if (auto opened = open(!from_start_ && path_ != "-"); !opened) return fail(opened.error());
  } else if (overwritten()) {
    if (auto more = change_over(sink); !more || !*more) return more;
  }
  if (!reader_) return true;
  if (auto more = read_lines(sink); !more || !*more) return more;
  struct stat about {};
  const bool regular = ::fstat(reader_->source().fd(), &about) == 0 && S_ISREG(about.st_mode);
  if (!regular) {
    (void)give_rest(sink);
    return false;
  }
  if (renamed()) {
    // What was written to the old one before the new one was there.
    if (auto more = read_lines(sink); !more || !*more) return more;
    if (auto more = change_over(sink); !more || !*more) return more;
  }
  return true;
}

}  // namespace warder::decisions
