#pragma once

#include <string>
#include <vector>

#include "net/result.h"
#include "report.h"

namespace warder::bench {

// The table as a picture: one panel for each axis, p50 as lines and p99 as whiskers, time on a
// logarithmic scale. Errors: system.
[[nodiscard]] Result<void> write_chart(const std::string& path, const std::vector<Row>& rows);

}  // namespace warder::bench
