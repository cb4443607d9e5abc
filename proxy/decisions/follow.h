#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "net/result.h"
#include "proxy/decisions/line_decoder.h"
#include "proxy/decisions/line_reader.h"
#include "proxy/decisions/scan.h"

namespace warder::decisions {

// A file that grows, is renamed and begun anew, or is cut off and goes on: followed by its name.
// What was read last is compared with what is there now, so that a file which was cut off and has
// grown beyond its old length since is noticed, too.
class Followed {
 public:
  // `from_start`: what is there already is read, too. The prefilter and the counts must outlive it.
  // "-" is standard input, which ends.
  Followed(std::string path, bool from_start, const Prefilter& prefilter, LineCounts& counts);

  // Everything that is new. False: the sink wants no more, or there will be no more. Errors: those
  // of opening it for the first time, and of reading it.
  [[nodiscard]] Result<bool> look(ItemSink& sink);

 private:
  [[nodiscard]] Result<void> open(bool at_end);
  [[nodiscard]] Result<bool> read_lines(ItemSink& sink);
  [[nodiscard]] bool give_rest(ItemSink& sink);
  // Whether the name leads to another file.
  [[nodiscard]] bool renamed() const;
  // Whether the bytes before the place that was read up to are others now, or gone.
  [[nodiscard]] bool overwritten() const;
  // What is left of the old file, and all of the new one. As look().
  [[nodiscard]] Result<bool> change_over(ItemSink& sink);

  const std::string path_;
  bool from_start_;
  const Prefilter& prefilter_;
  LineCounts& counts_;
  std::unique_ptr<LineReader> reader_;
  std::unique_ptr<LineDecoder> decoder_;
  std::int64_t began_at_ = 0;  // where in the file reading began
  bool in_line_ = false;       // reading began inside a line, perhaps
};

}  // namespace warder::decisions
