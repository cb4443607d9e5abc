#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/decisions/event.h"
#include "proxy/decisions/filter.h"

namespace warder::decisions {

// What a log was made of. Every line is counted once, in one of the first group.
struct LineCounts {
  std::uint64_t decisions = 0;  // events of OPA's
  std::uint64_t records = 0;    // Warder's, of all kinds
  std::uint64_t pieces = 0;     // of lines that docker or the journal had split
  std::uint64_t foreign = 0;
  std::uint64_t broken = 0;    // looks like JSON, but is none, or is ambiguous
  std::uint64_t unread = 0;    // ruled out by its bytes (Prefilter)
  std::uint64_t torn = 0;      // at the end of a file, or split and not continued
  std::uint64_t overlong = 0;  // LineReader
  std::uint64_t left_out = 0;  // the journal has a message, journalctl didn't write it

  std::uint64_t damaged_files = 0;  // gzip
  std::uint64_t bytes = 0;

  [[nodiscard]] std::uint64_t lines() const;
};

// One line of a log that said something.
struct Item {
  const Event& event;     // a decision or a record
  std::string_view text;  // the line itself, out of docker's or the journal's
};

// Takes lines out of docker's and the journal's, joins those that were split, and understands them.
// Of one file; nothing grows beyond a few lines' length.
class LineDecoder {
 public:
  LineDecoder(const Prefilter& prefilter, LineCounts& counts)
      : prefilter_(prefilter), counts_(counts) {}

  // The decision or record that the line is or completes, or null. It, and the text() of it, hold
  // until the next call.
  [[nodiscard]] const Event* decode(std::string_view line);
  // The bytes after the last line feed of a file. They may be a whole line.
  [[nodiscard]] const Event* decode_rest(std::string_view bytes);
  // The file is over: what was split and not continued is torn.
  void end();

  [[nodiscard]] std::string_view text() const { return text_; }

 private:
  [[nodiscard]] const Event* classify(const Event& event, std::string_view line);
  [[nodiscard]] const Event* decode_inner(std::string stream, std::string_view part, bool whole);

  const Prefilter& prefilter_;
  LineCounts& counts_;
  EventReader outer_, inner_;
  struct Begun {
    std::string stream, text;
  };
  std::vector<Begun> pending_;  // beginnings of lines, the oldest first
  std::string joined_;
  std::string_view text_;
};

}  // namespace warder::decisions
