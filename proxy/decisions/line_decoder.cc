#include "proxy/decisions/line_decoder.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "proxy/decisions/line_reader.h"

namespace warder::decisions {
namespace {

constexpr std::size_t kMostStreams = 16;

// journald(8) splits at LineMax=, docker's journald driver at 16 KiB; systemd.journal-fields(7).
bool journal_line_is_whole(const Event& event) {
  if (event.text(Field::line_break) == "line-max") return false;
  return event.text(Field::partial) != "true" || event.text(Field::partial_last) == "true";
}

// Whose pieces belong together. All containers' entries are dockerd's, which has no stream of the
// journal's; its driver gives each split line an id (since 20.10), and each entry the container's.
std::string journal_stream(const Event& event) {
  std::string stream;
  for (const Field field : {Field::stream_id, Field::container_id, Field::partial_id}) {
    stream.append(event.text(field)).append(1, '\0');
  }
  return stream;
}

}  // namespace

std::uint64_t LineCounts::lines() const {
  return decisions + records + pieces + foreign + broken + unread + torn + overlong + left_out;
}

const Event* LineDecoder::classify(const Event& event, std::string_view line) {
  text_ = line;
  switch (event.kind) {
    case Event::Kind::decision: ++counts_.decisions; return &event;
    case Event::Kind::record: ++counts_.records; return &event;
    case Event::Kind::broken: ++counts_.broken; return nullptr;
    case Event::Kind::foreign:
    // A line in a line in a line is nobody's.
    case Event::Kind::docker:
    case Event::Kind::journal: ++counts_.foreign; return nullptr;
  }
  return nullptr;
}

const Event* LineDecoder::decode(std::string_view line) {
  if (prefilter_.active() && pending_.empty() && prefilter_.rules_out(line)) {
    ++counts_.unread;
    return nullptr;
  }
  const Event& event = outer_.read(line);
  if (event.kind == Event::Kind::docker) {
    std::string_view part = event.text(Field::log);
    const bool whole = part.ends_with('\n');
    if (whole) part.remove_suffix(1);
    return decode_inner(std::string(event.text(Field::stream)), part, whole);
  }
  if (event.kind == Event::Kind::journal) {
    const Value& message = event.at(Field::message);
    if (message.type == Value::Type::null) {
      ++counts_.left_out;
      return nullptr;
    }
    const bool listed = message.type == Value::Type::nested;
    return decode_inner(journal_stream(event),
                        listed ? std::string_view(event.bytes) : message.text,
                        journal_line_is_whole(event));
  }
  return classify(event, line);
}

const Event* LineDecoder::decode_inner(std::string stream, std::string_view part, bool whole) {
  const auto begun = std::find_if(pending_.begin(), pending_.end(),
                                  [&](const Begun& other) { return other.stream == stream; });
  if (begun == pending_.end() && whole) {
    if (part.ends_with('\r')) part.remove_suffix(1);
    joined_.assign(part);
    return classify(inner_.read(joined_), joined_);
  }
  ++counts_.pieces;
  if (begun == pending_.end()) {
    if (pending_.size() == kMostStreams) {
      ++counts_.torn;
      pending_.erase(pending_.begin());
    }
    pending_.push_back({std::move(stream), std::string(part)});
    return nullptr;
  }
  if (begun->text.size() <= LineReader::kLongest) begun->text.append(part);
  if (!whole) return nullptr;
  joined_ = std::move(begun->text);
  pending_.erase(begun);
  --counts_.pieces;  // this one is counted as what the line was
  if (joined_.size() > LineReader::kLongest) {
    ++counts_.overlong;
    return nullptr;
  }
  return classify(inner_.read(joined_), joined_);
}

const Event* LineDecoder::decode_rest(std::string_view bytes) {
  if (bytes.empty()) return nullptr;
  const std::uint64_t broken = counts_.broken;
  const Event* event = decode(bytes);
  if (counts_.broken > broken) {
    --counts_.broken;
    ++counts_.torn;
  }
  return event;
}

void LineDecoder::end() {
  counts_.torn += pending_.size();
  pending_.clear();
}

}  // namespace warder::decisions
